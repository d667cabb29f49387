"""An error reply of the token endpoint to the exception that tells it, and what headers tell about rate limits.

Read tolerantly: what is malformed counts as absent. Sources: RFC 6749 section 5.2; RFC 9110 section 10.2.3
(``Retry-After``); Auth0, "Rate Limit Policy" (``x-ratelimit-*``, the reset in Unix seconds) and custom rate limit
policies (``Auth0-RateLimit: client;q=10;t=1;r=9``).
"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

from auth0_cte.error import CustomTokenExchangeError, MfaRequiredError, RateLimitError, RateLimitStatus
from auth0_cte.error import CustomTokenExchangeErrorCode as Code
from auth0_cte.error_hints import hint_of
from auth0_cte.foundation.strict_json import loads_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from auth0_cte.error import RateLimitKind
    from auth0_cte.transport.client import Reply

__all__ = ["exchange_error", "read_rate_limit", "read_retry_after", "unusable_reply"]

MAX_CODE_LENGTH: Final = 1024
"""An Action may deny with a code of this length."""
MAX_DESCRIPTION_LENGTH: Final = 512

MAX_WAIT: Final = 86_400.0
"""No limit lasts longer than a day; what says so is a mistake of the server's, or of this machine's clock."""

_NUMBER: Final = r"[0-9]{1,15}(?:\.[0-9]{1,6})?"
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
# Not compiled here: errors are rare, and re remembers what it compiled.
_CONTROL: Final = r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+"


def _kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Pick the headers that are safe to keep on an error: correlation, dates and rate limits."""
    return {name: headers[name][:256] for name in _KEPT_HEADERS if name in headers}


def unusable_reply(
    fault: str, reply: Reply | None = None, *, sender: str = "the token endpoint", hint: str = ""
) -> CustomTokenExchangeError:
    """Make the exception for a reply that is neither an error nor what was asked for; it may have spent the token.

    Args:
        fault: What is wrong with it.
        reply: The reply; None for one with status 200 whose headers are not at hand.
        sender: What replied.
        hint: What to do about it, where it is known better than for all of them.
    """
    kept = None if reply is None else _kept_headers(reply.headers)
    return CustomTokenExchangeError(
        f"the reply of {sender} is not usable: {fault}",
        code=Code.INVALID_RESPONSE,
        status_code=200 if reply is None else reply.status,
        headers=kept,
        request_id=None if kept is None else kept.get("x-auth0-requestid"),
        may_have_reached_server=True,
        _hint=hint,
    )


def exchange_error(
    reply: Reply, redact: Callable[[str], str], now: float, *, sender: str = "the token endpoint"
) -> CustomTokenExchangeError:
    """Make the exception for a reply with status 400 or above.

    Args:
        reply: The reply; its body may be HTML, or miss ``error``.
        redact: Keeps the secrets that were sent out of a text.
        now: The time in Unix seconds, to read limits that end at a time.
        sender: What replied.
    """
    body = _read(reply.body)
    error, description = _code(body.get("error"), redact), _description(body.get("error_description"), redact)
    headers = {name: redact(value) for name, value in _kept_headers(reply.headers).items()}
    evidence: dict[str, Any] = {
        "error": error,
        "error_description": description,
        "status_code": reply.status,
        "headers": headers,
        "retry_after": read_retry_after(headers, now),
        "request_id": headers.get("x-auth0-requestid"),
        "may_have_reached_server": True,
        "_hint": hint_of(error, description, reply.status),
    }
    message = description or f"{sender} answered {reply.status}"
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


def _code(value: object, redact: Callable[[str], str]) -> str | None:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_CODE_LENGTH or re.search(_CONTROL, value):
        return None
    return redact(value)


def _description(value: object, redact: Callable[[str], str]) -> str | None:
    if not isinstance(value, str):
        return None
    # Redacted before it is cut: half a secret must not remain.
    return re.sub(_CONTROL, " ", redact(value))[:MAX_DESCRIPTION_LENGTH].strip() or None


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


def read_rate_limit(headers: Mapping[str, str], now: float) -> RateLimitStatus | None:
    """Return the tightest limit that a reply tells of, or None.

    Args:
        headers: The reply's headers; names match in lower case.
        now: The time in Unix seconds.
    """
    told = [*_policies(headers.get("auth0-ratelimit", ""), now), *_tenant(headers)]
    return min(told, key=lambda status: status.remaining or 0, default=None)


def read_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds of ``Retry-After``, a number or an HTTP date, from 0 to a day; None when it tells none."""
    value = headers.get("retry-after")
    if value is None:
        return None
    seconds = _number(value)
    return _seconds_until(value, now) if seconds is None else min(seconds, MAX_WAIT)


def seconds_until(moment: float, now: float) -> float:
    """Return the seconds from now to a moment in Unix seconds, from 0 to a day."""
    return min(max(0.0, moment - now), MAX_WAIT)


def _tenant(headers: Mapping[str, str]) -> Iterator[RateLimitStatus]:
    limit, remaining = _whole(headers.get("x-ratelimit-limit")), _whole(headers.get("x-ratelimit-remaining"))
    reset_at = _number(headers.get("x-ratelimit-reset"))
    if limit is not None or remaining is not None or reset_at is not None:
        yield RateLimitStatus(limit=limit, remaining=remaining, reset_at=reset_at)


def _policies(text: str, now: float) -> Iterator[RateLimitStatus]:
    for item in text[:1024].split(","):
        name, *parts = (part.strip() for part in item.split(";"))
        pairs = (part.partition("=") for part in parts)
        told = {key.strip().lower(): value.strip() for key, _, value in pairs}
        seconds = _number(told.get("t"))
        if {"q", "r", "t"} & set(told):
            reset_at = None if seconds is None else now + min(seconds, MAX_WAIT)
            yield RateLimitStatus(
                policy=name.strip('"'), limit=_whole(told.get("q")), remaining=_whole(told.get("r")), reset_at=reset_at
            )


def _seconds_until(date: str, now: float) -> float | None:
    try:
        return seconds_until(parsedate_to_datetime(date).timestamp(), now)
    except (ValueError, OverflowError):
        return None


def _number(text: str | None) -> float | None:
    return float(text) if text is not None and re.fullmatch(_NUMBER, text.strip()) else None


def _whole(text: str | None) -> int | None:
    value = _number(text)
    return None if value is None else int(value)
