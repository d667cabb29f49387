"""Which scopes are granted: what was requested, the API defines, and role-based access control allows.

Source: Auth0, "Enable Role-Based Access Control for APIs".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from auth0_cte.testing.registry.apis import OIDC_SCOPES

if TYPE_CHECKING:
    from auth0_cte.testing.issued.tokens import TokenGrant
    from auth0_cte.testing.state import TenantState

__all__ = ["with_permissions"]


def with_permissions(state: TenantState, grant: TokenGrant) -> TokenGrant:
    """Return a grant whose scopes are those that its user may have, and whose token tells the user's permissions.

    OpenID Connect's scopes are nobody's permission.
    """
    api = grant.api
    if not (api.enforce_policies or api.has_permissions_claim):
        return grant
    organization_id = None if grant.organization is None else grant.organization.id
    user_id = grant.user.user_id
    allowed = state.roles.permissions(user_id, api.identifier, organization_id, state.groups.roles(user_id))
    scopes = grant.scopes
    if api.enforce_policies:
        scopes = tuple(scope for scope in scopes if scope in OIDC_SCOPES or scope in allowed)
    return evolve(grant, scopes=scopes, permissions=allowed if api.has_permissions_claim else None)
