"""The userinfo endpoint (OpenID Connect Core 1.0, section 5.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auth0_cte.testing.endpoints.bearer import user_of, verify_access_token
from auth0_cte.testing.issued.tokens import user_claims
from auth0_cte.testing.wire.messages import json_reply

if TYPE_CHECKING:
    from auth0_cte.testing.state import TenantState
    from auth0_cte.testing.wire.messages import Reply, TenantRequest

__all__ = ["serve_userinfo"]


def serve_userinfo(state: TenantState, request: TenantRequest) -> Reply:
    """Answer with the claims that the scopes of the access token allow, the actor among them."""
    claims = verify_access_token(state, request, "userinfo", "openid")
    user = user_of(state, claims)
    actor = {"act": claims["act"]} if "act" in claims else {}
    return json_reply({"sub": user.user_id, **user_claims(user, str(claims["scope"]).split()), **actor})
