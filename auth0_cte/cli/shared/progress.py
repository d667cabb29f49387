"""How far a batch is: a bar at a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from attrs import define

from auth0_cte.cli.shared.words import duration, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from auth0_cte.batch.runner import Tally
    from auth0_cte.cli.shared.output import Output

__all__ = ["progress"]

EVERY: Final = 10.0
"""Seconds between two lines without a terminal."""
MAX_CODES: Final = 3


@define
class _Pace:
    """How fast it goes, from the first row that this run sent."""

    total: int
    began: float

    def describe(self, tally: Tally, now: float) -> tuple[str, str]:
        rate = tally.sent / max(now - self.began, 0.001)
        left = duration((self.total - tally.seen) / rate) if rate > 0 else "unknown"
        return f"{rate:,.1f}/s", f"{left} left"


def _failures(tally: Tally) -> str:
    codes = [f"{code} {count:,}" for code, count in tally.codes.most_common(MAX_CODES)]
    bad = sum(count for state, count in tally.states.items() if state != "ok")
    return printable(f"{bad:,} not ok: {', '.join(codes)}") if bad else ""


@contextmanager
def progress(out: Output, total: int) -> Iterator[Callable[[Tally], None]]:
    """Show how far a batch is on stderr, and provide what to call with its tally.

    Args:
        out: Where to.
        total: How many rows there are.
    """
    pace = _Pace(total, time.monotonic())
    if out.talks_richly:
        with _bar(out, pace) as tick:
            yield tick
    else:
        yield _lines(out, pace)


@contextmanager
def _bar(out: Output, pace: _Pace) -> Iterator[Callable[[Tally], None]]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}  {task.fields[left]}", markup=False),
        TextColumn("{task.fields[failures]}", style="red", markup=False),
    )
    with Progress(*columns, console=out.talk_console, transient=True) as bar:
        task = bar.add_task("", total=pace.total, rate="", left="", failures="")

        def tick(tally: Tally) -> None:
            rate, left = pace.describe(tally, time.monotonic())
            bar.update(task, completed=tally.seen, rate=rate, left=left, failures=_failures(tally))

        yield tick


def _lines(out: Output, pace: _Pace) -> Callable[[Tally], None]:
    told_at = pace.began

    def tick(tally: Tally) -> None:
        nonlocal told_at
        now = time.monotonic()
        if now - told_at < EVERY:
            return
        told_at = now
        failures = _failures(tally)
        parts = [
            f"{tally.seen:,} of {pace.total:,} rows",
            *pace.describe(tally, now),
            *([failures] if failures else []),
        ]
        out.say(", ".join(parts))

    return tick
