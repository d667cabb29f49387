from __future__ import annotations

from collections.abc import Iterator

import pytest
from attrs import frozen

from auth0_cte import MemoryStateStore, ServerClient
from auth0_cte.testing import FakeClock, LocalTenant, TenantServer
from tests.integration.apps import SERVERS, TYPE
from tests.integration.browser import Browser

API = "https://api.example.com"
SECRET = "a-secret-of-more-than-thirty-two-bytes"


@frozen
class Site:
    """An application that is up: at a URL, over a client of a tenant that is up, too."""

    url: str
    client: ServerClient
    tenant: LocalTenant
    tenant_url: str
    clock: FakeClock

    def refreshes(self) -> int:
        return sum("refresh_token" == request.form["grant_type"] for request in self.tenant.token_requests)


@pytest.fixture
def tenant(clock: FakeClock) -> LocalTenant:
    """A tenant where a subject token is the id of the user it stands for."""
    tenant = LocalTenant(clock=clock, default_audience=API)
    tenant.add_api(API, token_lifetime=600)

    @tenant.action(TYPE)
    def exchange(event: object, api: object) -> None:
        api.authentication.set_user_by_id(event.transaction.subject_token)  # type: ignore[attr-defined]

    tenant.add_user("auth0|ada", email="ada@example.com")
    tenant.add_user("auth0|eve")
    tenant.add_user("auth0|big", name="x" * 1100)
    return tenant


@pytest.fixture
def tenant_server(tenant: LocalTenant) -> Iterator[TenantServer]:
    with tenant.serve() as server:
        yield server


@pytest.fixture(params=SERVERS)
def framework(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def site(framework: str, tenant: LocalTenant, tenant_server: TenantServer, clock: FakeClock) -> Iterator[Site]:
    """The application in each framework, with sessions in cookies."""
    with tenant_server.client(secret=SECRET) as client, SERVERS[framework](client) as url:
        yield Site(url, client, tenant, tenant_server.url, clock)


@pytest.fixture(params=["cookie", "memory"])
def any_site(
    request: pytest.FixtureRequest, framework: str, tenant: LocalTenant, tenant_server: TenantServer, clock: FakeClock
) -> Iterator[Site]:
    """The application in each framework, with sessions in cookies and in memory."""
    store = MemoryStateStore() if request.param == "memory" else None
    with tenant_server.client(secret=SECRET, state_store=store) as client, SERVERS[framework](client) as url:
        yield Site(url, client, tenant, tenant_server.url, clock)


@pytest.fixture
def browser(site: Site) -> Iterator[Browser]:
    with Browser(site.url) as browser:
        yield browser


@pytest.fixture
def any_browser(any_site: Site) -> Iterator[Browser]:
    with Browser(any_site.url) as browser:
        yield browser
