"""Times, durations and foreign text, as people read them."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from typing import Final

__all__ = ["duration", "moment", "printable", "when"]

_UNITS: Final = (("day", 86400.0, 4.0), ("hour", 3600.0, 2.0), ("minute", 60.0, 2.0))
"""Units, their seconds, and from how many of them on they are used: 69 hours say more than 2 days."""
_LAST: Final = 253402300799.0
"""The end of the year 9999, the last that a date can be written of."""


def duration(seconds: float) -> str:
    """Return a duration in words: ``45 seconds``, ``10 minutes``, ``69 hours``, ``12 days``."""
    for name, size, least in _UNITS:
        if seconds >= size * least:
            return _count(round(seconds / size), name)
    return _count(round(seconds), "second")


def _count(number: int, unit: str) -> str:
    return f"{number:,} {unit}" if number == 1 else f"{number:,} {unit}s"


def moment(at: float) -> str:
    """Return a time in Unix seconds as a date in UTC."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC" if 0 <= at <= _LAST else f"{at:g}"


def when(at: float, now: float) -> str:
    """Return a time in Unix seconds as a date, and how far away it is: ``2026-08-01 12:00:00 UTC, in 59 minutes``."""
    away = f"in {duration(at - now)}" if at >= now else f"{duration(now - at)} ago"
    return f"{moment(at)}, {away}"


def printable(text: str) -> str:
    r"""Return foreign text with control and direction characters spelt out (``\x1b``).

    What a server or a token says must not move the cursor, change the window's title, or reverse what is read.
    """
    return "".join(each if _is_plain(each) else each.encode("unicode_escape").decode() for each in text)


def _is_plain(character: str) -> bool:
    return character == " " or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
