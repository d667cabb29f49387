"""The grants that finish what a second factor interrupted (Auth0, Authentication API, "Verify with ...")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from auth0_cte.testing.endpoints.grants.binding import bound
from auth0_cte.testing.endpoints.grants.call import Grant, Outcome, TokenCall
from auth0_cte.testing.wire.messages import RefusalError, json_reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from auth0_cte.testing.issued.interrupted_grants import InterruptedGrant
    from auth0_cte.testing.registry.factors import Factor

__all__ = ["MFA_GRANTS"]


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
        body = {**call.state.tokens.reply(grant, waiting.requested), **more}
        if "offline_access" in grant.scopes:
            body["refresh_token"] = call.state.refresh_tokens.issue(grant, call.request)
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
            call.state.factors.confirm(factor)
            return factor
    call.state.mfa_tokens.count_failure(call.request.required("mfa_token"))
    raise RefusalError(403, "invalid_grant", refusal, user_id=waiting.grant.user.user_id)


def _oob(call: TokenCall, waiting: InterruptedGrant) -> dict[str, Any]:
    user_id = waiting.grant.user.user_id
    factor = waiting.challenges.get(call.request.required("oob_code"))
    if factor is None:
        raise RefusalError(403, "invalid_grant", "Invalid oob_code.", user_id=user_id)
    if factor.kind == "push":
        _check_push(factor)
    elif not factor.accepts(call.request.one("binding_code") or ""):
        call.state.mfa_tokens.count_failure(call.request.required("mfa_token"))
        raise RefusalError(403, "invalid_grant", "Invalid binding_code.", user_id=user_id)
    call.state.factors.confirm(factor)
    return {}


def _check_push(factor: Factor) -> None:
    if factor.answer() is None:
        description = "Authorization pending: please repeat the request in a few seconds."
        raise RefusalError(400, "authorization_pending", description, user_id=factor.user_id)
    if not factor.answer():
        raise RefusalError(403, "invalid_grant", "MFA authorization rejected.", user_id=factor.user_id)


MFA_GRANTS: Final = {
    "http://auth0.com/oauth/grant-type/mfa-otp": Grant.make(_Proof(_otp), "seotpft", "feotpft"),
    "http://auth0.com/oauth/grant-type/mfa-oob": Grant.make(_Proof(_oob), "seoobft", "feoobft"),
    "http://auth0.com/oauth/grant-type/mfa-recovery-code": Grant.make(_Proof(_recovery), "sercft", "fercft"),
}
"""The grants that finish what a second factor interrupted, by ``grant_type``."""
