"""Subject tokens that are access tokens of this tenant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from auth0_cte.jose import JoseError, Jws
from auth0_cte.testing.wire.messages import RefusalError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auth0_cte.testing.state import TenantState

__all__ = ["client_of", "invalid_subject_token", "verify_subject_token"]


def verify_subject_token(state: TenantState, token: str, own_api: str | None) -> dict[str, Any]:
    """Verify an access token, and return its claims.

    Args:
        state: The tenant.
        token: The token.
        own_api: The API that it must be for; any when None.

    Raises:
        RefusalError: 401, it is not a live access token for that API.
    """
    try:
        jws = Jws.parse(token)
        claims = jws.verify(state.keys.verification_keys().select(jws.header))
    except JoseError as error:
        raise invalid_subject_token(str(error)) from None
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if claims.get("iss") not in state.issuers:
        raise invalid_subject_token("it is of another issuer")
    if claims.get("exp", 0) <= state.clock():
        raise invalid_subject_token("it has expired")
    if client_of(claims) is None:
        raise invalid_subject_token("it is not an access token")
    if own_api is not None and own_api not in audiences:
        raise invalid_subject_token("it is for another API than the application's own")
    user = state.users.get(str(claims.get("sub")))
    if user is None or user.blocked:
        raise invalid_subject_token("its user does not exist or is blocked")
    return claims


def client_of(claims: Mapping[str, Any]) -> str | None:
    """Return the application that an access token was issued to."""
    # Auth0's own profile of access tokens says azp, RFC 9068 client_id; ID tokens of the tenant say neither.
    client: str | None = claims.get("azp", claims.get("client_id"))
    return client


def invalid_subject_token(detail: str) -> RefusalError:
    """Make the refusal of a subject token."""
    return RefusalError(
        401, "invalid_request", "Invalid subject_token.", detail=f"the subject token is invalid: {detail}"
    )
