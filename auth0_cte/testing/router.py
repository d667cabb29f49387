"""From a request to its reply: what is scripted first, then the endpoint, then what every reply carries."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from attrs import evolve

from auth0_cte.testing.wire.messages import Reply, json_reply
from auth0_cte.testing.wire.script import Scripted

if TYPE_CHECKING:
    from auth0_cte.testing.state import TenantState
    from auth0_cte.testing.wire.messages import TenantRequest

__all__ = ["answer"]


def answer(state: TenantState, request: TenantRequest) -> Reply:
    """Record a request and answer it."""
    state.requests.append(request)
    state.issuers.add(request.issuer)
    event = state.script.take(request.path, request.form.get("grant_type")) or Scripted()
    if event.reply is not None:
        reply = event.reply
    elif event.fault in ("close", "reset"):
        reply = Reply()  # it will not be sent
    else:
        reply = _route(state, request)
    reply = reply.with_headers({"x-auth0-requestid": secrets.token_hex(10)})
    return evolve(reply, delay=event.delay, fault=event.fault)


def _route(state: TenantState, request: TenantRequest) -> Reply:
    methods = state.endpoints.get(request.path)
    if methods is None:
        return json_reply({"error": "not_found", "error_description": "Not Found"}, status=404)
    endpoint = methods.get("GET" if request.method == "HEAD" else request.method)
    if endpoint is None:
        allowed = {"allow": ", ".join(sorted(methods))}
        body = {"error": "method_not_allowed", "error_description": "Method Not Allowed"}
        return json_reply(body, status=405, headers=allowed)
    return endpoint(state, request)
