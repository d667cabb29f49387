"""Many threads, clients and processes over the same sessions: nobody sees another's, and one refresh is one refresh."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import pytest

from auth0_cte import AccessTokenError, ServerClient, SessionError
from auth0_cte.session.stores.contract import StateStore
from auth0_cte.testing import FakeClock, LocalTenant
from tests.exchanges import TYPE, Gate, at_once, sub_of
from tests.load import load, sized
from tests.session.clients import SECRET, MakeClient, new_jar, options, refreshes
from tests.session.jobs import THREADS as THREADS_OF_A_PROCESS
from tests.session.jobs import open_store
from tests.session.stores import redis_cache_store, redis_store, sql_store
from tests.workers import Worker, do_at_once

USERS = sized(200, 50)
THREADS = 50
LIFETIME = 600
API = "https://api.example.com"
DEADLINE = 30.0
SERVERS = {"redis": "redis_server", "postgresql": "postgres_server"}

T = TypeVar("T")


@pytest.fixture
def short_lived(tenant: LocalTenant) -> LocalTenant:
    """The tenant, with access tokens that live ten minutes."""
    tenant.add_api(API, token_lifetime=LIFETIME)
    tenant.apis.default_audience = API
    return tenant


@pytest.fixture(params=["redis", "sqlite", "postgresql", "django-redis"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """The URL of each store that processes can share, and a name that is this test's own."""
    name = f"shared{abs(hash(str(tmp_path)))}"
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'sessions.db'}", name
    if request.param == "django-redis":
        return f"django+{request.getfixturevalue('redis_server').url}", name
    return request.getfixturevalue(SERVERS[request.param]).url, name


def log_in(client: ServerClient, user: str = "auth0|ada", **more: Any) -> dict[str, str]:
    jar = new_jar()
    client.login_with_custom_token_exchange(options(user, scope="offline_access", **more), {"cookies": jar})
    return jar


