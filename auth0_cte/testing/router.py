"""From a request to its reply: what is scripted first, then the endpoint, then what every reply carries."""

from __future__ import annotations

import secrets
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from attrs import evolve

from auth0_cte.testing.endpoints.authorize import serve_authorize
from auth0_cte.testing.endpoints.connected_accounts import connected_accounts_endpoints
from auth0_cte.testing.endpoints.discovery import serve_configuration, serve_jwks
from auth0_cte.testing.endpoints.grants.exchange import GRANT_TYPE, TOKEN_EXCHANGE
from auth0_cte.testing.endpoints.grants.refresh import GRANT_TYPE as REFRESH_GRANT_TYPE
from auth0_cte.testing.endpoints.grants.refresh import REFRESH_TOKEN
from auth0_cte.testing.endpoints.grants.second_factor import MFA_GRANTS
from auth0_cte.testing.endpoints.grants.token_vault import GRANT_TYPE as TOKEN_VAULT_GRANT_TYPE
from auth0_cte.testing.endpoints.grants.token_vault import TOKEN_VAULT
from auth0_cte.testing.endpoints.logout import serve_logout, serve_oidc_logout
from auth0_cte.testing.endpoints.mfa import serve_associate, serve_authenticators, serve_challenge, serve_removal
from auth0_cte.testing.endpoints.revoke import serve_revoke
from auth0_cte.testing.endpoints.token_endpoint import serve_token
from auth0_cte.testing.endpoints.userinfo import serve_userinfo
from auth0_cte.testing.wire.messages import RefusalError, Reply, json_reply
from auth0_cte.testing.wire.script import Scripted

if TYPE_CHECKING:
    from collections.abc import Callable

    from auth0_cte.testing.endpoints.backchannel_logout import BackchannelLogout
    from auth0_cte.testing.endpoints.grants.call import Grant
    from auth0_cte.testing.state import TenantState
    from auth0_cte.testing.wire.messages import TenantRequest

__all__ = ["Endpoint", "Router"]

Endpoint: TypeAlias = "Callable[[TenantState, TenantRequest], Reply]"
"""What answers the requests to one path by one method."""


class Router:
    """What answers. A further feature is a further entry: an endpoint by path and method, a grant by its type.

    Args:
        state: What the tenant holds.
        logouts: What tells applications of logouts.

    Attributes:
        grants: The grants of the token endpoint by ``grant_type``.
        endpoints: What answers, by path and then by method; ``/*`` at the end of a path stands for any last part.
    """

    def __init__(self, state: TenantState, logouts: BackchannelLogout) -> None:
        self._state = state
        self.grants: dict[str, Grant] = {
            GRANT_TYPE: TOKEN_EXCHANGE,
            REFRESH_GRANT_TYPE: REFRESH_TOKEN,
            TOKEN_VAULT_GRANT_TYPE: TOKEN_VAULT,
            **MFA_GRANTS,
        }
        self.endpoints: dict[str, dict[str, Endpoint]] = {
            "/.well-known/openid-configuration": {"GET": partial(serve_configuration, self.grants)},
            "/.well-known/jwks.json": {"GET": serve_jwks},
            "/oauth/token": {"POST": partial(serve_token, self.grants)},
            "/oauth/revoke": {"POST": serve_revoke},
            "/userinfo": {"GET": serve_userinfo, "POST": serve_userinfo},
            "/v2/logout": {"GET": serve_logout},
            "/oidc/logout": dict.fromkeys(("GET", "POST"), partial(serve_oidc_logout, logouts)),
            "/authorize": {"GET": serve_authorize, "POST": serve_authorize},
            "/mfa/associate": {"POST": serve_associate},
            "/mfa/authenticators": {"GET": serve_authenticators},
            "/mfa/authenticators/*": {"DELETE": serve_removal},
            "/mfa/challenge": {"POST": serve_challenge},
            **connected_accounts_endpoints(),
        }

    def answer(self, request: TenantRequest) -> Reply:
        """Record a request and answer it."""
        state = self._state
        state.requests.append(request)
        state.issuers.add(request.issuer)
        event = state.script.take(request.path, request.form.get("grant_type")) or Scripted()
        if event.reply is not None:
            reply = event.reply
        elif event.fault in ("close", "reset"):
            reply = Reply()  # it will not be sent
        else:
            reply = self._route(request)
        reply = reply.with_headers({"x-auth0-requestid": secrets.token_hex(10)})
        return evolve(reply, delay=event.delay, fault=event.fault)

    def _route(self, request: TenantRequest) -> Reply:
        folder, _, _ = request.path.rpartition("/")
        methods = self.endpoints.get(request.path) or self.endpoints.get(f"{folder}/*")
        if methods is None:
            return json_reply({"error": "not_found", "error_description": "Not Found"}, status=404)
        endpoint = methods.get("GET" if request.method == "HEAD" else request.method)
        if endpoint is None:
            allowed = {"allow": ", ".join(sorted(methods))}
            body = {"error": "method_not_allowed", "error_description": "Method Not Allowed"}
            return json_reply(body, status=405, headers=allowed)
        try:
            return endpoint(self._state, request)
        except RefusalError as refusal:
            return refusal.reply()
