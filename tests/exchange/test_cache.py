"""Exchanged tokens that are used again: by whom, for how long, and by nobody else."""

from __future__ import annotations

import gc
import itertools
import logging
import os
import random
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import anyio
import pytest

from auth0_cte import (
    AsyncServerClient,
    ClientSecretBasic,
    ClientSecretPost,
    ConfigurationError,
    CustomTokenExchangeError,
    CustomTokenExchangeOptions,
    ExchangeCache,
    ExchangeRequest,
    MemoryStateStore,
    RedisExchangeCache,
    RetryPolicy,
    ServerClient,
    TransportTimeoutError,
)
from auth0_cte.exchange.cache_key import credentials_of
from auth0_cte.exchange.request import to_form
from auth0_cte.oauth.client_auth.base import PublicClient
from auth0_cte.testing import FakeClock, LocalTenant
from auth0_cte.token_types import ID_TOKEN, SESSION_TRANSFER_TOKEN
from tests.exchanges import (
    API,
    DEADLINE,
    LIFETIME,
    TYPE,
    Gate,
    at_once,
    exchanges,
    make_tenant,
    options,
    request_of,
    shown_by,
    sub_of,
)
from tests.forks import run_in_child
from tests.load import load, sized
from tests.mirrored import mirrored
from tests.raw_server import Arrived, RawServer, reply, send

KEY = b"k" * 32


@pytest.fixture
def tenant(clock: FakeClock) -> LocalTenant:
    return make_tenant(clock=clock)


@pytest.fixture
def cache() -> ExchangeCache:
    return ExchangeCache()


@pytest.fixture
def client(tenant: LocalTenant, cache: ExchangeCache, new_client: type[ServerClient]) -> ServerClient:
    """A client with a cache, and its mirrors."""
    return mirrored(new_client, tenant.client(exchange_cache=cache))


def test_the_second_call_gets_the_tokens_of_the_first(
    client: ServerClient, tenant: LocalTenant, clock: FakeClock, cache: ExchangeCache
) -> None:
    """A response is reused, says so, and tells the lifetime that is left."""
    first = client.custom_token_exchange(options(scope="openid profile"))
    clock.advance(100)
    second = client.custom_token_exchange(options(scope="openid profile"))
    assert 1 == exchanges(tenant) == len(cache)
    assert (False, True) == (first.from_cache, second.from_cache)
    assert first.access_token == second.access_token
    assert (LIFETIME, LIFETIME - 100) == (first.expires_in, second.expires_in)
    assert first.expires_at == second.expires_at
    assert first.claims == second.claims
    assert first.claims is not None


def test_nothing_is_reused_unasked(tenant: LocalTenant, client: ServerClient) -> None:
    """Without a cache each call exchanges, and with one each call that says so."""
    plain = tenant.client()
    assert [False] * 2 == [plain.custom_token_exchange(options()).from_cache for _ in range(2)]
    assert 2 == exchanges(tenant)
    for _ in range(2):
        assert not client.custom_token_exchange(options(), use_cache=False).from_cache
    assert not client.custom_token_exchange(options()).from_cache
    assert 5 == exchanges(tenant)


def test_a_token_is_not_handed_out_shortly_before_it_expires(
    client: ServerClient, tenant: LocalTenant, clock: FakeClock
) -> None:
    """Sixty seconds before the end a new exchange is made."""
    client.custom_token_exchange(options())
    clock.advance(LIFETIME - 61)
    assert 61 == client.custom_token_exchange(options()).expires_in
    clock.advance(1)
    assert LIFETIME == client.custom_token_exchange(options()).expires_in
    assert 2 == exchanges(tenant)


def test_skew_and_age_are_settable(tenant: LocalTenant, clock: FakeClock) -> None:
    """A token is handed out for as long as is said, and no longer than it lives."""
    client = tenant.client(exchange_cache=ExchangeCache(skew=0, max_age=30))
    client.custom_token_exchange(options())
    clock.advance(29)
    assert client.custom_token_exchange(options()).from_cache
    clock.advance(1)
    assert not client.custom_token_exchange(options()).from_cache
    without_age = tenant.client(exchange_cache=ExchangeCache(skew=0))
    without_age.custom_token_exchange(options())
    clock.advance(LIFETIME - 1)
    assert 1 == without_age.custom_token_exchange(options()).expires_in
    clock.advance(1)
    assert not without_age.custom_token_exchange(options()).from_cache


