"""How the tests of sessions make their clients: by the fixture ``make_client``."""

from __future__ import annotations

from typing import Any, Final, Protocol

from auth0_cte import ServerClient
from auth0_cte.session.stores.contract import StateStore
from auth0_cte.testing import LocalTenant

SECRET: Final = "a-secret-of-more-than-thirty-two-bytes"


class MakeClient(Protocol):
    """Makes a client of a tenant; further arguments are the client's own."""

    def __call__(self, tenant: LocalTenant, store: StateStore | None = None, **more: Any) -> ServerClient: ...


def refreshes(tenant: LocalTenant) -> int:
    """Count the refreshes that arrived at the tenant."""
    return sum("refresh_token" == request.form["grant_type"] for request in tenant.token_requests)
