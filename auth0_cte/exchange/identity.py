"""Who the ID token of an answer must be about: the one check of exchanges, logins, resumed logins and refreshes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auth0_cte.error import AccessTokenError
from auth0_cte.session.serialization import check_organization

if TYPE_CHECKING:
    from auth0_cte.auth_types import Session, TokenExchangeResponse

__all__ = ["check_identity"]


def check_identity(
    response: TokenExchangeResponse,
    *,
    organization: str | None,
    has_actor: bool,
    session: Session | None = None,
) -> None:
    """Refuse an answer whose ID token is not about who was asked for. Without an ID token nothing is checked.

    Args:
        response: The answer.
        organization: The organization that was asked for, or that the session has; None for any.
        has_actor: Whether an actor was sent, or the session has one.
        session: The session that was refreshed; None for an exchange.

    Raises:
        IdTokenError: It failed verification, although an organization or an actor was asked for.
        OrganizationError: It belongs to another organization, or to none.
        AccessTokenError: It is about another user, organization or actor than the session.
    """
    claims, fault = response.claims, response.id_token_error
    if claims is None:
        if fault is not None and (organization is not None or has_actor):
            raise fault
        return
    if session is None:
        check_organization(claims, organization)
        return
    if claims["sub"] != session.user["sub"]:
        raise AccessTokenError("the refreshed ID token is another user's", code="SUBJECT_MISMATCH")
    if claims.get("org_id") != session.user.get("org_id"):
        raise AccessTokenError("the refreshed ID token is another organization's", code="ORGANIZATION_MISMATCH")
    if response.act != session.act:
        raise AccessTokenError("the refreshed ID token names another actor", code="ACTOR_MISMATCH")