def test_a_clock_that_is_set_back_prolongs_nothing(tenant: LocalTenant, clock: FakeClock) -> None:
    """A token that has been there for as long as it lives is over, whatever the time of day is."""
    now = [0.0]
    client = tenant.client(exchange_cache=ExchangeCache(monotonic=lambda: now[0]))
    client.custom_token_exchange(options())
    now[0] = LIFETIME - 59.0
    assert not client.custom_token_exchange(options()).from_cache


def test_the_least_recently_used_goes_first(tenant: LocalTenant) -> None:
    """A full cache makes room, and what was used last stays."""
    cache = ExchangeCache(2)
    client = tenant.client(exchange_cache=cache)
    for user in ("auth0|0", "auth0|1", "auth0|0", "auth0|2"):
        client.custom_token_exchange(options(user))
    assert 2 == len(cache)
    assert client.custom_token_exchange(options("auth0|0")).from_cache
    assert not client.custom_token_exchange(options("auth0|1")).from_cache


def test_what_has_expired_makes_room(tenant: LocalTenant, clock: FakeClock) -> None:
    """Tokens that are over do not stay in memory until the cache is full."""
    cache = ExchangeCache()
    client = tenant.client(exchange_cache=cache)
    for user in ("auth0|0", "auth0|1"):
        client.custom_token_exchange(options(user))
    clock.advance(LIFETIME)
    client.custom_token_exchange(options("auth0|2"))
    assert 1 == len(cache)


def test_one_response_can_be_forgotten(client: ServerClient, cache: ExchangeCache) -> None:
    """The entry with the token that an API refused goes, and no other; a token that is not kept is told."""
    refused = client.custom_token_exchange(options("auth0|0")).access_token
    other = client.custom_token_exchange(options("auth0|1")).access_token
    assert client.forget_exchanged_token(refused)
    assert not client.forget_exchanged_token(refused)
    assert not client.custom_token_exchange(options("auth0|0")).from_cache
    assert other == client.custom_token_exchange(options("auth0|1")).access_token
    assert not client.forget_exchanged_token(refused)
    assert client.custom_token_exchange(options("auth0|0")).from_cache
    cache.clear()
    assert 0 == len(cache)


def test_without_a_cache_there_is_nothing_to_forget(tenant: LocalTenant) -> None:
    """Forgetting is no error where nothing is kept; what is no token is."""
    assert tenant.client().forget_exchanged_token("a-token") is False
    with pytest.raises(CustomTokenExchangeError, match="Bearer prefix"):
        tenant.client().forget_exchanged_token("Bearer a-token")


def test_what_one_caller_does_to_a_response_reaches_no_other(client: ServerClient) -> None:
    """Claims and extra fields are each caller's own."""
    for _ in range(3):
        claims: Any = client.custom_token_exchange(options(scope="openid")).claims
        assert "auth0|0" == claims["sub"]
        claims["sub"] = "auth0|1"


def test_a_login_always_exchanges(tenant: LocalTenant, cache: ExchangeCache) -> None:
    """Nobody is logged in by an exchange of before."""
    client = tenant.client(exchange_cache=cache, secret="x" * 40, state_store=MemoryStateStore())
    client.custom_token_exchange(options(scope="openid"))
    for _ in range(2):
        client.login_with_custom_token_exchange(options(scope="openid"), {"cookies": {}})
    assert (3, 1) == (exchanges(tenant), len(cache))


def test_on_behalf_of_is_reused(tenant: LocalTenant, cache: ExchangeCache) -> None:
    """An API that calls on for a user exchanges the user's token once a downstream API."""
    tenant.add_api("https://calendar.example.com")
    tenant.add_application("api", resource_server=API)
    users = tenant.client().custom_token_exchange(options()).access_token
    client = tenant.client(client_id="api", exchange_cache=cache)
    tokens = [client.get_token_on_behalf_of(users, "https://calendar.example.com") for _ in range(3)]
    assert 1 == len({each.access_token for each in tokens})
    assert [False, True, True] == [each.from_cache for each in tokens]


ONE_SHOT = [
    {"issued_token_type": SESSION_TRANSFER_TOKEN, "token_type": "N_A"},
    {"issued_token_type": SESSION_TRANSFER_TOKEN},
    {"issued_token_type": "urn:acme:ticket"},
    {"issued_token_type": ID_TOKEN},
    {"token_type": "N_A"},
]


