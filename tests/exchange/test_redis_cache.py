"""Exchanged tokens that processes share through Redis: a real one, that is read, tampered with, frozen and killed."""

from __future__ import annotations

import itertools
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import Any

import pytest
import redis
from attrs import frozen

from auth0_cte import (
    ConfigurationError,
    CustomTokenExchangeError,
    RedisExchangeCache,
    ServerClient,
    TokenExchangeResponse,
    TransportTimeoutError,
)
from auth0_cte.foundation.deadline import sleeper
from auth0_cte.testing import FakeClock, LocalTenant
from tests.exchange.test_cache import ONE_SHOT, wait_for_waiters
from tests.exchange.test_cache_credentials import jwt_until
from tests.exchanges import (
    DEADLINE,
    LIFETIME,
    TYPE,
    Gate,
    at_once,
    exchanges,
    make_tenant,
    options,
    shown_by,
    sub_of,
)
from tests.raw_server import Arrived, RawServer, reply, send
from tests.services import RedisServer
from tests.workers import Worker, do_at_once

SECRET = "a-secret-of-more-than-thirty-two-bytes"
OLD_SECRET = "the-secret-of-more-than-thirty-two-bytes-before"
PROCESSES = 4
THREADS = 250

_numbers = itertools.count()

InProcesses = Callable[[LocalTenant, list[list[str]]], list[list[str]]]


@contextmanager
def open_cache(url: str, *, timeout: float = 10.0, **settings: Any) -> Iterator[RedisExchangeCache]:
    cache = RedisExchangeCache.from_url(url, timeout=timeout, **{"secret": SECRET, **settings})
    try:
        yield cache
    finally:
        cache.close()


@pytest.fixture
def prefix() -> str:
    return f"{{cache{next(_numbers)}}}"


@pytest.fixture
def open_another(redis_server: RedisServer, prefix: str) -> Iterator[Callable[..., RedisExchangeCache]]:
    """Makes caches over the same entries, each with connections of its own, as other processes have them."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(open_cache(redis_server.url, **{"prefix": prefix, **settings}))


@pytest.fixture
def cache(open_another: Callable[..., RedisExchangeCache]) -> RedisExchangeCache:
    return open_another()


@pytest.fixture
def tenant(clock: FakeClock) -> LocalTenant:
    return make_tenant(clock=clock)


@frozen
class Stored:
    """What caches keep in Redis, seen past them."""

    redis: redis.Redis
    prefix: str

    def names(self, kind: str = "exchange") -> list[bytes]:
        return sorted(self.redis.scan_iter(match=f"{self.prefix}:{kind}:*"))

    def seconds(self, name: bytes) -> float:
        return int(self.redis.pttl(name)) / 1000


@pytest.fixture
def stored(redis_server: RedisServer, prefix: str) -> Iterator[Stored]:
    with redis.Redis.from_url(redis_server.url, socket_timeout=10) as connection:
        yield Stored(connection, prefix)


def test_processes_share_what_one_has_exchanged(
    tenant: LocalTenant, clock: FakeClock, cache: RedisExchangeCache, open_another: Callable[..., RedisExchangeCache]
) -> None:
    """What one client has kept another one gets whole, with the lifetime that is left."""

    @tenant.action(TYPE)
    def delegate(event: Any, api: Any) -> None:
        api.authentication.set_user_by_id("auth0|0")
        api.authentication.set_actor({"sub": "agent"})

    given = options(scope="openid read", organization=None, authorization_params={"x": "ü€"})
    first = tenant.client(exchange_cache=cache).custom_token_exchange(given)
    clock.advance(10)
    second = tenant.client(exchange_cache=open_another()).custom_token_exchange(given)
    assert 1 == exchanges(tenant)
    assert (False, True) == (first.from_cache, second.from_cache)
    assert (LIFETIME, LIFETIME - 10) == (first.expires_in, second.expires_in)
    for name in ("access_token", "id_token", "claims", "act", "expires_at", "extra", "issued_token_type", "token_type"):
        assert getattr(first, name) == getattr(second, name)
    assert "agent" == second.delegation_chain()[0].sub


def test_entries_expire_in_redis(tenant: LocalTenant, cache: RedisExchangeCache, stored: Stored) -> None:
    """An entry and its index live as long as the token may be handed out; no lock stays."""
    tenant.client(exchange_cache=cache).custom_token_exchange(options())
    kept = [*stored.names(), *stored.names("exchange-token")]
    lives = [stored.seconds(key) for key in kept]
    assert 2 == len(kept)
    assert all(LIFETIME - 60 - 30 < each <= LIFETIME - 60 for each in lives)
    assert [] == stored.names("exchange-lock")


def test_skew_and_age_hold(
    tenant: LocalTenant, clock: FakeClock, open_another: Callable[..., RedisExchangeCache], stored: Stored
) -> None:
    """By the client's clock too, a token is not handed out shortly before it expires."""
    cache = open_another(max_age=100)
    client = tenant.client(exchange_cache=cache)
    client.custom_token_exchange(options())
    assert 70 < stored.seconds(stored.names()[0]) <= 100
    clock.advance(99)
    assert client.custom_token_exchange(options()).from_cache
    clock.advance(1)
    assert not client.custom_token_exchange(options()).from_cache
    patient = tenant.client(exchange_cache=open_another())
    clock.advance(LIFETIME - 61)
    assert patient.custom_token_exchange(options()).from_cache
    clock.advance(1)
    assert not patient.custom_token_exchange(options()).from_cache
    assert 3 == exchanges(tenant)


