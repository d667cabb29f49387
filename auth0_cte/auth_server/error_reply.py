"""An error reply of the token endpoint to the exception that tells it (RFC 6749 section 5.2), read tolerantly."""

from __future__ import annotations

import math
import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

from auth0_cte.error import CustomTokenExchangeError, MfaRequiredError, RateLimitError
from auth0_cte.strict_json import loads_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auth0_cte.auth_server.client_auth import Form
    from auth0_cte.auth_server.http import Reply

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
_NUMBER: Final = r"[0-9]{1,15}(?:\.[0-9]{1,6})?"


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
        "retry_after": _retry_after(headers, now),
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
    blocked = error == "too_many_attempts"
    return RateLimitError(
        message, code=error, blocked=blocked, is_retryable=not blocked, **evidence, **_limits(evidence["headers"], now)
    )


def _limits(headers: Mapping[str, str], now: float) -> dict[str, Any]:
    """Read ``x-ratelimit-*``, or else ``Auth0-RateLimit: client;q=10;t=1;r=9`` (t: seconds until the window ends)."""
    limit = _number(headers.get("x-ratelimit-limit"))
    if limit is not None:
        reset = _number(headers.get("x-ratelimit-reset"))
        return {"limit": int(limit), "remaining": _whole(headers.get("x-ratelimit-remaining")), "reset_at": reset}
    parts = [part.strip().partition("=") for part in headers.get("auth0-ratelimit", "").split(";")]
    policy = {name: value for name, _, value in parts}
    seconds = _number(policy.get("t"))
    return {
        "limit": _whole(policy.get("q")),
        "remaining": _whole(policy.get("r")),
        "reset_at": None if seconds is None else now + seconds,
    }


def _retry_after(headers: Mapping[str, str], now: float) -> float | None:
    value = headers.get("retry-after")
    if value is not None:
        seconds = _number(value)
        return _seconds_until(value, now) if seconds is None else seconds
    reset = _number(headers.get("x-ratelimit-reset"))
    return None if reset is None else max(0.0, reset - now)


def _seconds_until(date: str, now: float) -> float | None:
    try:
        return max(0.0, parsedate_to_datetime(date).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _number(text: str | None) -> float | None:
    if text is None or not re.fullmatch(_NUMBER, text.strip()):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def _whole(text: str | None) -> int | None:
    value = _number(text)
    return None if value is None else int(value)


def _mfa(body: Mapping[str, Any]) -> dict[str, Any]:
    token, requirements = body.get("mfa_token"), body.get("mfa_requirements")
    return {
        "mfa_token": token if isinstance(token, str) else None,
        "mfa_requirements": requirements if isinstance(requirements, dict) else None,
    }
