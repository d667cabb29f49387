"""Real servers of sessions that are killed, started again and frozen while threads use them."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest
from attrs import define, field, frozen

from auth0_cte import ServerClient, SessionError
from auth0_cte.session.stores.contract import StateStore
from auth0_cte.testing import LocalTenant
from tests.services import RedisServer, Server
from tests.session.clients import MakeClient, new_jar, options
from tests.session.stores import redis_cache_store, redis_store, sql_store

USERS = 6
DEADLINE = 30.0
LONGEST_CALL = 10.0
"""Two attempts of a second, and whatever a busy machine adds: it tells a call that ends from one that hangs."""

Jar = dict[str, str]

_numbers = itertools.count()


@frozen
class Outcome:
    """What one call of one thread came to."""

    user: str
    began: float
    ended: float
    seen: str | None = None
    error: SessionError | None = None


@define
class Load:
    """Threads that read their users' sessions all the time, and log in anew."""

    client: ServerClient
    jars: dict[str, Jar]
    outcomes: list[Outcome] = field(factory=list)
    faults: list[BaseException] = field(factory=list)
    ended: threading.Event = field(factory=threading.Event)

    def read(self, user: str) -> None:
        self._repeat(user, lambda: (self.client.get_user({"cookies": self.jars[user]}) or {}).get("sub"))

    def log_in(self, user: str) -> None:
        def once() -> str | None:
            jar = new_jar()
            self.client.login_with_custom_token_exchange(options(user), {"cookies": jar})
            return (self.client.get_user({"cookies": jar}) or {}).get("sub")

        self._repeat(user, once)

    def _repeat(self, user: str, once: Callable[[], str | None]) -> None:
        while not self.ended.is_set():
            began = time.monotonic()
            try:
                outcome = Outcome(user, began, 0, seen=once())
            except SessionError as error:
                outcome = Outcome(user, began, 0, error=error)
                self.ended.wait(0.01)  # as fast as refusals come, they would leave the server no processor to start
            except BaseException as error:
                self.faults.append(error)
                return
            self.outcomes.append(Outcome(user, began, time.monotonic(), outcome.seen, outcome.error))

    def wait_for(self, what: Callable[[Outcome], bool], times: int = 2) -> None:
        """Wait until each user has had so many such outcomes that began after now."""
        since, end = time.monotonic(), time.monotonic() + DEADLINE
        while True:
            found = [each.user for each in list(self.outcomes) if each.began >= since and what(each)]
            if all(found.count(user) >= times for user in self.jars):
                return
            assert time.monotonic() < end, self.outcomes[-10:]
            assert [] == self.faults
            time.sleep(0.01)


def succeeded(outcome: Outcome) -> bool:
    return outcome.error is None


def failed(outcome: Outcome) -> bool:
    return outcome.error is not None


@contextmanager
def load(client: ServerClient) -> Iterator[Load]:
    jars: dict[str, Jar] = {}
    for number in range(USERS):
        jar = jars[f"auth0|{number}"] = new_jar()
        client.login_with_custom_token_exchange(options(f"auth0|{number}", scope="offline_access"), {"cookies": jar})
    running = Load(client, jars)
    threads = [threading.Thread(target=running.read, args=(user,)) for user in jars]
    threads += [threading.Thread(target=running.log_in, args=(user,)) for user in list(jars)[:2]]
    for thread in threads:
        thread.start()
    try:
        yield running
    finally:
        running.ended.set()
        for thread in threads:
            thread.join(DEADLINE)
    assert not any(thread.is_alive() for thread in threads)


@pytest.fixture(params=["redis", "postgresql", "django-redis"])
def kind(request: pytest.FixtureRequest) -> str:
    """What sessions are kept by."""
    return str(request.param)


@pytest.fixture
def own_server(kind: str, request: pytest.FixtureRequest) -> Server:
    """A server that no other test uses at the same time."""
    server: Server = request.getfixturevalue("mortal_postgres" if kind == "postgresql" else "mortal_redis")
    return server


@pytest.fixture
def own_store(kind: str, own_server: Server) -> Iterator[StateStore]:
    url: str = own_server.url  # type: ignore[attr-defined]
    name = f"outage{next(_numbers)}"
    with ExitStack() as stack:
        if kind == "django-redis":
            yield stack.enter_context(redis_cache_store(url, name))
        elif kind == "redis":
            yield stack.enter_context(redis_store(url, f"{{{name}}}", timeout=1.0))
        else:
            yield stack.enter_context(sql_store(url, name))


