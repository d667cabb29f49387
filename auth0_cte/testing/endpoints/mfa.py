"""Multi-factor authentication: the authenticators, the challenge, and the grants that finish an interrupted one.

Source: Auth0, "Authenticate Using the Resource Owner Password Flow with MFA", and its Authentication API reference.
"""

from __future__ import annotations

import json
import secrets
import threading
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field, frozen

from auth0_cte.testing.endpoints.dpop import bound
from auth0_cte.testing.endpoints.token_endpoint import Grant, Outcome, TokenCall
from auth0_cte.testing.issued.tokens import issue_tokens
from auth0_cte.testing.registry.applications import authenticate
from auth0_cte.testing.wire.messages import RefusalError, Reply, json_reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from auth0_cte.testing.issued.tokens import TokenGrant
    from auth0_cte.testing.registry.factors import Factor
    from auth0_cte.testing.state import TenantState
    from auth0_cte.testing.wire.messages import TenantRequest

__all__ = ["MFA_GRANTS", "InterruptedGrant", "InterruptedGrants", "serve_authenticators", "serve_challenge"]

LIFETIME: Final = 600
"""How long an ``mfa_token`` is good for, in seconds."""
MAX_FAILURES: Final = 10
"""Wrong codes until an ``mfa_token`` is refused."""


@define(eq=False)
class InterruptedGrant:
    """A grant that waits for a second factor.

    Args:
        grant: What is granted then.
        requested: The scopes that the interrupted request named.
        expires_at: When it is too late, in Unix seconds.
        challenges: The factors that were challenged, by their ``oob_code``.
        failures: Wrong codes so far.
    """

    grant: TokenGrant
    requested: tuple[str, ...]
    expires_at: float
    challenges: dict[str, Factor] = field(factory=dict)
    failures: int = 0


class InterruptedGrants:
    """What waits for a second factor, by the ``mfa_token`` that continues it.

    Args:
        clock: Returns Unix seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._waiting: dict[str, InterruptedGrant] = {}

    def __contains__(self, mfa_token: object) -> bool:
        return mfa_token in self._waiting

    def interrupt(self, grant: TokenGrant, requested: tuple[str, ...]) -> str:
        """Let a grant wait, and return the ``mfa_token``."""
        mfa_token = f"Fe26.2*{secrets.token_urlsafe(32)}"
        with self._lock:
            self._waiting[mfa_token] = InterruptedGrant(grant, requested, self._clock() + LIFETIME)
        return mfa_token

    def find(self, mfa_token: str, client_id: str | None = None) -> InterruptedGrant:
        """Return what waits.

        Raises:
            RefusalError: Nothing does, it is another application's, it has expired, or too many codes were wrong.
        """
        waiting = self._waiting.get(mfa_token)
        if waiting is None or client_id not in (None, waiting.grant.application.client_id):
            raise RefusalError(401, "invalid_grant", "Malformed mfa_token")
        if waiting.expires_at <= self._clock():
            raise RefusalError(401, "expired_token", "mfa_token is expired")
        if waiting.failures >= MAX_FAILURES:
            raise RefusalError(429, "too_many_attempts", "Too many failed codes.")
        return waiting

    def finish(self, mfa_token: str) -> None:
        """Forget what waited: an ``mfa_token`` continues once."""
        with self._lock:
            if self._waiting.pop(mfa_token, None) is None:
                raise RefusalError(401, "invalid_grant", "Malformed mfa_token")


def serve_authenticators(state: TenantState, request: TenantRequest) -> Reply:
    """Answer with the user's authenticators, to whoever has the ``mfa_token``."""
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


@frozen
class _Proof:
    """How one kind of grant is proved: returns further members of the reply."""

    check: Callable[[TokenCall, InterruptedGrant], dict[str, Any]]

    def __call__(self, call: TokenCall) -> Outcome:
        mfa_token = call.request.required("mfa_token")
        waiting = call.state.mfa_tokens.find(mfa_token, call.application.client_id)
        more = self.check(call, waiting)
        grant = bound(call, waiting.grant)
        call.state.mfa_tokens.finish(mfa_token)
        body = {**issue_tokens(call.state, grant, waiting.requested), **more}
        if "offline_access" in grant.scopes:
            body["refresh_token"] = call.state.refresh_tokens.issue(grant)
        return Outcome(reply=json_reply(body), user_id=grant.user.user_id, description="Multi-factor authentication")


def _otp(call: TokenCall, waiting: InterruptedGrant) -> dict[str, Any]:
    _use_code(call, waiting, "otp", call.request.required("otp"), "Invalid otp_code.")
    return {}


def _recovery(call: TokenCall, waiting: InterruptedGrant) -> dict[str, Any]:
    code = call.request.required("recovery_code")
    factor = _use_code(call, waiting, "recovery-code", code, "Invalid recovery_code.")
    return {"recovery_code": factor.renew_recovery_code()}


def _use_code(call: TokenCall, waiting: InterruptedGrant, kind: str, code: str, refusal: str) -> Factor:
    for factor in call.state.factors.of(waiting.grant.user.user_id):
        if factor.kind == kind and factor.accepts(code):
            return factor
    waiting.failures += 1
    raise RefusalError(403, "invalid_grant", refusal, user_id=waiting.grant.user.user_id)


def _oob(call: TokenCall, waiting: InterruptedGrant) -> dict[str, Any]:
    user_id = waiting.grant.user.user_id
    factor = waiting.challenges.get(call.request.required("oob_code"))
    if factor is None:
        raise RefusalError(403, "invalid_grant", "Invalid oob_code.", user_id=user_id)
    if factor.kind == "push":
        _check_push(factor)
    elif not factor.accepts(call.request.one("binding_code") or ""):
        waiting.failures += 1
        raise RefusalError(403, "invalid_grant", "Invalid binding_code.", user_id=user_id)
    return {}


def _check_push(factor: Factor) -> None:
    if factor.answer() is None:
        description = "Authorization pending: please repeat the request in a few seconds."
        raise RefusalError(400, "authorization_pending", description, user_id=factor.user_id)
    if not factor.answer():
        raise RefusalError(403, "invalid_grant", "MFA authorization rejected.", user_id=factor.user_id)


def _grant(check: Callable[[TokenCall, InterruptedGrant], dict[str, Any]], log: str) -> Grant:
    return Grant(
        handle=_Proof(check), is_enabled=lambda _application: True, success_log=f"s{log}", failure_log=f"f{log}"
    )


MFA_GRANTS: Final = {
    "http://auth0.com/oauth/grant-type/mfa-otp": _grant(_otp, "eotpft"),
    "http://auth0.com/oauth/grant-type/mfa-oob": _grant(_oob, "eoobft"),
    "http://auth0.com/oauth/grant-type/mfa-recovery-code": _grant(_recovery, "ercft"),
}
"""The grants that finish what a second factor interrupted, by ``grant_type``."""
