"""An error reply of the token endpoint to the exception that tells it (RFC 6749 section 5.2), read tolerantly."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from auth0_cte.error import CustomTokenExchangeError, MfaRequiredError, RateLimitError
from auth0_cte.foundation.strict_json import loads_object
from auth0_cte.oauth.rate_headers import read_rate_limit, read_retry_after, seconds_until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auth0_cte.error import RateLimitKind, RateLimitStatus
    from auth0_cte.oauth.client_auth.base import Form
    from auth0_cte.transport.client import Reply

__all__ = ["exchange_error", "kept_headers"]

MAX_CODE_LENGTH: Final = 1024
"""An Action may deny with a code of this length."""
MAX_DESCRIPTION_LENGTH: Final = 512
MIN_SECRET_LENGTH: Final = 6
"""A shorter token is no secret, and to blank it out of every word would leave no message."""

_KEPT_HEADERS: Final = (
    "auth0-ratelimit",
    "cf-ray",
    "content-type",
    "date",
    "retry-after",
    "x-auth0-requestid",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
)
# Parameters whose values must not come back in a message, should a server or a proxy echo them.
_SECRETS: Final = frozenset(
    {"subject_token", "actor_token", "client_secret", "client_assertion", "refresh_token", "mfa_token"}
)
# Not compiled here: errors are rare, and re remembers what it compiled.
_CONTROL: Final = r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+"


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Pick the headers that are safe to keep on an error: correlation, dates and rate limits."""
    return {name: headers[name][:256] for name in _KEPT_HEADERS if name in headers}


def exchange_error(reply: Reply, form: Form, now: float) -> CustomTokenExchangeError:
    """Make the exception for a reply with status 400 or above.

    Args:
        reply: The reply; its body may be HTML, or miss ``error``.
        form: What was sent; its secrets are kept out of the message.
        now: The time in Unix seconds, to read limits that end at a time.
    """
    body = _read(reply.body)
    secrets = [value for name, value in form if name in _SECRETS and len(value) >= MIN_SECRET_LENGTH]
    error, description = _code(body.get("error"), secrets), _description(body.get("error_description"), secrets)
    headers = kept_headers(reply.headers)
    evidence: dict[str, Any] = {
        "error": error,
        "error_description": description,
        "status_code": reply.status,
        "headers": headers,
        "retry_after": read_retry_after(headers, now),
        "request_id": headers.get("x-auth0-requestid"),
        "may_have_reached_server": True,
    }
    message = description or f"the token endpoint answered {reply.status}"
    if reply.status == 429:
        return _rate_limited(message, error, evidence, now)
    if error == "mfa_required":
        return MfaRequiredError(message, **evidence, **_mfa(body))
    return CustomTokenExchangeError(message, code=error, is_retryable=reply.status == 503, **evidence)


def _read(body: bytes) -> dict[str, Any]:
    try:
        return loads_object(body)
    except ValueError:
        return {}


def _redact(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "[redacted]")
    return text


def _code(value: object, secrets: list[str]) -> str | None:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_CODE_LENGTH or re.search(_CONTROL, value):
        return None
    return _redact(value, secrets)


def _description(value: object, secrets: list[str]) -> str | None:
    if not isinstance(value, str):
        return None
    # Redacted before it is cut, lest half a secret remain.
    return re.sub(_CONTROL, " ", _redact(value, secrets))[:MAX_DESCRIPTION_LENGTH].strip() or None


def _rate_limited(message: str, error: str | None, evidence: dict[str, Any], now: float) -> RateLimitError:
    status = read_rate_limit(evidence["headers"], now)
    failure = RateLimitError(message, code=error, **evidence)
    failure.blocked = error == "too_many_attempts"
    failure.is_retryable = not failure.blocked
    failure.kind = "ip_block" if failure.blocked else _kind(status)
    if status is not None:
        failure.rate_limit = status
        failure.limit, failure.remaining, failure.reset_at = status.limit, status.remaining, status.reset_at
        if failure.retry_after is None and status.reset_at is not None:
            failure.retry_after = seconds_until(status.reset_at, now)
    return failure


def _kind(status: RateLimitStatus | None) -> RateLimitKind:
    if status is None:
        return "unknown"
    return "tenant" if status.policy is None else "policy"


def _mfa(body: Mapping[str, Any]) -> dict[str, Any]:
    token, requirements = body.get("mfa_token"), body.get("mfa_requirements")
    return {
        "mfa_token": token if isinstance(token, str) else None,
        "mfa_requirements": requirements if isinstance(requirements, dict) else None,
    }
