from __future__ import annotations

from collections.abc import Iterator

import pytest
import responses

from auth0_cte import RetryPolicy, ServerClient
from tests.raw_server import RawServer
from tests.services import PostgresServer, RedisServer, start_postgres, start_redis

DOMAIN = "tenant.auth0.com"
ISSUER = f"https://{DOMAIN}/"
TOKEN_ENDPOINT = f"{ISSUER}oauth/token"


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the machine's own Auth0, proxy and CA settings out of the tests."""
    for name in ("AUTH0_DOMAIN", "AUTH0_CLIENT_ID", "AUTH0_CLIENT_SECRET", "AUTH0_SECRET", "AUTH0_AUDIENCE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AUTH0_SCOPE", "AUTH0_ORGANIZATION", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def client() -> Iterator[ServerClient]:
    """A client of a tenant that exists only where `wire` says so."""
    with ServerClient(
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
def raw_client(raw_server: RawServer) -> Iterator[ServerClient]:
    """A client of `raw_server`."""
    with ServerClient(raw_server.url, "the-client", "the-secret", retry=RetryPolicy(sleep=lambda _: None)) as made:
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
