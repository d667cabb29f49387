"""A clock that stands still until it is told to move."""

from __future__ import annotations

import threading

__all__ = ["FakeClock"]


class FakeClock:
    """A callable that returns Unix seconds and moves only by `advance` or `set`; safe among threads.

    Args:
        start: The first reading, in Unix seconds.
    """

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._now = start
        self._lock = threading.Lock()

    def __call__(self) -> float:
        """Return the reading in Unix seconds."""
        return self._now

    def __repr__(self) -> str:
        return f"FakeClock({self._now!r})"

    def advance(self, seconds: float) -> None:
        """Move by so many seconds; backwards when negative."""
        with self._lock:
            self._now += seconds

    def set(self, now: float) -> None:
        """Move to a reading in Unix seconds."""
        with self._lock:
            self._now = now