@pytest.mark.parametrize("fields", ONE_SHOT)
def test_what_is_good_for_one_use_is_given_once(fields: dict[str, str], raw_server: RawServer) -> None:
    """A token of a kind that is not known to last is neither kept nor shared with who asks at the same time."""
    numbers = itertools.count()

    def answer(request: Any, connection: Any) -> None:
        body = '{"access_token": "t%d", "expires_in": 3600, %s}'
        members = ", ".join(f'"{name}": "{value}"' for name, value in fields.items())
        connection.sendall(reply(body % (next(numbers), members)))

    raw_server.scripts = [answer]
    with ServerClient(raw_server.url, "c", "s", exchange_cache=ExchangeCache()) as client:
        tokens = at_once(*[lambda: client.custom_token_exchange(options()).access_token] * 8)
        tokens.append(client.custom_token_exchange(options()).access_token)
    assert 9 == len(set(tokens)) == len(raw_server.arrived)


def test_a_session_transfer_is_never_reused(tenant: LocalTenant, cache: ExchangeCache) -> None:
    """Whichever way it is asked for, each session transfer token is a new one."""
    client = tenant.client(exchange_cache=cache)
    actor = tenant.id_token("auth0|1")

    @tenant.action("urn:acme:customer")
    def impersonate(event: Any, api: Any) -> None:
        api.authentication.set_user_by_id("auth0|0")
        api.authentication.set_actor({"sub": "auth0|1"})

    tokens = set()
    for _ in range(2):
        tokens.add(client.request_session_transfer_token("a-proof", "urn:acme:customer", actor).session_transfer_token)
        given = {"subject_token": "a-proof", "subject_token_type": "urn:acme:customer", "actor_token": actor}
        given |= {"actor_token_type": ID_TOKEN, "audience": f"urn:{tenant.domain}:session_transfer"}
        tokens.add(client.custom_token_exchange(given).access_token)
    assert (4, 0) == (len(tokens), len(cache))


@pytest.mark.parametrize("lifetime", ["", ', "expires_in": 60', ', "expires_in": 0'])
def test_a_token_without_a_lifetime_is_not_kept(lifetime: str, raw_server: RawServer) -> None:
    """Who does not know how long a token lives, or knows that it is about to end, does not keep it."""
    raw_server.scripts = [send(reply(f'{{"access_token": "t"{lifetime}}}'))]
    with ServerClient(raw_server.url, "c", "s", exchange_cache=ExchangeCache()) as client:
        for _ in range(2):
            assert not client.custom_token_exchange(options()).from_cache
    assert 2 == len(raw_server.arrived)


def test_an_id_token_that_could_not_be_verified_is_tried_anew(tenant: LocalTenant, cache: ExchangeCache) -> None:
    """A response without its claims, because the keys could not be had, say, is not what all others get."""
    client = tenant.client(exchange_cache=cache, retry=RetryPolicy(sleep=lambda _: None))
    tenant.fail_next(503, times=10, path="/.well-known/jwks.json")
    errors = [client.custom_token_exchange(options(scope="openid")).id_token_error for _ in range(2)]
    assert None not in errors
    assert (2, 0) == (exchanges(tenant), len(cache))


def test_a_delegation_that_is_not_confirmed_says_so_each_time(client: ServerClient, tenant: LocalTenant) -> None:
    """Without openid nothing confirms the actor; the reused response says it as the first one did."""
    given = options(actor_token="an-actor", actor_token_type="urn:acme:agent")
    errors = [client.custom_token_exchange(given).act_error for _ in range(2)]
    assert ["MISSING_ID_TOKEN"] * 2 == [error and error.code for error in errors]
    assert errors[0] is not errors[1]
    assert 1 == exchanges(tenant)


def test_actors_are_reused_with_the_claims(tenant: LocalTenant, client: ServerClient) -> None:
    """The chain of actors of a reused response is the verified one."""

    @tenant.action(TYPE)
    def delegate(event: Any, api: Any) -> None:
        api.authentication.set_user_by_id("auth0|0")
        api.authentication.set_actor({"sub": "agent", "act": {"sub": "first"}})

    chains = [client.custom_token_exchange(options(scope="openid")).delegation_chain() for _ in range(2)]
    assert [["agent", "first"]] * 2 == [[actor.sub for actor in chain] for chain in chains]


def test_suppliers_are_called_each_time(client: ServerClient, tenant: LocalTenant) -> None:
    """Only the token tells whose tokens are wanted, so a function is called for it, reused or not."""
    users = iter(["auth0|0", "auth0|0", "auth0|1"])
    tokens = [client.custom_token_exchange(options(lambda: next(users))).access_token for _ in range(3)]
    assert ["auth0|0", "auth0|0", "auth0|1"] == [sub_of(token) for token in tokens]
    assert 2 == exchanges(tenant)


