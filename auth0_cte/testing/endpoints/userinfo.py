"""The userinfo endpoint (OpenID Connect Core 1.0, section 5.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from auth0_cte.jose import JoseError, Jws
from auth0_cte.testing.endpoints.dpop import verify_proof
from auth0_cte.testing.issued.tokens import user_claims
from auth0_cte.testing.wire.messages import RefusalError, json_reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auth0_cte.testing.state import TenantState
    from auth0_cte.testing.wire.messages import Reply, TenantRequest

__all__ = ["serve_userinfo"]


def serve_userinfo(state: TenantState, request: TenantRequest) -> Reply:
    """Answer with the claims that the scopes of the access token allow, the actor among them."""
    try:
        claims = _verify(state, request)
    except RefusalError as refusal:
        return refusal.reply()
    user = state.users.get(str(claims.get("sub")))
    if user is None or user.blocked:
        return _invalid("the user does not exist or is blocked").reply()
    scopes = str(claims.get("scope", "")).split()
    if "openid" not in scopes:
        return _refusal(403, "insufficient_scope", "The access token lacks the scope openid.").reply()
    actor = {"act": claims["act"]} if "act" in claims else {}
    return json_reply({"sub": user.user_id, **user_claims(user, scopes), **actor})


def _verify(state: TenantState, request: TenantRequest) -> dict[str, Any]:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() not in ("bearer", "dpop") or not token.strip():
        raise RefusalError(401, "unauthorized", "Unauthorized", headers={"www-authenticate": "Bearer"})
    try:
        jws = Jws.parse(token.strip())
        claims = jws.verify(state.keys.verification_keys().select(jws.header))
    except JoseError as error:
        raise _invalid(str(error)) from None
    fault = _fault(state, claims)
    if fault is not None:
        raise _invalid(fault)
    bound_to = claims.get("cnf", {}).get("jkt")
    if bound_to is not None or scheme.lower() == "dpop":
        _check_possession(state, request, scheme, token.strip(), bound_to)
    return claims


def _check_possession(
    state: TenantState, request: TenantRequest, scheme: str, token: str, bound_to: str | None
) -> None:
    """Check that the sender of a bound token has its key (RFC 9449 section 7)."""
    try:
        thumbprint = verify_proof(state, request, access_token=token)
    except RefusalError as refusal:
        raise _possession(refusal.error, refusal.description, refusal.headers) from None
    if scheme.lower() != "dpop" or thumbprint is None or thumbprint != bound_to:
        raise _possession("invalid_token", "The access token is not bound to the key of a DPoP proof.", {})


def _possession(error: str, description: str, headers: Mapping[str, str]) -> RefusalError:
    challenge = {"www-authenticate": f'DPoP error="{error}"'}
    return RefusalError(401, error, description, headers={**headers, **challenge})


def _fault(state: TenantState, claims: dict[str, Any]) -> str | None:
    issuer, audience = claims.get("iss"), claims.get("aud")
    if issuer not in state.issuers:
        return "it is of another issuer"
    if f"{issuer}userinfo" not in (audience if isinstance(audience, list) else [audience]):
        return "it is not for the userinfo endpoint"
    if claims.get("exp", 0) <= state.clock():
        return "it has expired"
    return None


def _invalid(detail: str) -> RefusalError:
    return _refusal(401, "invalid_token", f"The access token is invalid: {detail}.")


def _refusal(status: int, error: str, description: str) -> RefusalError:
    # RFC 6750 section 3.
    return RefusalError(status, error, description, headers={"www-authenticate": f'Bearer error="{error}"'})
