"""What can be set about the life of a session: refresh tokens, ID tokens, logout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from attrs import define, field

from auth0_cte.testing.registry.applications import Application

__all__ = ["IdTokenClaims", "SessionSettings"]

IdTokenClaims: TypeAlias = Mapping[str, Any] | Callable[[str, Application], Mapping[str, Any]]
"""Further claims of ID tokens, or a function of the user id and the application that returns them."""


@define(kw_only=True)
class SessionSettings:
    """The settings; `LocalTenant` has a property for each.

    Args:
        rotate_refresh_tokens: Whether a refresh brings a new refresh token and uses up the old one.
        refresh_token_leeway: Seconds during which a token that was used up is still accepted.
        refresh_token_lifetime: Seconds from the login until its refresh tokens expire; None for never.
        refresh_id_token: Whether a refresh brings an ID token.
        rp_initiated_logout: Whether the metadata names the ``end_session_endpoint``.
        id_token_claims: Further claims of ID tokens.
    """

    rotate_refresh_tokens: bool = True
    refresh_token_leeway: float = 0
    refresh_token_lifetime: float | None = None
    refresh_id_token: bool = True
    rp_initiated_logout: bool = True
    id_token_claims: IdTokenClaims = field(factory=dict)

    def claims_for(self, user_id: str, application: Application) -> Mapping[str, Any]:
        """Return the further claims of an ID token."""
        claims = self.id_token_claims
        return claims(user_id, application) if callable(claims) else claims
