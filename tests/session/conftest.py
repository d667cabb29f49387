from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from auth0_cte.session.stores import StateStore
from auth0_cte.testing import FakeClock, LocalTenant
from tests.session.stores import NAMES, SERVER_SIDE, make_store


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


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def tenant(clock: FakeClock) -> LocalTenant:
    """A tenant where a subject token is the id of the user it stands for."""
    tenant = LocalTenant(clock=clock)

    @tenant.action("urn:acme:mcp-token")
    def exchange(event: object, api: object) -> None:
        user = event.transaction.subject_token  # type: ignore[attr-defined]
        if user not in tenant.users:
            tenant.add_user(user)
        api.authentication.set_user_by_id(user)  # type: ignore[attr-defined]

    return tenant