@pytest.mark.parametrize("kind", ["threads", "asyncio", "trio"])
def test_a_thousand_calls_make_one_exchange(kind: str, tenant: LocalTenant, cache: ExchangeCache) -> None:
    """However many want the same at the same time, one exchange is made, and all get what it brought."""
    client = tenant.client(exchange_cache=cache)
    if kind == "threads":
        tokens = at_once(*[lambda: client.custom_token_exchange(options()).access_token] * 1000)
    else:
        tokens = anyio.run(_gather, AsyncServerClient.from_sync(client), ["auth0|0"] * 1000, backend=kind)
    assert 1000 == len(tokens)
    assert 1 == len(set(tokens)) == exchanges(tenant)
    assert "auth0|0" == sub_of(str(tokens[0]))


@load
@pytest.mark.parametrize("kind", ["threads", "asyncio", "trio"])
def test_many_users_get_their_own(kind: str) -> None:
    """Nobody ever gets another user's token, the first time or afterwards."""
    users = [f"auth0|{number}" for number in range(sized(1000, 250))]
    tenant = make_tenant(len(users))
    client = tenant.client(exchange_cache=ExchangeCache())
    for _ in range(2):
        if kind == "threads":
            work = [lambda user=user: client.custom_token_exchange(options(user)).access_token for user in users]
            tokens = at_once(*work)
        else:
            tokens = anyio.run(_gather, AsyncServerClient.from_sync(client), users, backend=kind)
        assert users == [sub_of(str(token)) for token in tokens]
    assert len(users) == exchanges(tenant)


async def _gather(client: AsyncServerClient, users: list[str]) -> list[Any]:
    tokens: list[Any] = [None] * len(users)

    async def exchange(number: int) -> None:
        tokens[number] = (await client.custom_token_exchange(options(users[number]))).access_token

    async with anyio.create_task_group() as tasks:
        for number in range(len(users)):
            tasks.start_soon(exchange, number)
    return tokens


def held_back(**settings: Any) -> tuple[LocalTenant, Gate]:
    gate = Gate()
    tenant = make_tenant(sleep=gate)
    tenant.fail_next(delay=1, path="/oauth/token", **settings)
    return tenant, gate


def wait_for_waiters(cache: ExchangeCache | RedisExchangeCache, count: int) -> None:
    """Wait until as many calls wait for the one that is under way."""
    end = time.monotonic() + DEADLINE
    while cache.waiting < count:
        assert time.monotonic() < end
        time.sleep(0.005)
    assert count == cache.waiting


def test_a_failure_is_everybodys_and_nobodys_later(cache: ExchangeCache) -> None:
    """Who waited for an exchange that fails gets an error of his own, nothing is sent again, and nothing is kept."""
    tenant, gate = held_back()
    client = tenant.client(exchange_cache=cache)
    with ThreadPoolExecutor(50) as pool:
        futures = [pool.submit(client.custom_token_exchange, options("bad")) for _ in range(50)]
        assert gate.reached.wait(DEADLINE)
        wait_for_waiters(cache, 49)
        gate.opened.set()
        errors = [future.exception(DEADLINE) for future in futures]
    assert 50 == len({id(error) for error in errors})
    assert {("invalid_request", "Unknown token.", 400)} == {
        (error.code, error.message, error.status_code)
        for error in errors
        if isinstance(error, CustomTokenExchangeError)
    }
    assert {CustomTokenExchangeError} == {type(error) for error in errors}
    assert (1, 0) == (exchanges(tenant), len(cache))
    with pytest.raises(CustomTokenExchangeError):
        client.custom_token_exchange(options("bad"))
    assert 2 == exchanges(tenant)


def test_who_waits_too_long_gives_up_with_nothing_sent(cache: ExchangeCache) -> None:
    """The deadline of a call that waits for another one's exchange is its own."""
    tenant, gate = held_back()
    client = tenant.client(exchange_cache=cache)
    hasty = tenant.client(exchange_cache=cache, timeout=0.05)
    with ThreadPoolExecutor(1) as pool:
        leader = pool.submit(client.custom_token_exchange, options())
        assert gate.reached.wait(DEADLINE)
        with pytest.raises(TransportTimeoutError, match="sent nothing") as caught:
            hasty.custom_token_exchange(options())
        assert isinstance(caught.value, CustomTokenExchangeError)
        assert caught.value.may_have_reached_server  # by the one who exchanges
        sent = exchanges(tenant)
        gate.opened.set()
        token = leader.result(DEADLINE).access_token
    assert 1 == sent == exchanges(tenant)
    assert token == hasty.custom_token_exchange(options()).access_token


