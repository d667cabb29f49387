"""Exit codes: which failure ends a command with which status."""

from __future__ import annotations

from enum import IntEnum
from http import HTTPStatus
from typing import Final

from auth0_cte.error import (
    Auth0CTEError,
    ConfigurationError,
    CustomTokenExchangeError,
    DiscoveryError,
    RateLimitError,
    TransportError,
)

__all__ = ["ExitCode", "exit_code_of"]


class ExitCode(IntEnum):
    """The exit codes of every command."""

    OK = 0
    USAGE = 2
    REJECTED = 3
    CONFIGURATION = 4
    LIMIT = 5
    NETWORK = 6


_BY_CODE: Final = {
    **dict.fromkeys(
        (
            "INVALID_TOKEN_FORMAT",
            "MISSING_ACTOR_TOKEN",
            "MISSING_ACTOR_TOKEN_TYPE",
            "INVALID_OPTIONS",
            "INVALID_AUTHORIZATION_PARAMS",
        ),
        ExitCode.USAGE,
    ),
    **dict.fromkeys(
        (
            "consent_required",
            "invalid_client",
            "invalid_scope",
            "invalid_target",
            "session_transfer_disabled",
            "setactor_required",
            "unauthorized_client",
        ),
        ExitCode.CONFIGURATION,
    ),
    **dict.fromkeys(("LOCAL_RATE_LIMIT", "too_many_attempts", "too_many_requests"), ExitCode.LIMIT),
    **dict.fromkeys(
        (
            "CLAIMS_UNAVAILABLE",
            "EXCHANGE_CACHE_UNAVAILABLE",
            "INVALID_RESPONSE",
            "RATE_LIMIT_UNAVAILABLE",
            "STORE_UNAVAILABLE",
        ),
        ExitCode.NETWORK,
    ),
}
_BY_CLASS: Final[tuple[tuple[type[Auth0CTEError], ExitCode], ...]] = (
    (RateLimitError, ExitCode.LIMIT),
    (TransportError, ExitCode.NETWORK),
    (DiscoveryError, ExitCode.CONFIGURATION),
    (ConfigurationError, ExitCode.CONFIGURATION),
)


def exit_code_of(error: Auth0CTEError) -> ExitCode:
    """Return the status that a command ends with after this failure."""
    if error.code in _BY_CODE:
        return _BY_CODE[error.code]
    for kind, code in _BY_CLASS:
        if isinstance(error, kind):
            return code
    return _of_reply(error) if isinstance(error, CustomTokenExchangeError) else ExitCode.REJECTED


def _of_reply(error: CustomTokenExchangeError) -> ExitCode:
    if error.status_code == HTTPStatus.UNAUTHORIZED:
        return ExitCode.CONFIGURATION  # the application itself was refused, whatever the code
    if error.error is None and (error.status_code or 0) >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ExitCode.NETWORK
    # Auth0's only words for a token type without a profile (the Action did not run).
    if error.error == "invalid_request" and "subject_token_type" in (error.error_description or ""):
        return ExitCode.CONFIGURATION
    return ExitCode.REJECTED
