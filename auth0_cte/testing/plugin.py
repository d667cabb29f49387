"""The pytest plugin: fixtures and a marker that need no import.

It is loaded in every test run of an environment that has the package: the fixtures import what they need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from auth0_cte.auth_server.async_server_client import AsyncServerClient
    from auth0_cte.auth_server.server_client import ServerClient
    from auth0_cte.testing.tenant import LocalTenant
    from auth0_cte.testing.wire.server import TenantServer

__all__ = ["auth0_async_client", "auth0_client", "auth0_server", "local_tenant", "served_tenant"]

SECRET = "a-secret-for-the-sessions-of-tests-alone"
MARKER = (
    "auth0(seed=None, users=(), actions=None): what local_tenant and served_tenant hold: a seed (a mapping or a file), "
    "users (ids or mappings), and Actions by subject token type (functions, files, or ids of users who are accepted)"
)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker ``auth0``."""
    config.addinivalue_line("markers", MARKER)


@pytest.fixture
def local_tenant(request: pytest.FixtureRequest) -> Iterator[LocalTenant]:
    """Give the test an embedded Auth0 tenant of its own; the servers that it starts are closed afterwards."""
    from auth0_cte.testing.tenant import LocalTenant

    with LocalTenant() as tenant:
        _fill(tenant, request)
        yield tenant


@pytest.fixture
def auth0_client(local_tenant: LocalTenant) -> Iterator[ServerClient]:
    """Give the test a client of ``local_tenant``, with sessions in cookies, without a socket."""
    with local_tenant.client(secret=SECRET) as client:
        yield client


@pytest.fixture
def auth0_async_client(auth0_client: ServerClient) -> AsyncServerClient:
    """Give the test the mirror of ``auth0_client``, for asyncio or trio."""
    from auth0_cte.auth_server.async_server_client import AsyncServerClient

    return AsyncServerClient.from_sync(auth0_client)


@pytest.fixture(scope="session")
def _auth0_session() -> Iterator[tuple[LocalTenant, TenantServer]]:
    from auth0_cte.testing.tenant import LocalTenant

    with LocalTenant() as tenant, tenant.serve() as server:
        yield tenant, server


@pytest.fixture
def served_tenant(_auth0_session: tuple[LocalTenant, TenantServer], request: pytest.FixtureRequest) -> LocalTenant:
    """Give the test the tenant behind ``auth0_server``: one in the whole session, emptied for each test."""
    from auth0_cte.testing.seeding.seeding import Seeding

    tenant = _auth0_session[0]
    tenant.part(Seeding).replace({})
    tenant.reset()
    _fill(tenant, request)
    return tenant


@pytest.fixture
def auth0_server(_auth0_session: tuple[LocalTenant, TenantServer], served_tenant: LocalTenant) -> TenantServer:  # noqa: ARG001
    """Give the test the server of ``served_tenant``, whose ``url`` goes into the application's settings."""
    return _auth0_session[1]


def _fill(tenant: Any, request: pytest.FixtureRequest) -> None:
    """Apply the markers, those of the module and the class first."""
    for marker in reversed(list(request.node.iter_markers("auth0"))):
        _apply(tenant, request, **marker.kwargs)


def _apply(tenant: Any, request: pytest.FixtureRequest, seed: Any = None, users: Any = (), actions: Any = None) -> None:
    folder = request.path.parent
    if seed is not None:
        tenant.seed(folder / seed if isinstance(seed, str) else seed)
    for user in users:
        tenant.seed({"users": [{"user_id": user} if isinstance(user, str) else user]})
    for token_type, action in (actions or {}).items():
        if callable(action):
            tenant.action(token_type)(action)
        elif isinstance(action, str) and not action.endswith((".js", ".cjs")):
            tenant.accept(token_type, action)
        else:
            tenant.action_file(token_type, folder / action)