@pytest.mark.parametrize("kind", ["asyncio", "trio"])
def test_a_cancelled_leader_takes_nobody_along(kind: str, raw_server: RawServer, cache: ExchangeCache) -> None:
    """When the call that led is cancelled while it waits for a retry, another one takes its place."""
    raw_server.scripts = [
        send(reply("", "429 Too Many", ["Retry-After: 9"])),
        send(reply('{"access_token": "t", "expires_in": 600}')),
    ]

    async def main() -> str:
        async with AsyncServerClient(raw_server.url, "c", "s", exchange_cache=cache) as client:
            tokens: list[str] = []

            async def exchange() -> None:
                tokens.append((await client.custom_token_exchange(options())).access_token)

            async with anyio.create_task_group() as others:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(exchange)
                    while not raw_server.arrived:
                        await anyio.sleep(0.01)
                    others.start_soon(exchange)
                    await anyio.to_thread.run_sync(wait_for_waiters, cache, 1)
                    tasks.cancel_scope.cancel()
            return "".join(tokens)

    assert "t" == anyio.run(main, backend=kind)
    assert 2 == len(raw_server.arrived)


def test_an_interrupt_is_the_leaders_alone(tenant: LocalTenant, cache: ExchangeCache) -> None:
    """An interrupted call raises the interrupt; who waited for it gets an error, and sends nothing."""
    gate = Gate()

    def interrupted(_event: object) -> None:
        gate(0)
        raise KeyboardInterrupt

    client = tenant.client(exchange_cache=cache, on_event=interrupted)
    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(client.custom_token_exchange, options())
        assert gate.reached.wait(DEADLINE)
        waiter = pool.submit(client.custom_token_exchange, options())
        wait_for_waiters(cache, 1)
        gate.opened.set()
        assert isinstance(leader.exception(DEADLINE), KeyboardInterrupt)
        error = waiter.exception(DEADLINE)
    assert isinstance(error, CustomTokenExchangeError)
    assert "KeyboardInterrupt" in error.message
    assert error.may_have_reached_server  # by the one who was interrupted
    assert 0 == exchanges(tenant)


def test_clearing_counts_for_exchanges_under_way(cache: ExchangeCache) -> None:
    """What was asked for before the cache was cleared is not kept, and not given to who asks afterwards."""
    tenant, gate = held_back()
    client = tenant.client(exchange_cache=cache)
    with ThreadPoolExecutor(1) as pool:
        before = pool.submit(client.custom_token_exchange, options())
        assert gate.reached.wait(DEADLINE)
        cache.clear()
        after = client.custom_token_exchange(options())
        gate.opened.set()
        assert after.access_token != before.result(DEADLINE).access_token
    assert after.access_token == client.custom_token_exchange(options()).access_token
    assert 2 == exchanges(tenant)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_goes_on(cache: ExchangeCache) -> None:
    """A child of a process with an exchange under way neither waits for it nor loses what was kept."""
    gate = Gate()
    tenant = make_tenant(sleep=gate)
    client = tenant.client(exchange_cache=cache)
    kept = client.custom_token_exchange(options("auth0|1")).access_token
    tenant.fail_next(delay=1, path="/oauth/token")

    def work() -> bool:
        same = client.custom_token_exchange(options("auth0|1")).access_token == kept
        return same and sub_of(client.custom_token_exchange(options("auth0|0")).access_token) == "auth0|0"

    with ThreadPoolExecutor(2) as pool:
        under_way = pool.submit(client.custom_token_exchange, options("auth0|0"))
        assert gate.reached.wait(DEADLINE)
        waiter = pool.submit(client.custom_token_exchange, options("auth0|0"))
        wait_for_waiters(cache, 1)
        assert 0 == run_in_child(work)
        gate.opened.set()
        assert under_way.result(DEADLINE).access_token == waiter.result(DEADLINE).access_token


def make_request(**changes: Any) -> ExchangeRequest:
    usual: dict[str, Any] = {
        "issuer": "https://tenant.auth0.com/",
        "client_id": "the-client",
        "credentials": credentials_of(ClientSecretPost("secret")),
        "form": [("subject_token", "ada"), ("scope", "a b")],
        "headers": {},
        "dpop_thumbprint": None,
    }
    return ExchangeRequest(**{**usual, **changes})


