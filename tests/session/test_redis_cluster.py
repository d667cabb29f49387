"""Redis Cluster: what belongs together is on one node, and a cluster that is down is told by our own errors."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from auth0_cte import (
    ConfigurationError,
    CookieStateStore,
    CustomTokenExchangeError,
    RateLimit,
    RedisExchangeCache,
    ServerClient,
    SessionError,
)
from auth0_cte.session.redis import RedisRotations, RedisStateStore
from auth0_cte.session.stores.contract import Owner, Record
from auth0_cte.testing import FakeClock
from tests.exchanges import LEGACY_LOGIN, LEGACY_TYPE, SESSION_SECRET, make_legacy_tenant
from tests.services import RedisCluster, start_redis_cluster

ISSUER = "https://tenant.auth0.com/"
OWNER = Owner(ISSUER, "sid-1", "auth0|1")
PREFIXES = ["app", "{app}", "a}b{c", "{}{app}", "app{"]

_numbers = itertools.count()


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    with start_redis_cluster() as cluster:
        yield cluster


@pytest.fixture
def client(cluster: RedisCluster) -> Iterator[redis.RedisCluster]:
    """A client of the cluster, in which nothing is kept."""
    with redis.RedisCluster.from_url(cluster.url, socket_timeout=5) as client:
        client.flushall()
        yield client


def slots(client: Any) -> set[int]:
    """Return the slots of all keys."""
    return {client.keyslot(key) for key in client.scan_iter(count=1000)}


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_session_is_on_one_node(prefix: str, client: redis.RedisCluster) -> None:
    """A prefix without a hash tag gets braces, so that all keys of a session share a slot."""
    store = RedisStateStore(client, prefix=prefix)
    cookie = store.create("id", "sealed", OWNER, 60)
    assert cookie == store.replace(cookie, "again", 0)
    store.touch(cookie, 60)
    with store.lock(cookie, 1):
        assert Record("again", 1) == store.get(cookie)
        assert 1 == len(slots(client))
    assert ["again"] == store.find_by_owner(ISSUER, sid=None, sub="auth0|1")
    assert 1 == store.delete_by_owner(ISSUER, sid="sid-1", sub=None)
    assert store.get(cookie) is None


@pytest.mark.parametrize("prefix", PREFIXES)
def test_rotations_are_on_one_node(prefix: str, client: redis.RedisCluster) -> None:
    """Several entries are asked for at once, which a cluster answers for one slot alone."""
    rotations = RedisRotations(client, prefix=prefix)
    for number in range(20):
        rotations.put(f"name-{number}", str(number), 60)
    with rotations.lock("name-0", 1):
        assert 1 == len(slots(client))
    assert {"name-3": "3", "name-7": "7"} == rotations.get(["name-3", "name-7", "unknown"])


@pytest.mark.parametrize("prefix", PREFIXES)
def test_exchanged_tokens_are_on_one_node(prefix: str, client: redis.RedisCluster) -> None:
    """Reuse, forgetting and clearing work as with a single Redis."""
    tenant = make_legacy_tenant()
    cache = RedisExchangeCache(client, secret=SESSION_SECRET, prefix=prefix)
    exchanging = tenant.client(exchange_cache=cache)
    first = exchanging.custom_token_exchange(LEGACY_LOGIN)
    assert first.access_token == exchanging.custom_token_exchange(LEGACY_LOGIN).access_token
    assert (1, 1) == (len(tenant.token_requests), len(slots(client)))
    assert exchanging.forget_exchanged_token(first.access_token)
    exchanging.custom_token_exchange({**LEGACY_LOGIN, "scope": "openid"})
    cache.clear()
    assert set() == slots(client)


def test_a_rate_limit_is_on_one_node(client: redis.RedisCluster) -> None:
    """Slots that are given back are found again."""
    tenant = make_legacy_tenant()
    exchanging = tenant.client(rate_limit=RateLimit("100/s", redis=client))
    for _ in range(3):
        exchanging.custom_token_exchange(LEGACY_LOGIN)
    assert 1 == len(slots(client))


@pytest.mark.parametrize("prefix", ["", "}app"])
def test_a_prefix_that_cannot_be_tagged(prefix: str, client: redis.RedisCluster) -> None:
    """It is refused where it is given: scripts would fail later, one by one."""
    for make in (RedisStateStore, RedisRotations, lambda c, **p: RedisExchangeCache(c, secret=SESSION_SECRET, **p)):
        with pytest.raises(ConfigurationError, match="prefix must be a name"):
            make(client, prefix=prefix)


@pytest.mark.parametrize("kind", ["store", "rotations"])
def test_a_whole_session_lives_in_a_cluster(kind: str, client: redis.RedisCluster, clock: FakeClock) -> None:
    """Login, refresh and back-channel logout or a late cookie work with keys on one of three nodes."""
    tenant = make_legacy_tenant(clock=clock)
    store = RedisStateStore(client) if kind == "store" else CookieStateStore(rotations=RedisRotations(client))
    web = tenant.client(secret=SESSION_SECRET, state_store=store)
    jar: dict[str, str] = {}
    web.login_with_custom_token_exchange(LEGACY_LOGIN, {"cookies": jar})
    late = dict(jar)
    clock.advance(86_395)  # the access token expires before the session
    token = web.get_access_token({"cookies": jar})
    assert token == web.get_access_token({"cookies": late})
    if kind == "store":
        assert 1 == web.handle_backchannel_logout(tenant.logout_token(sub="auth0|ada"))
        assert web.get_user({"cookies": jar}) is None


CALLS: dict[str, tuple[Callable[[Any], Any], str]] = {}


def call(code: str) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    def note(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
        CALLS[make.__name__] = make, code
        return make

    return note


@call("STORE_UNAVAILABLE")
def store(client: Any) -> Callable[[], object]:
    made = RedisStateStore(client, prefix="app")
    return lambda: made.get("id")


@call("STORE_UNAVAILABLE")
def created(client: Any) -> Callable[[], object]:
    made = RedisStateStore(client, prefix="app")
    return lambda: made.create("id", "x", OWNER, 60)


@call("STORE_UNAVAILABLE")
def checked(client: Any) -> Callable[[], object]:
    return RedisStateStore(client, prefix="app").check


@call("STORE_UNAVAILABLE")
def rotations(client: Any) -> Callable[[], object]:
    made = RedisRotations(client, prefix="app")
    return lambda: made.put("name", "value", 60)


@call("EXCHANGE_CACHE_UNAVAILABLE")
def cache(client: Any) -> Callable[[], object]:
    made = RedisExchangeCache(client, secret=SESSION_SECRET, prefix="app")
    return exchange(exchange_cache=made)


@call("EXCHANGE_CACHE_UNAVAILABLE")
def cleared(client: Any) -> Callable[[], object]:
    return RedisExchangeCache(client, secret=SESSION_SECRET, prefix="app").clear


@call("RATE_LIMIT_UNAVAILABLE")
def rate_limit(client: Any) -> Callable[[], object]:
    return exchange(rate_limit=RateLimit("4/s", redis=client))


def exchange(**settings: Any) -> Callable[[], object]:
    client: ServerClient = make_legacy_tenant().client(**settings)
    return lambda: client.custom_token_exchange(subject_token="x", subject_token_type=LEGACY_TYPE)


@pytest.fixture(scope="module")
def dead() -> Iterator[redis.RedisCluster]:
    """A client of a cluster that has gone."""
    with start_redis_cluster() as cluster, redis.RedisCluster.from_url(cluster.url, socket_timeout=1) as client:
        cluster.kill()
        yield client


@pytest.mark.parametrize("name", CALLS)
def test_a_cluster_that_is_down(name: str, dead: redis.RedisCluster) -> None:
    """The errors of a cluster are not those of a single Redis, and become ours as well, before anything is sent."""
    make, code = CALLS[name]
    with pytest.raises((SessionError, CustomTokenExchangeError)) as caught:
        make(dead)()
    assert code == caught.value.code