def test_the_age_that_a_reader_allows_counts(
    tenant: LocalTenant, clock: FakeClock, open_another: Callable[..., RedisExchangeCache]
) -> None:
    """Who wrote an entry may allow more: a reader takes only what is as new as it wants, and replaces what is not."""
    lasting = tenant.client(exchange_cache=open_another(max_age=300))
    first = lasting.custom_token_exchange(options())
    clock.advance(1.6)
    brief = tenant.client(exchange_cache=open_another(max_age=1))
    second = brief.custom_token_exchange(options())
    assert (False, 2) == (second.from_cache, exchanges(tenant))
    assert second.access_token == lasting.custom_token_exchange(options()).access_token != first.access_token


def test_an_entry_ends_with_the_token_that_was_exchanged(
    tenant: LocalTenant, clock: FakeClock, cache: RedisExchangeCache, stored: Stored
) -> None:
    """In Redis as by the clock of the reader."""
    tenant.accept(TYPE, "auth0|0")
    client, token = tenant.client(exchange_cache=cache), jwt_until(clock() + 60)
    client.custom_token_exchange(options(token))
    assert 30 < stored.seconds(stored.names()[0]) <= 60
    clock.advance(59)
    assert client.custom_token_exchange(options(token)).from_cache
    clock.advance(1)
    assert not client.custom_token_exchange(options(token)).from_cache


@pytest.mark.parametrize("fields", ONE_SHOT)
def test_one_shot_tokens_stay_out(
    fields: dict[str, str], cache: RedisExchangeCache, raw_server: RawServer, stored: Stored
) -> None:
    """What is good for one use is never written."""
    body = json.dumps({"access_token": "t", "expires_in": 3600, **fields})
    raw_server.scripts = [send(reply(body))]
    with ServerClient(raw_server.url, "c", "s", exchange_cache=cache) as client:
        for _ in range(2):
            assert not client.custom_token_exchange(options()).from_cache
    assert [] == stored.names()


def test_a_thousand_threads_make_one_exchange(tenant: LocalTenant, cache: RedisExchangeCache) -> None:
    """Threads of a process wait for one another, and ask Redis once."""
    client = tenant.client(exchange_cache=cache)
    tokens = at_once(*[lambda: client.custom_token_exchange(options()).access_token] * 1000)
    assert 1 == len(set(tokens)) == exchanges(tenant)


