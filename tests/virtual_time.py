"""Time for tests with several threads: it passes only while all of them wait, and then at once."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable

DEADLINE = 60.0


def run_in_threads(threads: int, work: Callable[[], None]) -> None:
    """Do the same work in so many threads at once, and wait for all of them."""
    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(DEADLINE)
    assert not any(worker.is_alive() for worker in workers)


class VirtualTime:
    """A clock and a ``sleep`` for threads that take part: while one of them works, the time stands still.

    Work therefore takes no time at all, however slow the machine is, and an hour of waiting passes in a moment.

    Args:
        start: The first reading, in seconds; the clock stands for a monotonic clock and for Unix seconds alike.
    """

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._now, self._working = start, 0
        self._wakes: list[float] = []
        self._changed = threading.Condition()

    def __call__(self) -> float:
        """Return the reading in seconds."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Wait until so many seconds have passed for all."""
        if seconds <= 0:
            return
        with self._changed:
            wake = self._now + seconds
            heapq.heappush(self._wakes, wake)
            self._stop_working()
            assert self._changed.wait_for(lambda: wake <= self._now, DEADLINE)

    def run(self, threads: int, work: Callable[[], None]) -> None:
        """Do the same work in so many threads that take part, and wait for all of them."""
        self._working = threads
        run_in_threads(threads, lambda: self._take_part(work))

    def _take_part(self, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            with self._changed:
                self._stop_working()

    def _stop_working(self) -> None:
        self._working -= 1
        if self._working or not self._wakes:
            return
        self._now = self._wakes[0]
        while self._wakes and self._wakes[0] == self._now:
            heapq.heappop(self._wakes)
            self._working += 1
        self._changed.notify_all()