DIFFERENT: list[dict[str, Any]] = [
    {},
    {"issuer": "https://tenant.auth0.com"},
    {"issuer": "https://other.auth0.com/"},
    {"client_id": "the-clien"},
    {"client_id": "the-clientt"},
    {"credentials": credentials_of(ClientSecretPost("secret2"))},
    {"credentials": credentials_of(ClientSecretBasic("secret"))},
    {"credentials": credentials_of(PublicClient())},
    {"credentials": []},
    {"credentials": ["", None, None]},
    {"credentials": [None, "", None]},
    {"headers": {"auth0-forwarded-for": "198.51.100.7"}},
    {"headers": {"auth0-forwarded-for": "198.51.100.8"}},
    {"dpop_thumbprint": "thumb"},
    {"dpop_thumbprint": ""},
    {"form": []},
    {"form": [("subject_token", "ada")]},
    {"form": [("subject_token", ""), ("scope", "a b")]},
    {"form": [("subject_token", "a"), ("scope", "daa b")]},
    {"form": [("subject_token", "adas"), ("cope", "a b")]},
    {"form": [("subject_token", "ada"), ("scope", "a"), ("scope", "b")]},
    {"form": [("subject_token", "ada"), ("scope", "b"), ("scope", "a")]},
    {"form": [("subject_token", "ada"), ("scope", "b a")]},
    {"form": [("subject_token", "ada"), ("scope", "a b"), ("", "")]},
    {"form": [("subject_token", "ada"), ("scope", "a b"), ("", ""), ("", "")]},
    {"form": [("subject_token", "ada"), ("scope", "a b"), ("x", "")]},
    {"form": [("subject_token", "ada"), ("scope", "a b"), ("", "x")]},
    {"form": [("subject_token", "ada"), ("scope", "a b"), ("x", "1")]},
    {"form": [("subject_token", "ada"), ("scope", "a b"), ("X", "1")]},
    {"form": [("subject_token", "ada\x00"), ("scope", "a b")]},
    {"form": [("subject_token", "ada"), ("scope", "a b\ud800")]},
    {"form": [("subject_token", "ada"), ("scope", "ab s5:scope")]},
    {"form": [("subject_token", "adas5:scopes3:a b")]},
]


def test_different_requests_never_share_a_name() -> None:
    """Whatever differs, an empty part or a boundary that is shifted too, is filed under another name."""
    names = [make_request(**changes).name(KEY) for changes in DIFFERENT]
    assert len(DIFFERENT) == len(set(names))
    assert not set(names) & {make_request(**changes).name(b"j" * 32) for changes in DIFFERENT}


def test_the_same_request_has_the_same_name() -> None:
    """The order of parameters means nothing; equal credentials are the same."""
    form = [("scope", "a b"), ("subject_token", "ada")]
    assert make_request().name(KEY) == make_request(form=form).name(KEY)
    headers = {"AUTH0-Forwarded-For": "::1"}
    assert make_request(headers=headers).name(KEY) == make_request(headers={"auth0-forwarded-for": "::1"}).name(KEY)


def test_random_requests_share_a_name_only_when_they_are_equal() -> None:
    """Of thousands of forms out of the fewest characters, with the marks of the encoding among them, no two collide."""
    draw = random.Random(8693)
    texts = ["", "s", "l", "-", ":", "1", "s0:", "l0:", "s1:s", "-s0:", "l1:-", "\x00", "é"]
    seen: dict[str, Any] = {}
    for _ in range(20_000):
        form = [
            ("".join(draw.choices(texts, k=draw.randint(0, 2))), "".join(draw.choices(texts, k=draw.randint(0, 3))))
            for _ in range(draw.randint(0, 4))
        ]
        meaning = (tuple(sorted(form, key=lambda pair: pair[0])), draw.choice([None, *texts[:4]]))
        name = make_request(form=form, dpop_thumbprint=meaning[1]).name(KEY)
        assert meaning == seen.setdefault(name, meaning)


VARIATIONS: list[dict[str, Any]] = [
    {},
    {"subject_token": "auth0|1"},
    {"audience": "https://other.example.com"},
    {"scope": "read"},
    {"scope": ["read", "write"]},
    {"scope": "openid"},
    {"resource": "https://r.example.com"},
    {"organization": "org_1"},
    {"forwarded_for": "198.51.100.7"},
    {"authorization_params": {"x": "1"}},
    {"authorization_params": {"x": "2"}},
    {"authorization_params": {"x": ["1", "2"]}},
    {"authorization_params": {"y": "1"}},
    {"actor_token": "a", "actor_token_type": "urn:acme:agent"},
    {"actor_token": "b", "actor_token_type": "urn:acme:agent"},
    {"actor_token": "a", "actor_token_type": "urn:acme:agent2"},
]


