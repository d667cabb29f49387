from __future__ import annotations

from collections.abc import Iterator

import pytest

from auth0_cte.testing import LocalTenant, TenantServer
from tests.cli.users import USER, environment


@pytest.fixture
def tenant() -> Iterator[LocalTenant]:
    """A tenant with one user and one profile that takes every token."""
    with LocalTenant() as made:
        made.add_user(USER, name="Jane")
        made.accept("urn:acme:legacy", USER)
        yield made


@pytest.fixture
def served(tenant: LocalTenant, monkeypatch: pytest.MonkeyPatch) -> Iterator[TenantServer]:
    """The tenant on a loopback port, and in the environment."""
    with tenant.serve() as server:
        for name, value in environment(tenant, server).items():
            monkeypatch.setenv(name, value)
        yield server