@pytest.fixture
def exchange_in_processes(redis_server: RedisServer, prefix: str, workers: list[Worker]) -> InProcesses:
    """Exchanges at a tenant for lists of users, each list in a process, and returns the access tokens."""

    def exchange(tenant: LocalTenant, users: list[list[str]]) -> list[list[str]]:
        with tenant.serve() as server:
            client = {"client_id": tenant.client_id, "client_secret": tenant.client_secret, "timeout": DEADLINE}
            order = {"redis": redis_server.url, "cache": {"secret": SECRET, "prefix": prefix}}
            order["client"] = {"domain": server.url, **client}
            orders = [{**order, "users": each} for each in users]
            return do_at_once(workers, "tests.exchange.jobs:exchange", orders, "ready")

    return exchange


def test_four_processes_make_one_exchange(
    exchange_in_processes: InProcesses,
) -> None:
    """A thousand threads of four processes want the same: one exchange is made in all."""
    tenant = make_tenant(clock=time.time)
    tokens = list(chain.from_iterable(exchange_in_processes(tenant, [["auth0|0"] * THREADS] * PROCESSES)))
    assert PROCESSES * THREADS == len(tokens)
    assert 1 == len(set(tokens)) == exchanges(tenant)
    assert "auth0|0" == sub_of(tokens[0])


