"""Role-based access control at the tenant's APIs.

Source: Auth0, "Enable Role-Based Access Control for APIs".
"""

from __future__ import annotations

from typing import Any

import pytest

from auth0_cte.testing import LocalTenant
from tests.exchanges import claims_of
from tests.testing.test_exchange import TYPE, ask

API = "https://api.acme.example"


@pytest.fixture
def tenant() -> LocalTenant:
    made = LocalTenant()
    made.accept(TYPE, "auth0|jane")
    made.add_organization("org_123", name="acme")
    made.add_role("reader", {API: ["read:a", "read:b"], "https://other.acme.example": ["read:other"]})
    made.add_role("writer", {API: ["write:a"]})
    return made


def access_token(tenant: LocalTenant, **form: Any) -> dict[str, Any]:
    return claims_of(tenant, ask(tenant, audience=API, **form).json()["access_token"])


def test_scopes_are_those_that_the_user_may_have(tenant: LocalTenant) -> None:
    """With RBAC the scope is what was requested and the user is permitted; OpenID Connect's scopes are not touched."""
    tenant.add_api(API, ["read:a", "read:b", "write:a"], enforce_policies=True)
    tenant.assign_roles("auth0|jane", ["reader"])
    reply = ask(tenant, audience=API, scope="openid read:a write:a").json()

    claims = claims_of(tenant, reply["access_token"])
    assert ("openid read:a", "openid read:a", False) == (reply["scope"], claims["scope"], "permissions" in claims)


def test_without_rbac_any_scope_of_the_api_is_granted(tenant: LocalTenant) -> None:
    """Without RBAC an application can request every scope of the API."""
    tenant.add_api(API, ["read:a", "write:a"])

    assert "read:a write:a" == access_token(tenant, scope="read:a write:a")["scope"]


@pytest.mark.parametrize("dialect", ["access_token_authz", "rfc9068_profile_authz"])
@pytest.mark.parametrize("enforce", [True, False])
def test_permissions_are_all_that_the_user_has_at_the_api(tenant: LocalTenant, dialect: Any, enforce: bool) -> None:
    """With an _authz dialect the access token tells all permissions at that API, requested or not, in either form."""
    tenant.add_api(API, ["read:a", "read:b", "write:a"], enforce_policies=enforce, token_dialect=dialect)
    tenant.assign_roles("auth0|jane", ["reader"])
    tenant.assign_permissions("auth0|jane", API, ["write:a"])

    assert ["read:a", "read:b", "write:a"] == access_token(tenant, scope="read:a")["permissions"]


def test_user_without_permissions_has_an_empty_list(tenant: LocalTenant) -> None:
    """A user without permissions gets an empty list, not none at all (assumption)."""
    tenant.add_api(API, ["read:a"], token_dialect="access_token_authz")

    assert [] == access_token(tenant)["permissions"]


def test_roles_of_a_membership_count_in_the_organization_alone(tenant: LocalTenant) -> None:
    """A role that a member has within an organization counts there alone (source: Roles of Organization Members)."""
    tenant.add_api(API, ["read:a", "write:a"], enforce_policies=True, token_dialect="access_token_authz")
    tenant.assign_roles("auth0|jane", ["writer"], organization="org_123")

    assert [["write:a"], []] == [
        access_token(tenant, organization=organization)["permissions"] for organization in ("org_123", None)
    ]


def test_refresh_follows_the_roles_of_the_moment(tenant: LocalTenant) -> None:
    """What a role gained since the login, a refreshed access token tells (assumption)."""
    tenant.add_api(API, ["read:a", "read:b", "write:a"], token_dialect="access_token_authz")
    token = ask(tenant, audience=API, scope="offline_access").json()["refresh_token"]
    tenant.assign_roles("auth0|jane", ["writer"])
    reply = ask(tenant, grant_type="refresh_token", refresh_token=token)

    assert ["write:a"] == claims_of(tenant, reply.json()["access_token"])["permissions"]


def test_unknown_role(tenant: LocalTenant) -> None:
    """A role that does not exist cannot be assigned."""
    with pytest.raises(KeyError):
        tenant.assign_roles("auth0|jane", ["admin"])
