"""What the headers of a reply tell about rate limits, read tolerantly: what is malformed counts as absent.

Sources: Auth0, "Rate Limit Policy" (``x-ratelimit-*``, the reset in Unix seconds) and custom rate limit policies
(``Auth0-RateLimit: client;q=10;t=1;r=9``); RFC 9110 section 10.2.3 (``Retry-After``).
"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from auth0_cte.error import RateLimitStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["read_rate_limit", "read_retry_after", "seconds_until"]

MAX_WAIT: Final = 86_400.0
"""No limit lasts longer than a day; what says so is a mistake of the server's, or of this machine's clock."""

_NUMBER: Final = r"[0-9]{1,15}(?:\.[0-9]{1,6})?"


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
