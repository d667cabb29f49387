"""Multi-factor authentication: authenticators, enrolment and challenge.

Source: Auth0, "Authenticate Using the Resource Owner Password Flow with MFA", "Manage Authentication Factors with the
MFA API", and the Authentication API reference.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import unquote

from auth0_cte.testing.endpoints.bearer import user_of, verify_access_token
from auth0_cte.testing.issued.tokens import TokenGrant
from auth0_cte.testing.registry.applications import authenticate
from auth0_cte.testing.registry.factors import Factor, FactorKind
from auth0_cte.testing.wire.messages import RefusalError, Reply, json_reply

if TYPE_CHECKING:
    from auth0_cte.testing.issued.interrupted_grants import InterruptedGrant
    from auth0_cte.testing.state import TenantState
    from auth0_cte.testing.wire.messages import TenantRequest

__all__ = ["serve_associate", "serve_authenticators", "serve_challenge", "serve_removal"]

_CHANNELS: Final = {"sms": "sms", "voice": "voice", "email": "email", "auth0": "push"}
_ADDRESSES: Final = {"sms": "phone_number", "voice": "phone_number", "email": "email"}


def serve_authenticators(state: TenantState, request: TenantRequest) -> Reply:
    """Answer with the user's authenticators, to the holder of an ``mfa_token`` or of an access token."""
    user = _holder(state, request, "read:authenticators").grant.user
    members = [factor.as_member() for factor in state.factors.of(user.user_id)]
    return Reply(headers={"content-type": "application/json"}, body=json.dumps(members).encode())


def serve_removal(state: TenantState, request: TenantRequest) -> Reply:
    """Remove an authenticator; an ``mfa_token`` does not do for that."""
    claims = verify_access_token(state, request, "mfa/", "remove:authenticators")
    if not state.factors.remove(str(claims["sub"]), unquote(request.path.rpartition("/")[2])):
        raise RefusalError(404, "not_found", "Authenticator not found")
    return Reply(status=204)


def serve_associate(state: TenantState, request: TenantRequest) -> Reply:
    """Begin the enrolment of a factor, which the token endpoint confirms."""
    waiting = _holder(state, request, "enroll")
    kind, user_id = _kind(request), waiting.grant.user.user_id
    is_first = not state.factors.active(user_id)
    if not is_first and not _is_access_token(_bearer(request)):
        raise RefusalError(403, "access_denied", "User is already enrolled.")
    address = request.required(_ADDRESSES[kind]) if kind in _ADDRESSES else ""
    factor = Factor(user_id=user_id, kind=kind, clock=state.clock, name=_masked(address), active=False)
    state.factors.add(factor)
    return json_reply({**_enrolment(state, factor, waiting), **(_recovery_codes(state, factor) if is_first else {})})


def _enrolment(state: TenantState, factor: Factor, waiting: InterruptedGrant) -> dict[str, Any]:
    if factor.kind == "otp":
        uri = factor.barcode_uri(state.name)
        return {"authenticator_type": "otp", "secret": factor.secret, "barcode_uri": uri}
    body = {
        "authenticator_type": "oob",
        "oob_channel": factor.as_member()["oob_channel"],
        **_send(state, factor, waiting),
    }
    return {**body, "barcode_uri": factor.barcode_uri(state.name)} if factor.kind == "push" else body


def _recovery_codes(state: TenantState, factor: Factor) -> dict[str, Any]:
    recovery = Factor(user_id=factor.user_id, kind="recovery-code", clock=state.clock, active=False)
    state.factors.add(recovery)
    return {"recovery_codes": [recovery.code()]}


def _kind(request: TenantRequest) -> FactorKind:
    types, channels = request.many("authenticator_types"), request.many("oob_channels")
    if types == ["otp"]:
        return "otp"
    known = [_CHANNELS[channel] for channel in channels if channel in _CHANNELS]
    if types != ["oob"] or not known:
        description = "authenticator_types must be otp, or oob with a supported channel in oob_channels"
        raise RefusalError(400, "invalid_request", description)
    return cast("FactorKind", known[0])


def _masked(address: str) -> str:
    return f"{'X' * max(0, len(address) - 4)}{address[-4:]}"


def serve_challenge(state: TenantState, request: TenantRequest) -> Reply:
    """Send a code or a push message to one of the user's factors."""
    application = authenticate(request, state.applications, state.authenticators)
    waiting = state.mfa_tokens.find(request.required("mfa_token"), application.client_id)
    factor = _challenged(state, request, waiting)
    if factor.authenticator_type == "otp":
        return json_reply({"challenge_type": "otp"})
    return json_reply({"challenge_type": "oob", **_send(state, factor, waiting)})


def _send(state: TenantState, factor: Factor, waiting: InterruptedGrant) -> dict[str, str]:
    factor.challenge()
    if state.factors.deliver is not None:
        state.factors.deliver(factor)
    oob_code = f"Fe26.2*{secrets.token_urlsafe(24)}"
    waiting.challenges[oob_code] = factor
    return {"oob_code": oob_code} if factor.kind == "push" else {"oob_code": oob_code, "binding_method": "prompt"}


def _challenged(state: TenantState, request: TenantRequest, waiting: InterruptedGrant) -> Factor:
    types = (request.one("challenge_type") or "otp oob").split()
    named = request.one("authenticator_id")
    factors = state.factors.active(waiting.grant.user.user_id)
    if not factors:
        raise RefusalError(400, "association_required", "User does not have any enrolled authenticator")
    if named is not None and named not in {factor.id for factor in factors}:
        raise RefusalError(404, "invalid_request", "Authenticator not found")
    for factor in factors:
        if factor.authenticator_type in types and named in (None, factor.id):
            return factor
    raise RefusalError(400, "unsupported_challenge_type", "User does not have any of the allowed challenge types")


def _bearer(request: TenantRequest) -> str:
    return request.headers.get("authorization", "").partition("Bearer ")[2].strip()


def _is_access_token(token: str) -> bool:
    return token.startswith("ey")  # as every JSON object in base64url does


def _holder(state: TenantState, request: TenantRequest, scope: str) -> InterruptedGrant:
    """Return what the ``mfa_token`` or the access token of a request stands for."""
    token = _bearer(request)
    if not _is_access_token(token):
        return state.mfa_tokens.find(token)
    claims = verify_access_token(state, request, "mfa/", scope)
    application = state.applications.get(claims.get("azp"))
    if application is None:
        raise RefusalError(401, "invalid_token", "The access token is of an application that does not exist.")
    scopes = tuple(str(claims["scope"]).split())
    grant = TokenGrant(
        issuer=request.issuer,
        application=application,
        user=user_of(state, claims),
        api=state.apis.find(f"{request.issuer}mfa/", request.issuer),
        scopes=scopes,
    )
    return state.mfa_tokens.admit(token, grant, scopes)
