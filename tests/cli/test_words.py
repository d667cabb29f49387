from __future__ import annotations

import pytest

from auth0_cte.cli.shared.words import duration, moment, printable, when


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 seconds"),
        (1, "1 second"),
        (59.6, "60 seconds"),
        (119, "119 seconds"),
        (120, "2 minutes"),
        (3600, "60 minutes"),
        (7200, "2 hours"),
        (1_000_000 / 4, "69 hours"),
        (1_000_000 / 15, "19 hours"),
        (4 * 86400, "4 days"),
        (86400 * 5000, "5,000 days"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    """A duration is told in the unit that says most: a million exchanges at 4 a second are 69 hours."""
    assert words == duration(seconds)


def test_times() -> None:
    """A time is a date, and how far away it is."""
    assert "1970-01-02 00:00:00 UTC, in 24 hours" == when(86400, 0)
    assert "1970-01-01 00:00:00 UTC, 90 seconds ago" == when(0, 90)


@pytest.mark.parametrize("at", [-1.0, 1e300, 2**60])
def test_impossible_times(at: float) -> None:
    """What no calendar has is told as a number."""
    assert f"{at:g}" == moment(at)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain Zoë 日本", "plain Zoë 日本"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\r\nb", "a\\r\\nb"),
        ("\u202eevil", "\\u202eevil"),
        ("\u2028", "\\u2028"),
        ("\x9b", "\\x9b"),
        ("\ud800", "\\ud800"),
    ],
)
def test_control_characters_are_spelt_out(text: str, shown: str) -> None:
    """What could drive a terminal is shown instead."""
    assert shown == printable(text)
