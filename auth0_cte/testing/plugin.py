"""The pytest plugin: fixtures that need no import."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from auth0_cte.testing.tenant import LocalTenant

__all__ = ["local_tenant"]


@pytest.fixture
def local_tenant() -> Iterator[LocalTenant]:
    """Give the test an embedded Auth0 tenant of its own; the servers that it starts are closed afterwards."""
    # Here, so that a test run that does not use the fixture does not pay for it.
    from auth0_cte.testing.tenant import LocalTenant

    with LocalTenant() as tenant:
        yield tenant
