"""The one cache of the package: least recently used goes first, entries expire, memory is bounded."""

from __future__ import annotations

import heapq
import math
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

from auth0_cte.foundation.concurrency import reset_in_child

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

__all__ = ["TTLCache"]

K = TypeVar("K", bound="Hashable")
V = TypeVar("V")


class _Kept(Generic[V]):
    def __init__(self, value: V, ends_at: float) -> None:
        self.value, self.ends_at = value, ends_at


class TTLCache(Generic[K, V]):
    """A least-recently-used mapping whose entries expire; safe for threads.

    Args:
        maxsize: How many entries are kept.
        ttl: How long an entry lives, in seconds.
        monotonic: A clock that never jumps.
        tags: Returns what the entry of a value is also found by; several entries may share a tag. Nothing when None.
    """

    def __init__(
        self,
        *,
        maxsize: int,
        ttl: float = math.inf,
        monotonic: Callable[[], float],
        tags: Callable[[V], Iterable[Hashable]] | None = None,
    ) -> None:
        self._maxsize, self._ttl, self._monotonic, self._tags = maxsize, ttl, monotonic, tags
        self._entries: OrderedDict[K, _Kept[V]] = OrderedDict()
        self._ends: list[tuple[float, int, K]] = []  # a heap; an entry whose end was moved stands in it again
        self._count = 0
        self._tagged: dict[Hashable, set[K]] = {}
        self._lock = threading.Lock()
        reset_in_child(self)

    def _after_fork_in_child(self) -> None:
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """Return the entry that has not expired, or None."""
        with self._lock:
            entry = self._live(key)
            if entry is None:
                return None
            self._entries.move_to_end(key)
            return entry.value

    def set(self, key: K, value: V, *, ttl: float | None = None, is_over: Callable[[V], bool] | None = None) -> None:
        """Keep ``value`` for ``ttl`` seconds (default: the cache's own), at the expense of the least recently used.

        Entries that have expired make room, and a few of the oldest if ``is_over`` tells so.
        """
        with self._lock:
            self._drop(key)
            self._drop_expired()
            if is_over is not None:
                # The oldest few only: a full sweep at each entry would make it slower the more there were.
                oldest = [old for old, _ in zip(self._entries, range(8), strict=False)]
                for old in [old for old in oldest if is_over(self._entries[old].value)]:
                    self._drop(old)
            self._entries[key] = _Kept(value, math.inf)
            self._end_in(key, self._ttl if ttl is None else ttl)
            for tag in () if self._tags is None else self._tags(value):
                self._tagged.setdefault(tag, set()).add(key)
            while len(self._entries) > self._maxsize:
                self._drop(next(iter(self._entries)))

    def change(self, key: K, change: Callable[[V], V | None], *, ttl: float | None = None) -> bool:
        """Replace the value of an entry by another one with the same tags, in one step.

        Args:
            key: The entry.
            change: Returns the new value, or None to leave the entry as it is.
            ttl: How long the entry lives from now; as long as before when None.

        Returns:
            Whether there was an entry and it was changed.
        """
        with self._lock:
            entry = self._live(key)
            value = None if entry is None else change(entry.value)
            if entry is None or value is None:
                return False
            entry.value = value
            if ttl is not None:
                self._end_in(key, ttl)
            self._entries.move_to_end(key)
            return True

    def discard(self, key: K) -> None:
        """Forget an entry, if it is there."""
        with self._lock:
            self._drop(key)

    def tagged(self, tag: Hashable) -> list[V]:
        """Return the values with a tag that have not expired."""
        with self._lock:
            found = [self._live(key) for key in list(self._tagged.get(tag, ()))]
            return [entry.value for entry in found if entry is not None]

    def discard_tagged(self, tag: Hashable, *, where: Callable[[V], bool] | None = None) -> int:
        """Forget the entries with a tag, of those that meet a condition, and return how many there were."""
        with self._lock:
            keys = [key for key in self._tagged.get(tag, ()) if where is None or where(self._entries[key].value)]
            for key in keys:
                self._drop(key)
            return len(keys)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self._tagged.clear()
            self._ends.clear()

    def _live(self, key: K) -> _Kept[V] | None:
        entry = self._entries.get(key)
        if entry is not None and entry.ends_at <= self._monotonic():
            self._drop(key)
            return None
        return entry

    def _end_in(self, key: K, seconds: float) -> None:
        entry = self._entries[key]
        entry.ends_at = self._monotonic() + seconds
        if entry.ends_at == math.inf:
            return
        self._count += 1  # keys need not be comparable
        heapq.heappush(self._ends, (entry.ends_at, self._count, key))
        if len(self._ends) > 2 * len(self._entries) + 64:
            live = self._entries.items()
            self._ends = [(each.ends_at, number, name) for number, (name, each) in enumerate(live)]
            heapq.heapify(self._ends)

    def _drop_expired(self) -> None:
        now = self._monotonic()
        while self._ends and self._ends[0][0] <= now:
            end, _, key = heapq.heappop(self._ends)
            entry = self._entries.get(key)
            if entry is not None and entry.ends_at == end:
                self._drop(key)

    def _drop(self, key: K) -> None:
        entry = self._entries.pop(key, None)
        for tag in () if entry is None or self._tags is None else self._tags(entry.value):
            keys = self._tagged.get(tag, set())
            keys.discard(key)
            if not keys:
                self._tagged.pop(tag, None)