def test_every_option_makes_a_difference(tenant: LocalTenant, cache: ExchangeCache) -> None:
    """Calls whose options differ in anything exchange each for itself, and are reused each for itself."""
    tenant.add_api("https://other.example.com")
    tenant.add_organization("org_1", name="acme")
    client = tenant.client(exchange_cache=cache)
    first = [client.custom_token_exchange(options(**{"user": "auth0|0", **each})) for each in _by_user()]
    again = [client.custom_token_exchange(options(**{"user": "auth0|0", **each})) for each in _by_user()]
    assert len(VARIATIONS) == exchanges(tenant) == len({each.access_token for each in first})
    assert [each.access_token for each in first] == [each.access_token for each in again]


def _by_user() -> list[dict[str, Any]]:
    return [{"user" if name == "subject_token" else name: each[name] for name in each} for each in VARIATIONS]


def test_domains_applications_and_credentials_share_nothing(cache: ExchangeCache) -> None:
    """Clients may have one cache; tenants, applications and secrets stay apart in it."""
    tenants = [make_tenant(), make_tenant(domain="other.auth0.local")]
    tenants[0].add_application("other-client", "other-secret")
    clients = [tenants[0].client(exchange_cache=cache), tenants[1].client(exchange_cache=cache)]
    clients.append(tenants[0].client(exchange_cache=cache, client_id="other-client"))
    tokens = {client.custom_token_exchange(options()).access_token for client in clients}
    assert (3, 3) == (len(tokens), len(cache))
    wrong = tenants[0].client(exchange_cache=cache, client_secret="a-wrong-secret")
    with pytest.raises(CustomTokenExchangeError, match="Unauthorized"):
        wrong.custom_token_exchange(options())


def test_a_resolver_decides_each_time(cache: ExchangeCache) -> None:
    """With a domain that is a function, each tenant has its own entries."""
    one, two = make_tenant(), make_tenant(domain="other.auth0.local")
    two.add_application(one.client_id, one.client_secret)
    domains = itertools.cycle([one.domain, two.domain])
    session = one.session(beside=[two])
    client = one.client(domain=lambda _context: next(domains), session=session, exchange_cache=cache)
    tokens = [client.custom_token_exchange(options()).access_token for _ in range(4)]
    assert tokens[:2] == tokens[2:]
    assert (1, 1) == (exchanges(one), exchanges(two))


@pytest.mark.parametrize(
    "arguments",
    [{"max_entries": 0}, {"max_entries": True}, {"max_entries": 1.5}, {"skew": -1}, {"skew": None}, {"max_age": "1"}],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any]) -> None:
    """What cannot work is told at construction."""
    with pytest.raises(ConfigurationError, match=next(iter(arguments))):
        ExchangeCache(**arguments)


@pytest.mark.parametrize("cache", [ExchangeCache, object(), "redis://localhost"])
def test_what_is_no_cache_is_refused(cache: Any, tenant: LocalTenant) -> None:
    """A client takes an instance with the methods of a cache."""
    with pytest.raises(ConfigurationError, match="exchange_cache must be a cache"):
        tenant.client(exchange_cache=cache)