@load
@pytest.mark.parametrize("kind", ["redis", "sqlite", "postgresql", "django-redis"])
def test_a_crowd_at_once_sees_itself_alone(
    kind: str, short_lived: LocalTenant, clock: FakeClock, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Each of many threads logs its user in, and reads that user and its own tokens, before and after expiry."""
    barrier = threading.Barrier(USERS)
    expiry = threading.Barrier(USERS, action=lambda: clock.advance(LIFETIME))

    def use(client: ServerClient, user: str) -> set[str]:
        barrier.wait(DEADLINE)
        jar = log_in(client, user)
        seen = _look_around(client, jar)
        expiry.wait(DEADLINE)
        return seen | _look_around(client, jar)

    def safely(client: ServerClient, user: str) -> set[str]:
        try:
            return use(client, user)
        except BaseException:
            barrier.abort()
            expiry.abort()
            raise

    users = [f"auth0|{number}" for number in range(USERS)]
    with _open(kind, request, tmp_path) as store, ThreadPoolExecutor(USERS) as pool:
        client = short_lived.client(secret=SECRET, state_store=store)
        futures = [pool.submit(safely, client, user) for user in users]
        errors = [future.exception() for future in futures]
        real = [error for error in errors if error and not isinstance(error, threading.BrokenBarrierError)]
        assert [] == real, f"{len(real)} of {USERS} failed"
        assert [{user} for user in users] == [future.result() for future in futures]
    assert USERS == refreshes(short_lived)


def _look_around(client: ServerClient, jar: dict[str, str]) -> set[str]:
    seen = set()
    for _ in range(2):
        user = client.get_user({"cookies": jar})
        seen.add(str(user and user["sub"]))
        seen.add(sub_of(client.get_access_token({"cookies": jar})))
    return seen


@contextmanager
def _open(kind: str, request: pytest.FixtureRequest, directory: Path) -> Iterator[StateStore]:
    name = f"many{kind}"
    if kind == "redis":
        with redis_store(request.getfixturevalue("redis_server").url, name) as redis:
            yield redis
    elif kind == "postgresql":
        with sql_store(request.getfixturevalue("postgres_server").url, name) as sql:
            yield sql
    elif kind == "django-redis":
        with redis_cache_store(request.getfixturevalue("redis_server").url, name) as cache:
            yield cache
    else:
        with sql_store(f"sqlite:///{directory / 'many.db'}") as sql:
            yield sql


def test_fifty_threads_make_one_refresh(
    short_lived: LocalTenant, store: StateStore, clock: FakeClock, make_client: MakeClient
) -> None:
    """However many ask for the token of one expired session, one refresh is made, and all get what it brought."""
    client = make_client(short_lived, store)
    jar = log_in(client)
    expired = client.get_access_token({"cookies": jar})
    for rounds in (1, 2):
        clock.advance(LIFETIME)
        jars = [dict(jar) for _ in range(THREADS)]
        tokens = at_once(*[lambda each=each: client.get_access_token({"cookies": each}) for each in jars])
        assert 1 == len(set(tokens))
        assert expired != tokens[0]
        assert rounds == refreshes(short_lived)
        assert jars[0] == jars[-1]
        expired, jar = tokens[0], jars[-1]
    assert "auth0|ada" == (client.get_user({"cookies": jar}) or {})["sub"]


def test_two_clients_make_one_refresh(
    short_lived: LocalTenant, shared: tuple[str, str], clock: FakeClock, make_client: MakeClient
) -> None:
    """Clients that share nothing but the server of their sessions make one refresh between them."""
    with ExitStack() as stack:
        stores = [stack.enter_context(open_store(*shared)) for _ in range(2)]
        clients = [make_client(short_lived, store) for store in stores]
        jar = log_in(clients[0])
        clock.advance(LIFETIME)
        work = [lambda each=each: each.get_access_token({"cookies": dict(jar)}) for each in clients * 10]
        assert 1 == len(set(at_once(*work)))
    assert 1 == refreshes(short_lived)


def test_four_processes_make_one_refresh(
    short_lived: LocalTenant, shared: tuple[str, str], clock: FakeClock, workers: list[Worker]
) -> None:
    """Processes that serve the same application make one refresh among all of their threads."""
    with short_lived.serve() as server, open_store(*shared) as store:
        settings = {"domain": server.url, "client_id": short_lived.client_id}
        settings |= {"client_secret": short_lived.client_secret, "secret": SECRET}
        with server.client(secret=SECRET, state_store=store) as client:
            jar = log_in(client)
        clock.advance(LIFETIME)
        order = {"store": shared[0], "name": shared[1], "client": settings, "now": clock(), "jar": jar}
        orders = [order] * len(workers)
        tokens = list(chain.from_iterable(do_at_once(workers, "tests.session.jobs:refresh", orders, ready="auth0|ada")))
    assert 4 * THREADS_OF_A_PROCESS == len(tokens)
    assert 1 == len(set(tokens))
    assert 1 == refreshes(short_lived)


@pytest.mark.parametrize("how", ["logout", "back-channel logout", "login as another"])
def test_a_session_that_ends_during_its_refresh_stays_ended(
    how: str, server_store: StateStore, clock: FakeClock, make_client: MakeClient
) -> None:
    """While the tenant takes its time to refresh, the session ends: the refresh fails, and brings nothing back."""
    gate = Gate()
    tenant = LocalTenant(clock=clock, sleep=gate, default_audience=API)
    tenant.add_api(API, token_lifetime=LIFETIME)
    tenant.accept(TYPE, "auth0|ada")
    client = make_client(tenant, server_store)
    jar = log_in(client)
    session = client.get_session({"cookies": jar})
    assert session is not None
    clock.advance(LIFETIME)
    tenant.fail_next(delay=1, path="/oauth/token", grant_type="refresh_token")
    before = dict(jar)
    with ThreadPoolExecutor(1) as pool:
        refresh = pool.submit(client.get_access_token, {"cookies": dict(jar)})
        assert gate.reached.wait(DEADLINE)
        if how == "logout":
            client.logout(None, {"cookies": jar})
        elif how == "back-channel logout":
            assert 1 == client.handle_backchannel_logout(tenant.logout_token(sid=session.sid))
        else:
            log_in_again = options("auth0|ada")
            client.login_with_custom_token_exchange(log_in_again, {"cookies": jar})
        gate.opened.set()
        error = refresh.exception(DEADLINE)
    assert isinstance(error, AccessTokenError)
    assert "MISSING_SESSION" == error.code
    assert server_store.get(before["_a0_session_0"]) is None
    assert client.get_user({"cookies": before}) is None


def test_logouts_that_race_with_refreshes_win(
    short_lived: LocalTenant, server_store: StateStore, clock: FakeClock, make_client: MakeClient
) -> None:
    """However refreshes and a logout fall together, the session is gone when all are done."""
    client = make_client(short_lived, server_store)

    def ask(jar: dict[str, str]) -> str:
        try:
            return sub_of(client.get_access_token({"cookies": dict(jar)}))
        except AccessTokenError as error:
            return error.code

    for _ in range(10):
        jar = log_in(client)
        clock.advance(LIFETIME)
        *outcomes, _url = at_once(*[lambda: ask(jar)] * 4, lambda: client.logout(None, {"cookies": dict(jar)}))  # noqa: B023
        assert set(outcomes) <= {"auth0|ada", "MISSING_SESSION"}
        assert client.get_user({"cookies": jar}) is None
        assert server_store.get(jar["_a0_session_0"]) is None


def test_many_audiences_at_once(short_lived: LocalTenant, store: StateStore, make_client: MakeClient) -> None:
    """Threads that ask for the tokens of different APIs at the same time all get theirs: of as many as cookies hold."""
    client = make_client(short_lived, store)
    jar = log_in(client)
    audiences = [f"https://api-{number}.example.com" for number in range(4 if store.stateless else 12)]
    for audience in audiences:
        short_lived.add_api(audience, token_lifetime=LIFETIME)

    def ask(audience: str) -> str:
        return client.get_access_token({"cookies": dict(jar)}, audience)

    tokens = at_once(*[lambda each=each: ask(each) for each in audiences])
    payloads = [json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "==")) for token in tokens]
    assert audiences == [
        payload["aud"][0] if isinstance(payload["aud"], list) else payload["aud"] for payload in payloads
    ]


def test_a_late_request_for_another_audience_keeps_the_session(
    short_lived: LocalTenant, store: StateStore, make_client: MakeClient
) -> None:
    """A request with the cookies from before two refreshes goes on from the newest, not from a spent refresh token."""
    client = make_client(short_lived, store)
    jar = log_in(client)
    late = dict(jar)
    for number in range(3):
        short_lived.add_api(f"https://api-{number}.example.com", token_lifetime=LIFETIME)
    client.get_access_token({"cookies": jar}, "https://api-0.example.com")
    client.get_access_token({"cookies": jar}, "https://api-1.example.com")
    assert "auth0|ada" == sub_of(client.get_access_token({"cookies": late}, "https://api-2.example.com"))
    assert 1 == len(short_lived.refresh_tokens)


def test_requests_of_two_generations_make_one_refresh(
    short_lived: LocalTenant, store: StateStore, clock: FakeClock, make_client: MakeClient
) -> None:
    """Requests that bring the cookies from before and after a refresh share the next one."""
    gate = Gate()
    gate.opened.set()
    tenant = LocalTenant(clock=clock, sleep=gate, default_audience=API)
    tenant.add_api(API, token_lifetime=LIFETIME)
    tenant.add_api("https://other.example.com", token_lifetime=LIFETIME)
    tenant.accept(TYPE, "auth0|ada")
    client = make_client(tenant, store)
    jar = log_in(client)
    old = dict(jar)
    clock.advance(LIFETIME - 20)
    client.get_access_token({"cookies": jar}, "https://other.example.com")
    clock.advance(20)
    gate.opened.clear()
    gate.reached.clear()
    tenant.fail_next(delay=1, path="/oauth/token", grant_type="refresh_token")
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(client.get_access_token, {"cookies": jar})
        assert gate.reached.wait(DEADLINE)
        second = pool.submit(client.get_access_token, {"cookies": old})
        gate.opened.set()
        assert first.result(DEADLINE) == second.result(DEADLINE)
    assert 2 == refreshes(tenant)
    assert 1 == len(tenant.refresh_tokens)


def test_a_refresh_that_outgrows_the_cookies_keeps_the_session(
    short_lived: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """When one more access token is more than cookies hold, the rotated refresh token is not lost by it."""
    client = make_client(short_lived)
    jar = log_in(client)
    codes: set[str] = set()
    for number in range(12):
        audience = f"https://api-{number}.example.com"
        short_lived.add_api(audience, token_lifetime=LIFETIME)
        try:
            client.get_access_token({"cookies": jar}, audience)
        except SessionError as error:
            codes.add(error.code)
    assert codes <= {"SESSION_TOO_LARGE"}
    clock.advance(LIFETIME)
    assert "auth0|ada" == sub_of(client.get_access_token({"cookies": jar}))
    assert 1 == len(short_lived.refresh_tokens)


def test_a_cold_client_has_one_of_each_part(
    short_lived: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """Threads that are the first to use a client make its parts once, and one refresh with one refresh token."""
    jar = log_in(make_client(short_lived))
    clock.advance(LIFETIME)
    cold = make_client(short_lived)
    tokens = at_once(*[lambda: cold.get_access_token({"cookies": dict(jar)})] * THREADS)
    assert (1, 1) == (len(set(tokens)), refreshes(short_lived))
    client = short_lived.client(secret=SECRET)
    for part in ("sessions", "mfa", "authorization_server"):
        found = at_once(*[lambda part=part: id(getattr(client, part))] * THREADS)
        assert 1 == len(set(found)), part
