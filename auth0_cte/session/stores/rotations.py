"""Rotations of refresh tokens in the memory of one process."""

from __future__ import annotations

import heapq
import threading
import time
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING

from auth0_cte.error import SessionError
from auth0_cte.foundation.concurrency import KeyedLocks, reset_in_child

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["MemoryRotations"]


class MemoryRotations:
    """Keeps rotations of refresh tokens in this process: for servers of one process, scripts and tests.

    Several processes need `RedisRotations`, `SQLRotations` or `DjangoCacheRotations`: without, two of them may send the
    same refresh token, for which Auth0 revokes all of its family.

    Args:
        maxsize: The most entries; the oldest goes first.
        monotonic: A clock that never jumps, in seconds; injectable.
    """

    def __init__(self, maxsize: int = 100_000, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._maxsize, self._monotonic = maxsize, monotonic
        self._entries: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._ends: list[tuple[float, str]] = []
        self._mutex = threading.Lock()
        self._locks = KeyedLocks()
        reset_in_child(self)

    def _after_fork_in_child(self) -> None:
        self._mutex = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def check(self) -> None:
        """Do nothing: memory is there."""

    def get(self, names: Sequence[str]) -> Mapping[str, str]:
        """Return those entries that have not expired."""
        with self._mutex:
            now = self._monotonic()
            found = {name: self._entries[name] for name in names if name in self._entries}
        return {name: value for name, (end, value) in found.items() if end > now}

    def put(self, name: str, value: str, ttl: float) -> None:
        """Keep an entry."""
        with self._mutex:
            now = self._monotonic()
            self._entries.pop(name, None)
            self._entries[name] = now + ttl, value
            heapq.heappush(self._ends, (now + ttl, name))
            self._purge(now)

    @contextmanager
    def lock(self, name: str, timeout: float) -> Iterator[None]:
        """Keep other threads out."""
        try:
            with self._locks.hold(name, timeout):
                yield
        except TimeoutError as error:
            raise SessionError("another refresh of this session takes too long", code="SESSION_LOCKED") from error

    def _purge(self, now: float) -> None:
        while self._ends and self._ends[0][0] <= now:
            end, name = heapq.heappop(self._ends)
            if self._entries.get(name, (0.0, ""))[0] == end:
                del self._entries[name]
        while len(self._entries) > self._maxsize:
            self._entries.popitem(last=False)
