"""The token endpoint: who asks, for which grant, and what goes into the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import evolve

from auth0_cte.testing.endpoints.dpop import nonce_headers, verify_proof
from auth0_cte.testing.endpoints.grants.call import TokenCall, caller_ip
from auth0_cte.testing.endpoints.log import write_log
from auth0_cte.testing.registry.applications import authenticate
from auth0_cte.testing.wire.messages import RefusalError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auth0_cte.testing.endpoints.grants.call import Grant, Outcome
    from auth0_cte.testing.registry.applications import Application
    from auth0_cte.testing.state import TenantState
    from auth0_cte.testing.wire.messages import Reply, TenantRequest

__all__ = ["serve_token"]

_NO_STORE: Final = {"cache-control": "no-store", "pragma": "no-cache"}
_LOGGED: Final = (
    *("grant_type", "subject_token_type", "actor_token_type", "requested_token_type"),
    *("audience", "scope", "organization", "resource"),
)


def serve_token(grants: Mapping[str, Grant], state: TenantState, request: TenantRequest) -> Reply:
    """Answer a token request (RFC 6749 section 3.2).

    Args:
        grants: The grants by ``grant_type``.
        state: The tenant.
        request: The request.
    """
    try:
        grant = _grant(grants, request)
    except RefusalError as refusal:
        return refusal.reply().with_headers(_NO_STORE)
    nonce = nonce_headers(state) if "dpop" in request.headers else {}
    return _serve_grant(state, request, grant).with_headers({**_NO_STORE, **nonce})


def _grant(grants: Mapping[str, Grant], request: TenantRequest) -> Grant:
    name = request.required("grant_type")
    if name not in grants:
        raise RefusalError(400, "unsupported_grant_type", f"Unsupported grant type: {name}")
    return grants[name]


def _serve_grant(state: TenantState, request: TenantRequest, grant: Grant) -> Reply:
    application: Application | None = None
    notes: dict[str, Any] = {}
    success_log, failure_log = grant.log_types(request)
    try:
        application = authenticate(request, state.applications, state.authenticators)
        outcome = _handle(TokenCall(state=state, request=request, application=application, notes=notes), grant)
    except RefusalError as refusal:
        error = {"error": refusal.error, "error_description": refusal.description, "status": refusal.status}
        about = _about(request, application, {**notes, **error, **refusal.details}, user_id=refusal.user_id)
        for kind in (*refusal.further_logs, refusal.log_type or failure_log):
            write_log(state, request, kind, refusal.detail, **about)
        return refusal.reply()
    about = _about(
        request,
        application,
        {**notes, **outcome.details},
        user_id=outcome.user_id,
        organization=outcome.organization,
    )
    write_log(state, request, success_log, outcome.description, **about)
    return outcome.reply


def _handle(call: TokenCall, grant: Grant) -> Outcome:
    if not grant.is_enabled(call.application):
        name = call.request.required("grant_type")
        raise RefusalError(403, "unauthorized_client", f"Grant type '{name}' not allowed for the client.")
    return grant.handle(evolve(call, jkt=verify_proof(call.state, call.request)))


def _about(
    request: TenantRequest, application: Application | None, details: Mapping[str, Any], **more: Any
) -> dict[str, Any]:
    named = request.form.get("client_id")
    return {
        "application": application,
        "client_id": named if isinstance(named, str) else None,
        "ip": caller_ip(application, request) if application else None,
        "details": {**{key: request.form[key] for key in _LOGGED if key in request.form}, **details},
        **more,
    }
