"""Actor tokens that the tenant validates itself: its own ID tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from auth0_cte.jose import JoseError, Jws
from auth0_cte.testing.wire.messages import RefusalError

if TYPE_CHECKING:
    from auth0_cte.testing.registry.applications import Application
    from auth0_cte.testing.registry.users import User
    from auth0_cte.testing.state import TenantState

__all__ = ["verify_actor_token"]


def verify_actor_token(state: TenantState, token: str, application: Application) -> User:
    """Verify an actor token of the type ``id_token`` (Auth0, "Custom Token Exchange", delegated authorization).

    Args:
        state: The tenant.
        token: The actor token.
        application: The application that sent it; the ID token must be for the same one.

    Returns:
        The user that it is about.

    Raises:
        RefusalError: It must be an unexpired ID token of this tenant, signed with RS256 or PS256, of an existing user.
    """
    try:
        jws = Jws.parse(token)
        if jws.header.get("alg") not in ("RS256", "PS256"):
            raise _refusal("it is signed with neither RS256 nor PS256")
        claims = jws.verify(state.keys.verification_keys().select(jws.header))
    except JoseError as error:
        raise _refusal(str(error)) from None
    if jws.header.get("typ", "JWT").lower() != "jwt":
        raise _refusal("it is not an ID token")
    fault = _fault(state, claims, application.client_id)
    if fault is not None:
        raise _refusal(fault)
    user = state.users.get(str(claims.get("sub")))
    if user is None or user.blocked:
        raise _refusal("its user does not exist or is blocked")
    return user


def _fault(state: TenantState, claims: dict[str, Any], client_id: str) -> str | None:
    audience = claims.get("aud")
    if claims.get("iss") not in state.issuers:
        return "it is of another issuer"
    if client_id not in (audience if isinstance(audience, list) else [audience]):
        return "it is for another application"
    if not isinstance(claims.get("exp"), int | float) or claims["exp"] <= state.clock():
        return "it has expired"
    return None


def _refusal(detail: str) -> RefusalError:
    return RefusalError(400, "invalid_request", "Invalid actor_token.", detail=f"the actor token is invalid: {detail}")