class Recorder:
    """A cache of the user's own: of the fewest lines."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def fetch(self, request: ExchangeRequest, exchange: Any, clock: Any, deadline: Any) -> Any:
        name = request.name(KEY)
        if name not in self.kept:
            assert 0 < deadline.remaining() <= 15
            self.kept[name] = exchange()
        return self.kept[name]

    def forget(self, access_token: str) -> bool:
        return False

    def clear(self) -> None:
        self.kept.clear()


def test_a_cache_of_ones_own(tenant: LocalTenant) -> None:
    """Anything with the three methods serves."""
    cache = Recorder()
    client = tenant.client(exchange_cache=cache)
    assert client.custom_token_exchange(options()) is client.custom_token_exchange(options())
    assert cache is client.exchange_cache
    assert 1 == exchanges(tenant)


@pytest.fixture
def canaries(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """Texts that must not be in the log when the test is over."""
    found: list[str] = []
    with caplog.at_level(logging.DEBUG):
        yield found
    assert not [text for text in found if text in caplog.text]


def test_no_token_shows(tenant: LocalTenant, cache: ExchangeCache, canaries: list[str]) -> None:
    """Neither repr nor log nor the frames of an error show a token, and no subject token is kept."""
    client = tenant.client(exchange_cache=cache)
    response = client.custom_token_exchange(options(scope="openid offline_access", authorization_params={"x": "extra"}))
    canaries += [response.access_token, str(response.id_token), str(response.refresh_token), "bad-canary"]
    request = make_request(form=[("subject_token", "bad-canary")])
    with pytest.raises(CustomTokenExchangeError) as caught:
        client.custom_token_exchange(options("bad-canary"))
    shown = f"{cache!r} {client!r} {response!r} {request!r} {cache.__dict__!r} {shown_by(caught.value)}"
    assert "Unknown token." in shown
    assert [] == [canary for canary in canaries if canary in shown]
    kept = client.custom_token_exchange(options("auth0|1")).access_token
    texts = _texts_in(cache)
    assert kept in texts
    assert [] == [text for text in texts if "auth0|1" in text]


def _texts_in(root: object) -> set[str]:
    """Collect all text that an object holds, however deep; of functions, modules and classes nothing."""
    found: set[str] = set()
    seen: set[int] = set()
    waiting: list[object] = [root]
    while waiting:
        each = waiting.pop()
        if id(each) in seen or isinstance(each, type | ModuleType | FunctionType | BuiltinFunctionType):
            continue
        seen.add(id(each))
        if isinstance(each, str | bytes):
            found.add(each if isinstance(each, str) else each.decode("latin-1"))
        waiting += gc.get_referents(each)
    return found


def test_a_hit_needs_no_network(tenant: LocalTenant, cache: ExchangeCache) -> None:
    """A reused response is there while Auth0 is not."""
    client = tenant.client(exchange_cache=cache)
    client.custom_token_exchange(options())
    tenant.fail_next(fault="reset", times=100)
    assert client.custom_token_exchange(options()).from_cache


def test_the_form_is_what_is_sent(tenant: LocalTenant) -> None:
    """The name is made of the very parameters of the request."""
    seen: list[ExchangeRequest] = []

    class Recording(ExchangeCache):
        def fetch(self, request: ExchangeRequest, exchange: Any, clock: Any, deadline: Any) -> Any:
            seen.append(request)
            return super().fetch(request, exchange, clock, deadline)

    settings = {"authorization_params": {"tier": "gold"}, "organization": None}
    client = tenant.client(exchange_cache=Recording(), **settings)
    client.custom_token_exchange(options(scope=["a", "b"], authorization_params={"flag": True}))
    asked = options(scope=["a", "b"], authorization_params={"flag": True, "tier": "gold"})
    sent = {name: value for name, value in tenant.token_requests[-1].form.items() if name != "client_secret"}
    assert dict(to_form(CustomTokenExchangeOptions(**asked), tenant.client_id)) == sent
    assert [request_of(client, asked).name(KEY)] == [request.name(KEY) for request in seen]


def test_what_one_caller_changes_no_other_sees(cache: ExchangeCache, raw_server: RawServer) -> None:
    """Members of a reply are each caller's own, however deep they lie; so are those of the one who exchanged."""
    deep = '{"access_token": "t", "expires_in": 600, "more": {"list": [{"deep": 1}]}}'
    raw_server.scripts = [send(reply(deep))]
    with ServerClient(raw_server.url, "c", "s", exchange_cache=cache) as client:
        for _ in range(3):
            extra: Any = client.custom_token_exchange(options()).extra
            assert {"more": {"list": [{"deep": 1}]}} == extra
            extra["more"]["list"][0]["deep"] = 2
            extra["more"]["list"].append("another")
            extra["more"]["new"] = extra["new"] = 3
    assert 1 == len(raw_server.arrived)


def test_a_failure_after_a_pause_is_everybodys(cache: ExchangeCache, raw_server: RawServer) -> None:
    """Who led waited for a retry, and was refused then: nobody takes its place, because a request was under way."""
    refused, waiting = threading.Event(), threading.Event()

    def refuse(request: Arrived, connection: socket.socket) -> None:
        refused.set()
        assert waiting.wait(DEADLINE)
        send(reply('{"error": "invalid_request"}', "400 Bad Request"))(request, connection)

    raw_server.scripts = [send(reply("", "429 Too Many", ["Retry-After: 0"])), refuse]
    with ServerClient(raw_server.url, "c", "s", exchange_cache=cache) as client, ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(client.custom_token_exchange, options()) for _ in range(3)]
        assert refused.wait(DEADLINE)
        wait_for_waiters(cache, 2)
        waiting.set()
        errors = [call.exception(DEADLINE) for call in calls]
    assert ["invalid_request"] * 3 == [getattr(error, "code", None) for error in errors]
    assert 2 == len(raw_server.arrived)
