"""What failures are told by: the codes that the library itself gives, by name, and the state of rate limits."""

from __future__ import annotations

from typing import Literal, TypeAlias

from attrs import frozen

__all__ = [
    "AccessTokenErrorCode",
    "AccessTokenForConnectionErrorCode",
    "CustomTokenExchangeErrorCode",
    "RateLimitKind",
    "RateLimitStatus",
]


class CustomTokenExchangeErrorCode:
    """The codes that the library itself gives to a failed exchange.

    The set of ``CustomTokenExchangeError.code`` is open: when Auth0 answered with an OAuth error, the code is the
    server's own ``error`` string, and an Action may return any.
    """

    INVALID_TOKEN_FORMAT = "INVALID_TOKEN_FORMAT"
    """A token or a token type is not a string, empty, blank, padded, has control characters or a Bearer prefix."""
    MISSING_ACTOR_TOKEN_TYPE = "MISSING_ACTOR_TOKEN_TYPE"
    """``actor_token`` came without ``actor_token_type``."""
    MISSING_ACTOR_TOKEN = "MISSING_ACTOR_TOKEN"
    """``actor_token_type`` came without ``actor_token``."""
    INVALID_OPTIONS = "INVALID_OPTIONS"
    """Another option has a wrong type or value."""
    INVALID_AUTHORIZATION_PARAMS = "INVALID_AUTHORIZATION_PARAMS"
    """``authorization_params`` holds a name or a value that cannot be sent."""
    INVALID_PENDING_LOGIN = "INVALID_PENDING_LOGIN"
    """What `resume_login` was given was not sealed by this application, was changed, or is over ten minutes old."""
    INVALID_ACTOR_TOKEN = "INVALID_ACTOR_TOKEN"
    """``actor_token`` is said to be an ID token, and is none that Auth0 could accept of an actor."""
    TOKEN_SUPPLIER_FAILED = "TOKEN_SUPPLIER_FAILED"
    """The function that was given as a token raised an exception, which is the ``__cause__``; nothing was sent."""
    ACTOR_UNAVAILABLE = "ACTOR_UNAVAILABLE"
    """A session transfer needs an actor: none was given, and the session at hand has no usable ID token."""
    SETACTOR_REQUIRED = "setactor_required"
    """The server's own: the Action did not call ``setActor``, which a session transfer needs."""
    SESSION_TRANSFER_DISABLED = "session_transfer_disabled"
    """The server's own: the application may not create session transfer tokens."""
    LOCAL_RATE_LIMIT = "LOCAL_RATE_LIMIT"
    """The client's own ``rate_limit`` has no slot left within the deadline; nothing was sent."""
    RATE_LIMIT_UNAVAILABLE = "RATE_LIMIT_UNAVAILABLE"
    """The ``rate_limit`` is kept in Redis, which cannot be used; nothing was sent."""
    EXCHANGE_CACHE_UNAVAILABLE = "EXCHANGE_CACHE_UNAVAILABLE"
    """The ``exchange_cache`` is kept in Redis, which cannot be used; nothing was sent."""
    SUBJECT_TOKEN_SPENT = "SUBJECT_TOKEN_SPENT"
    """`ExchangeAuth` has sent its subject token already, and was not told that it may do so again."""
    TOKEN_EXCHANGE_FAILED = "TOKEN_EXCHANGE_FAILED"
    """The exchange failed and the server gave no code: the network, or an error reply without ``error``."""
    INVALID_RESPONSE = "INVALID_RESPONSE"
    """The reply is not the JSON object that RFC 8693 section 2.2 describes."""


class AccessTokenErrorCode:
    """The codes that the library itself gives to an `AccessTokenError`; a refused refresh has the server's own."""

    MISSING_SESSION = "MISSING_SESSION"
    """Nobody is logged in."""
    MISSING_REFRESH_TOKEN = "MISSING_REFRESH_TOKEN"
    """The access token has expired, and the session has no refresh token."""
    FAILED_TO_REFRESH_TOKEN = "FAILED_TO_REFRESH_TOKEN"
    """The refresh failed, and the server gave no code."""
    REFRESH_TOKEN_ERROR = FAILED_TO_REFRESH_TOKEN
    """The name of the same in auth0-server-python."""
    SESSION_EXPIRED = "SESSION_EXPIRED"
    """The upstream session that the login rests on has ended."""
    FAILED_TO_REQUEST_TOKEN = "FAILED_TO_REQUEST_TOKEN"
    """Not raised."""
    AUTH_REQ_ID_ERROR = "AUTH_REQ_ID_ERROR"
    """Not raised."""
    INCORRECT_AUDIENCE = "INCORRECT_AUDIENCE"
    """Not raised."""
    MISSING_SESSION_DOMAIN = "MISSING_SESSION_DOMAIN"
    """Not raised: a session without domain is not one of any domain."""
    DOMAIN_MISMATCH = "DOMAIN_MISMATCH"
    """Not raised: at another domain nobody is logged in."""


class AccessTokenForConnectionErrorCode:
    """The codes of `AccessTokenForConnectionError`, by the names that they have in auth0-server-python."""

    INVALID_OPTIONS = "INVALID_OPTIONS"
    """The connection or the hint is missing or wrong; nothing was sent."""
    MISSING_REFRESH_TOKEN = "MISSING_REFRESH_TOKEN"
    """Nobody is logged in, or the session has no refresh token."""
    API_ERROR = "API_ERROR"
    """Auth0 refused: ``error`` and ``error_description`` say why."""
    FETCH_ERROR = "FETCH_ERROR"
    """Auth0 could not be reached, or its reply cannot be used."""
    FAILED_TO_RETRIEVE = "FAILED_TO_RETRIEVE"
    """Not raised."""
    MISSING_SESSION_DOMAIN = "MISSING_SESSION_DOMAIN"
    """Not raised: a session without domain is not one of any domain."""
    DOMAIN_MISMATCH = "DOMAIN_MISMATCH"
    """Not raised: at another domain nobody is logged in."""


RateLimitKind: TypeAlias = Literal["ip_block", "tenant", "policy", "local", "unknown"]
"""Whose limit a `RateLimitError` is about."""


@frozen(kw_only=True)
class RateLimitStatus:
    """What the server told about a rate limit; what it did not tell is None.

    Args:
        limit: Requests allowed in the window.
        remaining: Requests left in the window.
        reset_at: When the window ends, in Unix seconds.
        policy: The name of the custom policy (``Auth0-RateLimit``); None for a limit of the tenant (``x-ratelimit-*``).
    """

    limit: int | None = None
    remaining: int | None = None
    reset_at: float | None = None
    policy: str | None = None
