from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from auth0_cte import ServerClient
from auth0_cte.session.stores.contract import Rotations, StateStore
from auth0_cte.testing import FakeClock, LocalTenant
from tests.exchanges import API, LIFETIME, accept_user_ids
from tests.mirrored import mirrored
from tests.session.clients import SECRET, MakeClient
from tests.session.stores import NAMES, ROTATIONS, SERVER_SIDE, make_rotations, make_store


@pytest.fixture(params=NAMES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StateStore]:
    """Each store in turn."""
    with make_store(request.param, request, tmp_path) as made:
        yield made


@pytest.fixture(params=SERVER_SIDE)
def server_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StateStore]:
    """Each store but the stateless one."""
    with make_store(request.param, request, tmp_path) as made:
        yield made


@pytest.fixture(params=ROTATIONS)
def rotations(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rotations]:
    """What sessions in cookies share among processes, of each kind in turn."""
    with make_rotations(request.param, request, tmp_path) as made:
        yield made


@pytest.fixture
def make_client(new_client: type[ServerClient]) -> MakeClient:
    """Make a client of a tenant that keeps sessions: the client itself, and its mirror on asyncio and on trio."""

    def make(tenant: LocalTenant, store: StateStore | None = None, **more: Any) -> ServerClient:
        return mirrored(new_client, tenant.client(**{"secret": SECRET, "state_store": store, **more}))

    return make


@pytest.fixture
def tenant(clock: FakeClock) -> LocalTenant:
    """A tenant where a subject token is the id of the user it stands for."""
    return accept_user_ids(LocalTenant(clock=clock))


@pytest.fixture
def api(tenant: LocalTenant) -> LocalTenant:
    """The tenant, whose access tokens live ten minutes."""
    tenant.add_api(API, token_lifetime=LIFETIME)
    tenant.apis.default_audience = API
    return tenant
