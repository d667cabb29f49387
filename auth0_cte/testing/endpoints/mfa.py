"""Multi-factor authentication: the authenticators and the challenge.

Source: Auth0, "Authenticate Using the Resource Owner Password Flow with MFA", and its Authentication API reference.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING

from auth0_cte.testing.registry.applications import authenticate
from auth0_cte.testing.wire.messages import RefusalError, Reply, json_reply

if TYPE_CHECKING:
    from auth0_cte.testing.issued.interrupted_grants import InterruptedGrant
    from auth0_cte.testing.registry.factors import Factor
    from auth0_cte.testing.state import TenantState
    from auth0_cte.testing.wire.messages import TenantRequest

__all__ = ["serve_authenticators", "serve_challenge"]


def serve_authenticators(state: TenantState, request: TenantRequest) -> Reply:
    """Answer with the user's authenticators, to the holder of the ``mfa_token``."""
    _, _, token = request.headers.get("authorization", "").partition("Bearer ")
    try:
        user = state.mfa_tokens.find(token.strip()).grant.user
    except RefusalError as refusal:
        return refusal.reply()
    members = [factor.as_member() for factor in state.factors.of(user.user_id)]
    return Reply(headers={"content-type": "application/json"}, body=json.dumps(members).encode())


def serve_challenge(state: TenantState, request: TenantRequest) -> Reply:
    """Send a code or a push message to one of the user's factors."""
    try:
        application = authenticate(request, state.applications, state.authenticators)
        waiting = state.mfa_tokens.find(request.required("mfa_token"), application.client_id)
        factor = _challenged(state, request, waiting)
    except RefusalError as refusal:
        return refusal.reply()
    if factor.authenticator_type == "otp":
        return json_reply({"challenge_type": "otp"})
    factor.challenge()
    oob_code = f"Fe26.2*{secrets.token_urlsafe(24)}"
    waiting.challenges[oob_code] = factor
    body = {"challenge_type": "oob", "oob_code": oob_code}
    return json_reply(body if factor.kind == "push" else {**body, "binding_method": "prompt"})


def _challenged(state: TenantState, request: TenantRequest, waiting: InterruptedGrant) -> Factor:
    types = (request.one("challenge_type") or "otp oob").split()
    named = request.one("authenticator_id")
    factors = state.factors.of(waiting.grant.user.user_id)
    if named is not None and named not in {factor.id for factor in factors}:
        raise RefusalError(404, "invalid_request", "Authenticator not found")
    for factor in factors:
        if factor.authenticator_type in types and named in (None, factor.id):
            return factor
    raise RefusalError(400, "unsupported_challenge_type", "User does not have any of the allowed challenge types")
