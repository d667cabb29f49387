"""How the tests of sessions make their clients: by the fixture ``make_client``."""

from __future__ import annotations

from typing import Any, Final, Protocol

from auth0_cte import ServerClient
from auth0_cte.session.stores.contract import StateStore
from auth0_cte.testing import LocalTenant
from tests.exchanges import LIFETIME, TYPE

SECRET: Final = "a-secret-of-more-than-thirty-two-bytes"


class MakeClient(Protocol):
    """Makes a client of a tenant; further arguments are the client's own."""

    def __call__(self, tenant: LocalTenant, store: StateStore | None = None, **more: Any) -> ServerClient: ...


def refreshes(tenant: LocalTenant) -> int:
    """Count the refreshes that arrived at the tenant."""
    return sum("refresh_token" == request.form["grant_type"] for request in tenant.token_requests)


def options(user: Any = "auth0|ada", **more: Any) -> dict[str, Any]:
    return {"subject_token": user, "subject_token_type": TYPE, **more}


def new_jar() -> dict[str, str]:
    return {}


def log_in_with_claims(client: ServerClient, tenant: LocalTenant, **claims: Any) -> dict[str, str]:
    """Log in by an ID token with these claims, without refresh token; return the cookies."""
    tenant.add_user("auth0|ada")
    jar = new_jar()
    body = {"access_token": "a", "expires_in": LIFETIME, "id_token": tenant.id_token("auth0|ada", **claims)}
    tenant.fail_next(200, body=body)
    client.login_with_custom_token_exchange(options(), {"cookies": jar})
    return jar
