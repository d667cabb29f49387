"""What to do about a failure, in a line each, by the code of the error."""

from __future__ import annotations

from typing import Final

__all__ = ["HINTS", "hint_of"]

HINTS: Final = {
    "INVALID_TOKEN_FORMAT": "Pass the bare token as it was issued: no Bearer prefix, no surrounding white space.",
    "MISSING_ACTOR_TOKEN_TYPE": "Give actor_token_type beside actor_token, or neither of them.",
    "MISSING_ACTOR_TOKEN": "Give actor_token beside actor_token_type, or neither of them.",
    "INVALID_ACTOR_TOKEN": "Give an unexpired ID token of this tenant, issued to this application; nothing was sent.",
    "ACTOR_UNAVAILABLE": "Pass actor_token, or log the agent in again; the subject token was not sent.",
    "setactor_required": "Have the Action call api.authentication.setActor: a session transfer needs an actor.",
    "session_transfer_disabled": "Allow the application to create session transfer tokens (can_create_…, dashboard).",
    "INVALID_OPTIONS": "Correct the named option; nothing was sent.",
    "INVALID_AUTHORIZATION_PARAMS": "Use text names, and str, int, bool or a list of at most 20 of those as values.",
    "LOCAL_RATE_LIMIT": "Nothing was sent: try again after retry_after seconds, or raise timeout or the rate_limit.",
    "RATE_LIMIT_UNAVAILABLE": "Nothing was sent. Fix the connection to the Redis that keeps the rate_limit.",
    "EXCHANGE_CACHE_UNAVAILABLE": "Nothing was sent. Fix the connection to the Redis that keeps the exchange_cache.",
    "CLAIMS_UNAVAILABLE": "Nothing was sent. Fix the connection to the Redis that machines share the rows through.",
    "TOKEN_SUPPLIER_FAILED": "Look at __cause__ and fix the function that was given as a token; nothing was sent.",
    "CLIENT_AUTH_FAILED": "Look at __cause__ and fix the client_auth that was given; nothing was sent.",
    "SUBJECT_TOKEN_SPENT": "Give subject_token as a function that returns a fresh one, or ask for offline_access.",
    "TOKEN_EXCHANGE_FAILED": "Look at status_code, may_have_reached_server and __cause__; the tenant log tells more.",
    "INVALID_RESPONSE": "Something else than the token endpoint answered: check the domain and the proxies in between.",
    "access_denied": "Auth0 denied access: check client_id and client_secret, or the reason that the Action gave.",
    "invalid_client": "Check client_id, client_secret and the application's authentication method.",
    "unauthorized_client": "Enable Custom Token Exchange for this application in the Auth0 dashboard.",
    "invalid_request": "Check the subject_token_type's profile and the token; the tenant log (fecte) tells the detail.",
    "invalid_grant": "The grant is spent, expired or revoked: get a new one; do not send this one again.",
    "invalid_scope": "Ask only for scopes that the API (audience) defines.",
    "invalid_target": "Check audience: an API with this identifier must exist and be open to the application.",
    "MISSING_ID_TOKEN": "Look at the Action and the tenant log: Auth0 issues an ID token when openid is granted.",
    "JWKS_UNAVAILABLE": "The tenant's keys could not be fetched: check the network, then try again with a new token.",
    "SIGNING_KEY_UNAVAILABLE": "The tenant has just changed its keys: try again in a minute, with a new token.",
    "MISSING_SESSION": "Log the user in.",
    "SESSION_MISMATCH": "Answer the second factor in the browser that asked for it, or log the user in again.",
    "MISSING_REFRESH_TOKEN": "Log the user in again, with offline_access in the scope.",
    "API_ERROR": "Look at error and error_description: the account must be connected, and Token Vault enabled.",
    "FETCH_ERROR": "Try again when is_retryable is true; else check the domain and the proxies in between.",
    "REEXCHANGE_FAILED": "Look at __cause__ and fix the function that was given as reexchange; nothing was sent.",
    "SESSION_EXPIRED": "Log the user in again.",
    "SUBJECT_MISMATCH": "The session has ended: log the user in again.",
    "ACTOR_MISMATCH": "The session has ended: log the user in again.",
    "ORGANIZATION_MISMATCH": "Log the user in again, through the organization that was asked for.",
    "RESPONSE_SENT": (
        "Nothing was sent to Auth0. Log in, log out and refresh before the response begins, not in a streamed body, a "
        "background task, or a websocket that was accepted."
    ),
    "SESSION_TOO_LARGE": "Keep sessions in a store on the server, or choose fewer claims by session_claims=.",
    "SESSION_CLAIMS_FAILED": "Look at __cause__ and fix the function that was given as session_claims.",
    "USER_REFUSED": (
        "The subject token is spent, and no session was begun. See the user's account in the application."
    ),
    "STORE_UNAVAILABLE": "Fix the connection to the store of the sessions; __cause__ has the driver's own error.",
    "SESSION_LOCKED": "Another request refreshes this session: try again in a moment.",
    "INSUFFICIENT_TOKEN": "Log the user in again with the scopes that the API needs, or ask for fewer.",
    "consent_required": "Allow skipping user consent on the API, or make the application a first-party one.",
    "mfa_required": "Ask for the second factor, then call complete_mfa(mfa_token, …) or resume_login(pending_login).",
    "authorization_pending": "The user has not answered the push message yet: call again after a few seconds.",
    "slow_down": "Wait longer between two attempts.",
    "expired_token": "The second factor came too late: begin the login again.",
    "INVALID_PENDING_LOGIN": "Begin the login again.",
    "server_error": "The Action failed or denied with server_error: look at the tenant log (fecte).",
    "invalid_dpop_proof": "Check this machine's clock, and that the DPoP key is given and of a kind that Auth0 takes.",
    "use_dpop_nonce": "The server gave no usable DPoP nonce, or refused the one it had just given: call again.",
    "too_many_attempts": (
        "Auth0 blocked this IP for invalid subject tokens. Do not retry; pass forwarded_for so that it counts the "
        "end user's address instead of your server's."
    ),
    "too_many_requests": "Wait retry_after seconds before the next attempt, and lower the rate.",
}

_BY_DESCRIPTION: Final = {
    "service not found": "Check audience: an API with this identifier must exist, and be open to the application.",
    "organization": "Check organization: it must exist, with the user as a member and the connection enabled.",
    "not authorized to access": "Check audience: the API must be open to the application.",
    "an actor is required": "Have the Action call api.authentication.setActor: a session transfer needs an actor.",
    "unauthorized": "Check client_id, client_secret and the application's authentication method.",
}
"""What servers say in their descriptions, where the code alone would be too general."""


def hint_of(code: str | None, description: str | None, status: int) -> str:
    """Return the hint for a refusal whose code says too little; empty where the code's own hint is true.

    Args:
        code: The server's ``error``, or None.
        description: Its ``error_description``, or None.
        status: The HTTP status.
    """
    if code in ("access_denied", "invalid_request"):
        said = (description or "").lower()
        return next((hint for words, hint in _BY_DESCRIPTION.items() if words in said), "")
    if status >= 500 and code not in HINTS:
        return "Auth0 could not answer: try again later, after retry_after seconds where it is given."
    return ""
