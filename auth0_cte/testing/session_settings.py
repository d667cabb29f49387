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
    """The settings, which apply from the next request on: ``tenant.sessions.refresh_token_leeway = 5``.

    Args:
        rotate_refresh_tokens: Whether a refresh brings a new refresh token and uses up the old one.
        refresh_token_leeway: Seconds during which the refresh token before the newest is still accepted. Any other
            token that was used up costs the whole family (Auth0, "Automatic reuse detection").
        refresh_token_lifetime: Seconds from the login until its refresh tokens expire, rotated or not; None for never.
        refresh_token_idle_lifetime: Seconds without a refresh until refresh tokens expire; None for never.
        actor_token_drops_refresh_token: Whether an actor token alone, without an actor that the Action sets, withholds
            the refresh token; Auth0's pages disagree.
        revocation_deletes_grant: Auth0's "Refresh Token Revocation Deletes Grant": whether revoking a refresh token
            revokes all of its user and application.
        refresh_id_token: Whether a refresh with ``openid`` brings an ID token.
        rp_initiated_logout: Whether the metadata names the ``end_session_endpoint``, which answers either way.
        id_token_claims: Further claims of every ID token; they win over the tenant's own, and None removes a claim. A
            mapping, or a function of the user id and the `Application` that returns one:
            ``tenant.sessions.id_token_claims = lambda user_id, application: {"roles": ["admin"] * 500}``.
    """

    rotate_refresh_tokens: bool = True
    refresh_token_leeway: float = 0
    refresh_token_lifetime: float | None = None
    refresh_token_idle_lifetime: float | None = None
    actor_token_drops_refresh_token: bool = False
    revocation_deletes_grant: bool = False
    refresh_id_token: bool = True
    rp_initiated_logout: bool = True
    id_token_claims: IdTokenClaims = field(factory=dict)

    def claims_for(self, user_id: str, application: Application) -> Mapping[str, Any]:
        """Return the further claims of an ID token."""
        claims = self.id_token_claims
        return claims(user_id, application) if callable(claims) else claims