def check_refusals(client: ServerClient, tenant: LocalTenant, jar: Jar) -> None:
    """Check that a store that is down is told by every call, in time, and that nothing is lost by it."""
    cookies, sent = dict(jar), len(tenant.requests)
    fetched: list[int] = []
    calls: list[Callable[[], object]] = [
        lambda: client.get_user({"cookies": jar}),
        lambda: client.get_session({"cookies": jar}),
        lambda: client.get_access_token({"cookies": jar}),
        lambda: client.logout(None, {"cookies": jar}),
        lambda: client.login_with_custom_token_exchange(
            options(lambda: fetched.append(1) or "auth0|0"),  # type: ignore[func-returns-value]
            {"cookies": jar},
        ),
    ]
    began = time.monotonic()
    with ThreadPoolExecutor(len(calls)) as pool:
        errors = [each.exception(DEADLINE) for each in [pool.submit(call) for call in calls]]
    assert time.monotonic() - began < LONGEST_CALL
    assert [SessionError] * len(calls) == [type(error) for error in errors]
    assert {"STORE_UNAVAILABLE"} == {getattr(error, "code", None) for error in errors}
    assert not any(error is None or error.__cause__ is None for error in errors)
    assert cookies == jar
    # The threads that log in may have been on their way; what this one would have fetched and sent, it did not.
    assert [] == fetched
    assert sent == len(tenant.requests)


def check_outcomes(running: Load) -> None:
    """Check that nobody saw another's session, or none, and that no call failed otherwise or took too long."""
    assert [] == running.faults
    strange = [each for each in running.outcomes if each.error is None and each.seen != each.user]
    assert [] == strange
    assert {"STORE_UNAVAILABLE"} == {each.error.code for each in running.outcomes if each.error is not None}
    assert max(each.ended - each.began for each in running.outcomes) < LONGEST_CALL


def test_a_server_that_dies_and_comes_back(
    own_server: Server, own_store: StateStore, tenant: LocalTenant, make_client: MakeClient
) -> None:
    """Under load, a killed server is a clear error at once; started again it has every session that it had."""
    client = make_client(tenant, own_store)
    with load(client) as running:
        running.wait_for(succeeded)
        own_server.kill()
        running.wait_for(failed)
        check_refusals(client, tenant, running.jars["auth0|0"])
        down_until = time.monotonic()
        own_server.start()
        back_since = time.monotonic()
        running.wait_for(succeeded)
    check_outcomes(running)
    assert [] == [each for each in running.outcomes if each.began > back_since and each.error is not None]
    assert any(each.error is not None and each.ended < down_until for each in running.outcomes)
    for user, jar in running.jars.items():
        assert user == (client.get_user({"cookies": jar}) or {})["sub"]
        assert client.get_access_token({"cookies": jar})
    client.logout(None, {"cookies": running.jars["auth0|0"]})
    assert {} == running.jars["auth0|0"]


def test_a_redis_that_hangs(mortal_redis: RedisServer, tenant: LocalTenant, make_client: MakeClient) -> None:
    """While Redis is frozen no call hangs: each fails within its time-outs; when it thaws, all sessions are there."""
    with redis_store(mortal_redis.url, f"{{frozen{next(_numbers)}}}", timeout=1.0) as store:
        client = make_client(tenant, store)
        with load(client) as running:
            running.wait_for(succeeded)
            mortal_redis.freeze()
            try:
                running.wait_for(failed, times=1)
                check_refusals(client, tenant, running.jars["auth0|0"])
            finally:
                mortal_redis.thaw()
            running.wait_for(succeeded)
        check_outcomes(running)
        for user, jar in running.jars.items():
            assert user == (client.get_user({"cookies": jar}) or {})["sub"]


def test_a_logout_that_failed_can_be_repeated(
    own_server: Server, own_store: StateStore, tenant: LocalTenant, make_client: MakeClient
) -> None:
    """A logout during an outage leaves cookies and session; after it the same logout ends both."""
    client, jar = make_client(tenant, own_store), new_jar()
    client.login_with_custom_token_exchange(options(), {"cookies": jar})
    own_server.kill()
    with pytest.raises(SessionError):
        client.logout(None, {"cookies": jar})
    own_server.start()
    kept = dict(jar)
    assert "auth0|ada" == (client.get_user({"cookies": kept}) or {})["sub"]
    client.logout(None, {"cookies": jar})
    assert {} == jar
    assert client.get_user({"cookies": kept}) is None


def test_a_backchannel_logout_that_failed_can_be_repeated(
    own_server: Server, own_store: StateStore, tenant: LocalTenant, make_client: MakeClient
) -> None:
    """A logout token that came during an outage counts when the tenant sends it again."""
    client, jar = make_client(tenant, own_store), new_jar()
    client.login_with_custom_token_exchange(options(), {"cookies": jar})
    logout_token = tenant.logout_token(sub="auth0|ada")
    own_server.kill()
    with pytest.raises(SessionError):
        client.handle_backchannel_logout(logout_token)
    own_server.start()
    assert 1 == client.handle_backchannel_logout(logout_token)
    assert client.get_user({"cookies": jar}) is None
