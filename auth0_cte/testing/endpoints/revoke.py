"""Revoking refresh tokens (RFC 7009; Auth0, Authentication API, "Revoke Refresh Token")."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auth0_cte.testing.journal import LogEntry
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
        state.logs.append(
            LogEntry(
                type="srrt",
                date=request.date,
                description="Successfully revoked a refresh token",
                client_id=application.client_id,
                client_name=application.name,
                user_id=grant.user.user_id,
                ip=request.ip,
                hostname=request.hostname,
                user_agent=request.headers.get("user-agent"),
            )
        )
    return Reply(headers={"cache-control": "no-store"})
