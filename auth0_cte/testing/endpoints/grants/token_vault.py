"""Token Vault: an Auth0 token is exchanged for one of another provider, which the user has connected.

Source: Auth0, "Token Vault" and "Refresh Token Exchange with Token Vault".
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from auth0_cte.testing.endpoints.grants.call import Grant, Outcome
from auth0_cte.testing.endpoints.grants.subject import verify_subject_token
from auth0_cte.testing.wire.messages import RefusalError, json_reply
from auth0_cte.token_types import ACCESS_TOKEN, REFRESH_TOKEN

if TYPE_CHECKING:
    from auth0_cte.testing.endpoints.grants.call import TokenCall
    from auth0_cte.testing.registry.applications import Application

__all__ = ["GRANT_TYPE", "TOKEN_VAULT"]

logger: Final = logging.getLogger("auth0_cte.testing")

GRANT_TYPE: Final = "urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token"
PROVIDER_TOKEN: Final = "http://auth0.com/oauth/token-type/federated-connection-access-token"
NO_ACCOUNT: Final = "federated_connection_refresh_token_not_found"


def _exchange(call: TokenCall) -> Outcome:
    if call.request.required("requested_token_type") != PROVIDER_TOKEN:
        raise RefusalError(400, "invalid_request", "requested_token_type is not supported.")
    connection = call.request.required("connection")
    user_id = _user_id(call)
    account = call.state.connected_accounts.find(user_id, connection, call.request.one("login_hint"))
    if account is None:
        detail = f"the user {user_id!r} has no account at {connection!r} whose token could be had"
        raise RefusalError(401, NO_ACCOUNT, "Federated connection Refresh Token not found.", detail=detail)
    body = {
        "access_token": account.access_token,
        "scope": " ".join(account.scopes),
        "expires_in": int(account.expires_at - call.state.clock()),
        "issued_token_type": PROVIDER_TOKEN,
        "token_type": "Bearer",
    }
    return Outcome(
        reply=json_reply(body),
        user_id=user_id,
        description="Successful exchange for a token of a federated connection",
        details={"connection": connection},
    )


def _user_id(call: TokenCall) -> str:
    kind, token = call.request.required("subject_token_type"), call.request.required("subject_token")
    if kind == REFRESH_TOKEN:
        return _of_refresh_token(call, token)
    if kind == ACCESS_TOKEN and call.application.resource_server is not None:
        return str(verify_subject_token(call.state, token, call.application.resource_server)["sub"])
    raise RefusalError(400, "invalid_request", "subject_token_type is not supported.")


def _of_refresh_token(call: TokenCall, token: str) -> str:
    if call.state.sessions.rotate_refresh_tokens:
        hint = "Auth0 needs refresh token rotation off for Token Vault: tenant.sessions.rotate_refresh_tokens = False"
        if call.state.strict:
            raise RefusalError(403, "unauthorized_client", "Refresh token rotation must be disabled.", detail=hint)
        logger.warning("the local tenant is more generous than Auth0: %s", hint)
    try:
        return call.state.refresh_tokens.use(token, call.application.client_id).user.user_id
    except RefusalError as refusal:
        raise RefusalError(401, "invalid_grant", refusal.description, detail=refusal.detail) from None


def _is_enabled(application: Application) -> bool:
    return application.token_vault and application.first_party and application.auth_method != "none"


TOKEN_VAULT: Final = Grant.make(_exchange, "secte", "fecte", is_enabled=_is_enabled)