def test_a_thousand_users_of_four_processes_get_their_own(
    exchange_in_processes: InProcesses,
) -> None:
    """Each user's token is asked for in two processes; nobody gets another's, and each is exchanged for once."""
    count = PROCESSES * THREADS
    tenant = make_tenant(count // 2, clock=time.time)
    names = [f"auth0|{number}" for number in range(count // 2)]
    users = [names[:THREADS], names[THREADS:], names[THREADS - 1 :: -1], names[: THREADS - 1 : -1]]
    tokens = exchange_in_processes(tenant, users)
    assert users == [[sub_of(token) for token in each] for each in tokens]
    assert len(names) == exchanges(tenant)


def test_another_process_waits_for_the_one_that_exchanges(
    cache: RedisExchangeCache, open_another: Callable[..., RedisExchangeCache]
) -> None:
    """While one process exchanges the others wait, and give up at their own deadline with nothing sent."""
    gate = Gate()
    tenant = make_tenant(sleep=gate)
    tenant.fail_next(delay=1, path="/oauth/token")
    other = open_another()
    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(tenant.client(exchange_cache=cache).custom_token_exchange, options())
        assert gate.reached.wait(DEADLINE)
        with pytest.raises(TransportTimeoutError, match="sent nothing") as caught:
            tenant.client(exchange_cache=other, timeout=0.1).custom_token_exchange(options())
        assert isinstance(caught.value, CustomTokenExchangeError)
        polled = threading.Event()

        def wait() -> TokenExchangeResponse:
            sleeper.set(lambda seconds: polled.set() or time.sleep(seconds))  # type: ignore[func-returns-value]
            return tenant.client(exchange_cache=other).custom_token_exchange(options())

        waiter = pool.submit(wait)
        assert polled.wait(DEADLINE)  # it has asked Redis, and been told to wait
        gate.opened.set()
        assert leader.result(DEADLINE).access_token == waiter.result(DEADLINE).access_token
    assert 1 == exchanges(tenant)


def test_who_dies_is_replaced(
    cache: RedisExchangeCache, tenant: LocalTenant, open_another: Callable[..., RedisExchangeCache], stored: Stored
) -> None:
    """The lock of a process that died expires with its call's deadline, and whoever waits takes over."""
    client = tenant.client(exchange_cache=cache)
    client.custom_token_exchange(options())
    (name,) = stored.names()
    stored.redis.delete(name)
    lock = name.replace(b":exchange:", b":exchange-lock:")
    stored.redis.set(lock, "a process that died", px=300)
    assert not client.custom_token_exchange(options()).from_cache
    assert 2 == exchanges(tenant)
    assert [] == stored.names("exchange-lock")
    # And it never outlives the deadline by more than a second.
    gate = Gate()
    slow = make_tenant(sleep=gate)
    slow.fail_next(delay=1, path="/oauth/token")
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(slow.client(exchange_cache=cache, timeout=5.0).custom_token_exchange, options("auth0|1"))
        assert gate.reached.wait(DEADLINE)
        (lock_now,) = stored.names("exchange-lock")
        assert 0 < stored.seconds(lock_now) <= 6
        gate.opened.set()
        future.result(DEADLINE)


def test_who_comes_back_too_late_overwrites_nothing(
    cache: RedisExchangeCache, open_another: Callable[..., RedisExchangeCache], stored: Stored
) -> None:
    """A process that lost its lock returns its tokens to its caller, and keeps them from everybody else."""
    gate = Gate()
    tenant = make_tenant(sleep=gate)
    tenant.fail_next(delay=1, path="/oauth/token")
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(tenant.client(exchange_cache=cache).custom_token_exchange, options())
        assert gate.reached.wait(DEADLINE)
        (lock,) = stored.names("exchange-lock")
        stored.redis.delete(lock)
        other = tenant.client(exchange_cache=open_another())
        kept = other.custom_token_exchange(options()).access_token
        gate.opened.set()
        assert kept != late.result(DEADLINE).access_token
    assert kept == other.custom_token_exchange(options()).access_token


def test_a_failure_is_not_kept_and_frees_the_lock(
    tenant: LocalTenant, cache: RedisExchangeCache, open_another: Callable[..., RedisExchangeCache], stored: Stored
) -> None:
    """The threads of a process share a failure; the next call, of whichever process, tries anew at once."""
    clients = [tenant.client(exchange_cache=each) for each in (cache, open_another())]
    for number, client in enumerate(clients, 1):
        with pytest.raises(CustomTokenExchangeError, match="Unknown token"):
            client.custom_token_exchange(options("bad"))
        assert number == exchanges(tenant)
    assert [] == [*stored.names(), *stored.names("exchange-lock"), *stored.names("exchange-token")]


def test_waiters_of_a_process_share_the_failure(cache: RedisExchangeCache) -> None:
    """Fifty threads that wait for an exchange that fails send nothing themselves."""
    gate = Gate()
    tenant = make_tenant(sleep=gate)
    tenant.fail_next(delay=1, path="/oauth/token")
    client = tenant.client(exchange_cache=cache)
    with ThreadPoolExecutor(50) as pool:
        futures = [pool.submit(client.custom_token_exchange, options("bad")) for _ in range(50)]
        assert gate.reached.wait(DEADLINE)
        wait_for_waiters(cache, 49)
        gate.opened.set()
        errors = [future.exception(DEADLINE) for future in futures]
    assert 50 == len({id(error) for error in errors})
    assert 1 == exchanges(tenant)


def test_forgetting_counts_for_all_processes(
    tenant: LocalTenant, cache: RedisExchangeCache, open_another: Callable[..., RedisExchangeCache]
) -> None:
    """A token that an API refused is forgotten, by whichever process, and only that one."""
    clients = [tenant.client(exchange_cache=each) for each in (cache, open_another())]
    refused = clients[0].custom_token_exchange(options("auth0|0")).access_token
    other = clients[0].custom_token_exchange(options("auth0|1")).access_token
    assert clients[1].forget_exchanged_token(refused)
    assert not clients[0].forget_exchanged_token(refused)
    newer = clients[0].custom_token_exchange(options("auth0|0")).access_token
    assert not clients[0].forget_exchanged_token(refused)
    assert [newer, other] == [clients[1].custom_token_exchange(options(f"auth0|{n}")).access_token for n in (0, 1)]


def test_clearing_counts_for_exchanges_under_way(
    cache: RedisExchangeCache, open_another: Callable[..., RedisExchangeCache], stored: Stored
) -> None:
    """What another process is exchanging while the cache is cleared goes to its caller, and is not kept."""
    gate = Gate()
    tenant = make_tenant(sleep=gate)
    tenant.fail_next(delay=1, path="/oauth/token")
    client = tenant.client(exchange_cache=cache)
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(client.custom_token_exchange, options())
        assert gate.reached.wait(DEADLINE)
        open_another().clear()
        gate.opened.set()
        assert "auth0|0" == sub_of(under_way.result(DEADLINE).access_token)
    assert [] == [*stored.names(), *stored.names("exchange-token"), *stored.names("exchange-lock")]
    assert not client.custom_token_exchange(options()).from_cache


def test_threads_do_not_share_a_one_shot_token(cache: RedisExchangeCache, raw_server: RawServer) -> None:
    """Who waited for an exchange whose token is good for one use makes one of his own."""
    numbers, together = itertools.count(), threading.Event()

    def answer(request: Arrived, connection: socket.socket) -> None:
        assert together.wait(DEADLINE)
        body = {"access_token": f"t{next(numbers)}", "expires_in": 3600, "token_type": "N_A"}
        send(reply(json.dumps(body)))(request, connection)

    raw_server.scripts = [answer]
    with ServerClient(raw_server.url, "c", "s", exchange_cache=cache) as client, ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(client.custom_token_exchange, options()) for _ in range(2)]
        wait_for_waiters(cache, 1)
        together.set()
        assert {"t0", "t1"} == {call.result(DEADLINE).access_token for call in calls}


def test_clearing_touches_nothing_else(
    tenant: LocalTenant, redis_server: RedisServer, open_another: Callable[..., RedisExchangeCache], stored: Stored
) -> None:
    """All entries go, those of exchanges under way included; what else is in Redis stays."""
    cache, stranger = open_another(prefix="a*[x]?\\"), open_another(prefix="aX[x]Y\\")
    for each in (cache, stranger):
        tenant.client(exchange_cache=each).custom_token_exchange(options())
    stored.redis.set("a*[x]?\\:other", "stays")
    cache.clear()
    found = {key.decode() for key in stored.redis.scan_iter(match="a*")}
    assert "a*[x]?\\:other" in found
    assert {"aX[x]Y\\:exchange", "aX[x]Y\\:exchange-token", "a*[x]?\\"} == {key.rpartition(":")[0] for key in found}
    stored.redis.delete(*found)


def test_a_secret_can_be_rotated(
    tenant: LocalTenant, cache: RedisExchangeCache, open_another: Callable[..., RedisExchangeCache]
) -> None:
    """What was kept with the secret before is found, and forgotten, with a list of both; with others it is not."""
    old = tenant.client(exchange_cache=open_another(secret=OLD_SECRET))
    new = tenant.client(exchange_cache=open_another(secret=[SECRET, OLD_SECRET]))
    kept = old.custom_token_exchange(options()).access_token
    assert kept == new.custom_token_exchange(options()).access_token
    assert not tenant.client(exchange_cache=cache).custom_token_exchange(options()).from_cache
    assert new.forget_exchanged_token(kept)
    assert not old.custom_token_exchange(options()).from_cache
    assert new.custom_token_exchange(options()).from_cache


def _garble(value: bytes) -> bytes:
    return value[:-5] + (b"A" if value[-5:-4] != b"A" else b"B") + value[-4:]


TAMPERED: list[Callable[[bytes, bytes], bytes]] = [
    lambda own, other: other,
    lambda own, other: own.partition(b":")[0] + b":" + other.partition(b":")[2],
    lambda own, other: other.partition(b":")[0] + b":" + own.partition(b":")[2],
    lambda own, other: _garble(own),
    lambda own, other: own[:-20],
    lambda own, other: own[1:],
    lambda own, other: own.partition(b":")[2],
    lambda own, other: b"",
    lambda own, other: b":",
    lambda own, other: b"\xff\xfe" + own,
    lambda own, other: b'{"access_token": "forged"}',
    lambda own, other: b"x" * 100_000,
]


@pytest.mark.parametrize("tamper", TAMPERED)
@pytest.mark.parametrize("decode", [False, True])
def test_what_was_tampered_with_is_no_entry(
    decode: bool, tamper: Callable[[bytes, bytes], bytes], tenant: LocalTenant, redis_server: RedisServer, prefix: str
) -> None:
    """A value that was changed, cut, made up or swapped with another user's is a miss, and replaced."""
    connection = redis.Redis.from_url(redis_server.url, socket_timeout=10, decode_responses=decode)
    with redis.Redis.from_url(redis_server.url) as raw, connection:
        cache = RedisExchangeCache(connection, secret=SECRET, prefix=prefix)
        client = tenant.client(exchange_cache=cache)
        client.custom_token_exchange(options("auth0|0"))
        (own_name,) = Stored(raw, prefix).names()
        client.custom_token_exchange(options("auth0|1"))
        (other_name,) = set(Stored(raw, prefix).names()) - {own_name}
        own, other = raw.get(own_name), raw.get(other_name)
        assert isinstance(own, bytes)
        assert isinstance(other, bytes)
        raw.set(own_name, tamper(own, other))
        tokens = [client.custom_token_exchange(options("auth0|0")) for _ in range(2)]
        assert ["auth0|0"] * 2 == [sub_of(each.access_token) for each in tokens]
        assert [False, True] == [each.from_cache for each in tokens]
        assert 3 == exchanges(tenant)


def test_a_value_of_another_kind_is_no_entry(tenant: LocalTenant, cache: RedisExchangeCache, stored: Stored) -> None:
    """Even a list where the entry should be is overwritten."""
    client = tenant.client(exchange_cache=cache)
    client.custom_token_exchange(options())
    (key,) = stored.names()
    stored.redis.delete(key)
    stored.redis.rpush(key, "a list")
    assert [False, True] == [client.custom_token_exchange(options()).from_cache for _ in range(2)]


def test_redis_holds_nothing_in_clear(
    tenant: LocalTenant, cache: RedisExchangeCache, caplog: pytest.LogCaptureFixture, stored: Stored
) -> None:
    """No token, user or audience is in any key or value, the log, a repr, or the frames of an error."""
    caplog.set_level(logging.DEBUG)
    client = tenant.client(exchange_cache=cache)
    response = client.custom_token_exchange(
        options(scope="openid offline_access", authorization_params={"x": "canary"})
    )
    everything: list[Any] = [*stored.names(), *stored.names("exchange-token")]
    everything += [stored.redis.get(key) for key in stored.names()]
    everything += [name for key in stored.names("exchange-token") for name in stored.redis.smembers(key)]
    with pytest.raises(CustomTokenExchangeError) as caught:
        client.custom_token_exchange(options("bad-token"))
    text = f"{everything} {cache!r} {caplog.text} {shown_by(caught.value)}"
    secrets = [response.access_token, str(response.id_token), str(response.refresh_token), SECRET, "bad-token"]
    assert [] == [secret for secret in [*secrets, "auth0|0", "canary", "api.example"] if secret in text]


def test_a_response_that_is_too_large_is_not_kept(
    cache: RedisExchangeCache, raw_server: RawServer, stored: Stored
) -> None:
    """What could not be opened again is not written; the caller gets it all the same."""
    raw_server.scripts = [send(reply(json.dumps({"access_token": "t" * 60_000, "expires_in": 3600})))]
    with ServerClient(raw_server.url, "c", "s", exchange_cache=cache) as client:
        assert 60_000 == len(client.custom_token_exchange(options()).access_token)
    assert [] == stored.names()
    assert [] == stored.names("exchange-lock")


@pytest.mark.parametrize("fault", ["kill", "freeze"])
def test_without_redis_nothing_is_sent(fault: str, mortal_redis: RedisServer, tenant: LocalTenant) -> None:
    """While Redis is away an exchange is refused before the token is sent; afterwards it goes on."""
    with open_cache(mortal_redis.url, timeout=0.5) as cache:
        client = tenant.client(exchange_cache=cache)
        kept = client.custom_token_exchange(options()).access_token
        getattr(mortal_redis, fault)()
        for call in (
            lambda: client.custom_token_exchange(options("auth0|1")),
            lambda: client.forget_exchanged_token("t"),
        ):
            with pytest.raises(CustomTokenExchangeError) as caught:
                call()
            assert ("EXCHANGE_CACHE_UNAVAILABLE", True, False) == (
                caught.value.code,
                caught.value.is_retryable,
                caught.value.may_have_reached_server,
            )
            assert caught.value.__cause__ is not None
            assert "exchange_cache" in caught.value.hint
        assert 1 == exchanges(tenant)
        mortal_redis.start() if fault == "kill" else mortal_redis.thaw()
        assert kept == client.custom_token_exchange(options()).access_token


def test_without_redis_one_can_go_on(
    mortal_redis: RedisServer, tenant: LocalTenant, caplog: pytest.LogCaptureFixture
) -> None:
    """With fail_open exchanges are made without the cache, a warning each; threads go on sharing theirs."""
    with open_cache(mortal_redis.url, timeout=0.5, fail_open=True) as cache:
        client = tenant.client(exchange_cache=cache)
        mortal_redis.kill()
        assert not client.custom_token_exchange(options()).from_cache
        assert not client.forget_exchanged_token("t")
        cache.clear()
        assert 3 == caplog.text.count("cannot be used: ConnectionError; going on without it")
        mortal_redis.start()
        assert [False, True] == [client.custom_token_exchange(options()).from_cache for _ in range(2)]
    assert 2 == exchanges(tenant)


def test_what_was_bought_is_not_lost(mortal_redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """When Redis goes away during the exchange, the caller gets the tokens, and the log a warning."""
    gate = Gate()
    tenant = make_tenant(sleep=gate)
    tenant.fail_next(delay=1, path="/oauth/token")
    with open_cache(mortal_redis.url, timeout=0.5) as cache, ThreadPoolExecutor(1) as pool:
        future = pool.submit(tenant.client(exchange_cache=cache).custom_token_exchange, options())
        assert gate.reached.wait(DEADLINE)
        mortal_redis.kill()
        gate.opened.set()
        assert "auth0|0" == sub_of(future.result(DEADLINE).access_token)
    assert "could not be noted in the cache" in caplog.text


def test_a_client_without_time_outs_is_told(redis_server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """A Redis that hangs would make exchanges hang."""
    with redis.Redis.from_url(redis_server.url, socket_timeout=None) as connection:
        RedisExchangeCache(connection, secret=SECRET)
    assert "no socket_timeout" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"secret": ""}, "secret"),
        ({"secret": []}, "needs a secret"),
        ({"secret": [SECRET, 5]}, "secret"),
        ({"secret": SECRET, "skew": -1}, "skew"),
        ({"secret": SECRET, "max_age": True}, "max_age"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    """What cannot work is told at construction, and no secret with it."""
    with pytest.raises(ConfigurationError, match=message) as caught:
        RedisExchangeCache(redis.Redis(socket_timeout=1), **arguments)
    assert SECRET not in str(caught.value)


def test_threads_of_two_processes_race_for_many_users(
    tenant: LocalTenant, open_another: Callable[..., RedisExchangeCache]
) -> None:
    """Whatever falls together, forgetting included, everybody gets a token of his own user."""
    clients = [tenant.client(exchange_cache=open_another()) for _ in range(2)]

    def use(number: int) -> set[tuple[str, str]]:
        client, user = clients[number % 2], f"auth0|{number % 3}"
        seen = set()
        for _ in range(15):
            token = client.custom_token_exchange(options(user)).access_token
            seen.add((user, sub_of(token)))
            if number < 3:
                client.forget_exchanged_token(token)
        return seen

    results = at_once(*[lambda number=number: use(number) for number in range(12)])
    assert {("auth0|0",) * 2, ("auth0|1",) * 2, ("auth0|2",) * 2} == set().union(*results)
