"""Clocks that can be moved: one that stands still, and one that runs."""

from __future__ import annotations

import threading
import time

__all__ = ["FakeClock", "RunningClock"]


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


class RunningClock:
    """A callable that returns Unix seconds, runs with the system's clock, and can be moved; safe among threads."""

    def __init__(self) -> None:
        self._offset = 0.0
        self._lock = threading.Lock()

    def __call__(self) -> float:
        """Return the reading in Unix seconds."""
        return time.time() + self._offset

    def __repr__(self) -> str:
        return f"RunningClock(offset={self._offset!r})"

    def advance(self, seconds: float) -> None:
        """Move by so many seconds; backwards when negative."""
        with self._lock:
            self._offset += seconds

    def set(self, now: float) -> None:
        """Move to a reading in Unix seconds, and run on from there."""
        with self._lock:
            self._offset = now - time.time()

    def reset(self) -> None:
        """Return to the system's time."""
        with self._lock:
            self._offset = 0.0
