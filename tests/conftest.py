from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import responses

from auth0_cte import RetryPolicy, ServerClient
from auth0_cte.testing import FakeClock, LocalTenant
from tests.mirrored import BACKENDS, awaiting
from tests.processes import children_of
from tests.raw_server import RawServer
from tests.services import PostgresServer, RedisServer, start_postgres, start_redis
from tests.workers import Worker

# A run in the background (``nohup``, ``&``) ignores SIGINT, and so would all processes that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

DOMAIN = "tenant.auth0.com"
ISSUER = f"https://{DOMAIN}/"
TOKEN_ENDPOINT = f"{ISSUER}oauth/token"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--reverse", action="store_true", help="run the tests in reversed order: none may need another")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("reverse"):
        items.reverse()


@pytest.fixture(scope="session", autouse=True)
def _no_process_left() -> Iterator[None]:
    """Fail the run when a process that a test started is still there at the end."""
    before = children_of(os.getpid())
    yield
    assert {} == {pid: command for pid, command in children_of(os.getpid()).items() if pid not in before}


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the machine's own Auth0, proxy and CA settings out of the tests."""
    for name in ("AUTH0_DOMAIN", "AUTH0_CLIENT_ID", "AUTH0_CLIENT_SECRET", "AUTH0_SECRET", "AUTH0_AUDIENCE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AUTH0_CLIENT_ASSERTION_SIGNING_KEY", "AUTH0_CLIENT_ASSERTION_SIGNING_ALG"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AUTH0_SCOPE", "AUTH0_ORGANIZATION", "AUTH0_DPOP_PRIVATE_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="session", params=["sync", *BACKENDS])
def new_client(request: pytest.FixtureRequest) -> Iterator[type[ServerClient]]:
    """The class to make clients of: the client itself, then its mirror, awaited on asyncio and on trio.

    Every test that gets its clients here, or from a fixture that does, runs three times. `mirrored` is for clients
    that somebody else has made.
    """
    if request.param == "sync":
        yield ServerClient
        return
    with awaiting(request.param) as mirrored:
        yield mirrored


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still until a test moves it."""
    return FakeClock()


@pytest.fixture
def tenant(clock: FakeClock) -> LocalTenant:
    """A tenant that takes any subject token, and exchanges it for one user."""
    tenant = LocalTenant(clock=clock)
    tenant.accept("urn:acme:mcp-token", "auth0|ada")
    return tenant


@pytest.fixture
def client(new_client: type[ServerClient]) -> Iterator[ServerClient]:
    """A client of a tenant that exists only where `wire` says so."""
    with new_client(
        domain=DOMAIN, client_id="the-client", client_secret="the-secret", retry=RetryPolicy(sleep=lambda _: None)
    ) as made:
        yield made


@pytest.fixture
def wire() -> Iterator[responses.RequestsMock]:
    """The transport: discovery is answered if it is asked for, the rest is the test's."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.get(
            f"{ISSUER}.well-known/openid-configuration",
            json={"issuer": ISSUER, "token_endpoint": TOKEN_ENDPOINT, "jwks_uri": f"{ISSUER}.well-known/jwks.json"},
        )
        yield mock


@pytest.fixture
def raw_server() -> Iterator[RawServer]:
    """A scripted server on a loopback socket."""
    with RawServer() as server:
        yield server


@pytest.fixture
def raw_client(raw_server: RawServer, new_client: type[ServerClient]) -> Iterator[ServerClient]:
    """A client of `raw_server`."""
    with new_client(raw_server.url, "the-client", "the-secret", retry=RetryPolicy(sleep=lambda _: None)) as made:
        yield made


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A real Redis, for all tests of this process that do not kill it."""
    with start_redis() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real PostgreSQL, for all tests of this process that do not kill it."""
    with start_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def _mortal_redis() -> Iterator[RedisServer]:
    with start_redis() as server:
        yield server


@pytest.fixture(scope="session")
def _mortal_postgres() -> Iterator[PostgresServer]:
    with start_postgres() as server:
        yield server


@pytest.fixture
def mortal_redis(_mortal_redis: RedisServer) -> RedisServer:
    """A real Redis for one test at a time, empty, to be killed and frozen."""
    _mortal_redis.revive()
    _mortal_redis.empty()
    return _mortal_redis


@pytest.fixture
def mortal_postgres(_mortal_postgres: PostgresServer) -> PostgresServer:
    """A real PostgreSQL for one test at a time, with the tables of others in it, to be killed and frozen."""
    _mortal_postgres.revive()
    return _mortal_postgres


@pytest.fixture(scope="session")
def workers() -> Iterator[list[Worker]]:
    """Four processes that do jobs."""
    with ExitStack() as stack:
        yield [stack.enter_context(Worker()) for _ in range(4)]
