"""Access tokens at the tenant's own APIs (RFC 6750 section 3; RFC 9449 section 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from auth0_cte.jose import JoseError, Jws
from auth0_cte.testing.endpoints.dpop import verify_proof
from auth0_cte.testing.wire.messages import RefusalError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auth0_cte.testing.registry.users import User
    from auth0_cte.testing.state import TenantState
    from auth0_cte.testing.wire.messages import TenantRequest

__all__ = ["user_of", "verify_access_token"]


def verify_access_token(state: TenantState, request: TenantRequest, path: str, scope: str) -> dict[str, Any]:
    """Verify the access token of a request, and return its claims.

    Args:
        state: The tenant.
        request: The request.
        path: The API: what follows the issuer in its audience.
        scope: The scope that is needed.

    Raises:
        RefusalError: 401 without a token that is good, 403 ``insufficient_scope``.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() not in ("bearer", "dpop") or not token.strip():
        raise RefusalError(401, "unauthorized", "Unauthorized", headers={"www-authenticate": "Bearer"})
    try:
        jws = Jws.parse(token.strip())
        claims = jws.verify(state.keys.verification_keys().select(jws.header))
    except JoseError as error:
        raise _invalid(str(error)) from None
    fault = _fault(state, claims, path)
    if fault is not None:
        raise _invalid(fault)
    bound_to = claims.get("cnf", {}).get("jkt")
    if bound_to is not None or scheme.lower() == "dpop":
        _check_possession(state, request, scheme, token.strip(), bound_to)
    user_of(state, claims)
    if scope not in str(claims.get("scope", "")).split():
        raise _refusal(403, "insufficient_scope", f"The access token lacks the scope {scope}.")
    return claims


def user_of(state: TenantState, claims: Mapping[str, Any]) -> User:
    """Return the user that an access token is about.

    Raises:
        RefusalError: The user does not exist or is blocked.
    """
    user = state.users.get(str(claims.get("sub")))
    if user is None or user.blocked:
        raise _invalid("the user does not exist or is blocked")
    return user


def _check_possession(
    state: TenantState, request: TenantRequest, scheme: str, token: str, bound_to: str | None
) -> None:
    """Check that the sender of a bound token has its key."""
    try:
        thumbprint = verify_proof(state, request, access_token=token)
    except RefusalError as refusal:
        raise _possession(refusal.error, refusal.description, refusal.headers) from None
    if scheme.lower() != "dpop" or thumbprint is None or thumbprint != bound_to:
        raise _possession("invalid_token", "The access token is not bound to the key of a DPoP proof.", {})


def _possession(error: str, description: str, headers: Mapping[str, str]) -> RefusalError:
    challenge = {"www-authenticate": f'DPoP error="{error}"'}
    return RefusalError(401, error, description, headers={**headers, **challenge})


def _fault(state: TenantState, claims: Mapping[str, Any], path: str) -> str | None:
    issuer, audience = claims.get("iss"), claims.get("aud")
    if issuer not in state.issuers:
        return "it is of another issuer"
    if f"{issuer}{path}" not in (audience if isinstance(audience, list) else [audience]):
        return f"it is not for the {path.rstrip('/')} endpoint"
    if claims.get("exp", 0) <= state.clock():
        return "it has expired"
    return None


def _invalid(detail: str) -> RefusalError:
    return _refusal(401, "invalid_token", f"The access token is invalid: {detail}.")


def _refusal(status: int, error: str, description: str) -> RefusalError:
    return RefusalError(status, error, description, headers={"www-authenticate": f'Bearer error="{error}"'})
