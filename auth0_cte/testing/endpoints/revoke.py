"""Revoking refresh tokens (RFC 7009; Auth0, Authentication API, "Revoke Refresh Token")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auth0_cte.testing.endpoints.log import write_log
from auth0_cte.testing.registry.applications import authenticate
from auth0_cte.testing.wire.messages import Reply

if TYPE_CHECKING:
    from auth0_cte.testing.state import TenantState
    from auth0_cte.testing.wire.messages import TenantRequest

__all__ = ["serve_revoke"]


def serve_revoke(state: TenantState, request: TenantRequest) -> Reply:
    """Answer ``/oauth/revoke``: 200 for a token that is dead already, too."""
    application = authenticate(request, state.applications, state.authenticators)
    grant = state.refresh_tokens.revoke_token(request.required("token"), application.client_id)
    if grant is not None:
        description = "Successfully revoked a refresh token"
        write_log(state, request, "srrt", description, application=application, user_id=grant.user.user_id)
    return Reply(headers={"cache-control": "no-store"})
