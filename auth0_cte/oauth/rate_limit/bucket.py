"""The slots of one tenant, in this process (the generic cell rate algorithm)."""

from __future__ import annotations

import bisect
import math
import threading
from typing import TYPE_CHECKING, Protocol

from attrs import frozen

from auth0_cte.foundation.concurrency import reset_in_child

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Bucket", "LocalBucket", "Pace", "Slot"]


@frozen(kw_only=True)
class Pace:
    """How fast slots come.

    Args:
        interval: Seconds between two slots.
        burst: Slots that can be had at once after a rest.
    """

    interval: float
    burst: int

    @property
    def tolerance(self) -> float:
        """How many seconds ahead of its even time a slot may be taken."""
        return (self.burst - 1) * self.interval

    def first_slot(self, even: float, base: float) -> float:
        """Return the earliest slot after ``base``, taken or not, when an even flow has its next one at ``even``."""
        ahead = even - self.tolerance - base
        # A hair less, so that a sum of fractions does not seem to be a whole slot more.
        return base if ahead <= 0 else base + ahead - self.interval * (math.ceil(ahead / self.interval - 1e-6) - 1)


@frozen
class Slot:
    """A place in the order of slots.

    Args:
        at: When it is, on the bucket's own clock, which stands still while the bucket is paused.
        wait: Seconds until then, as seen when it was taken.
        granted: False when the wait was longer than allowed: the slot was not taken.
    """

    at: float
    wait: float
    granted: bool


class Bucket(Protocol):
    """Slots at one tenant, in this process or shared; every method is one atomic step."""

    def reserve(self, max_wait: float) -> Slot:
        """Take the next slot, unless it is more than ``max_wait`` seconds away."""
        ...

    def due_in(self, slot: Slot) -> float:
        """Return the seconds until a slot: a pause may have moved it."""
        ...

    def give_back(self, slot: Slot) -> None:
        """Let somebody else have a slot that was not used."""

    def pause(self, seconds: float) -> None:
        """Move all slots, those that are taken too, so that none comes before so many seconds have passed."""

    def drain(self, remaining: int, age: float) -> None:
        """Forget slots saved up beyond ``remaining``, as the server counted ``age`` seconds ago."""


class LocalBucket:
    """Slots of this process.

    Args:
        pace: How fast slots come.
        monotonic: A clock that never jumps.
    """

    def __init__(self, pace: Pace, monotonic: Callable[[], float]) -> None:
        self._pace, self._monotonic = pace, monotonic
        # On the bucket's clock: when an even flow of slots would have the next one, and slots that were given back.
        self._next = -math.inf
        self._free: list[float] = []
        # How far the bucket's clock is behind, and until when it stands still.
        self._behind, self._paused_until = 0.0, -math.inf
        self._lock = threading.Lock()
        reset_in_child(self)

    def _after_fork_in_child(self) -> None:
        self._lock = threading.Lock()

    def reserve(self, max_wait: float) -> Slot:
        """Take the next slot, unless it is more than ``max_wait`` seconds away."""
        with self._lock:
            now, base = self._now()
            del self._free[: bisect.bisect_left(self._free, base)]
            even = max(self._next, base)
            at = self._free[0] if self._free else max(base, even - self._pace.tolerance)
            slot = Slot(at, at + self._behind - now, granted=at + self._behind - now <= max_wait)
            if slot.granted and self._free:
                del self._free[0]
            elif slot.granted:
                self._next = even + self._pace.interval
            return slot

    def due_in(self, slot: Slot) -> float:
        """Return the seconds until a slot."""
        with self._lock:
            return max(slot.at + self._behind, self._paused_until) - self._monotonic()

    def give_back(self, slot: Slot) -> None:
        """Let the next who asks have the slot."""
        with self._lock:
            bisect.insort(self._free, slot.at)

    def pause(self, seconds: float) -> None:
        """Stop the bucket's clock."""
        with self._lock:
            now, base = self._now()
            self._next = max(self._next, base + self._pace.tolerance)
            shift = now + seconds - self._behind - self._pace.first_slot(self._next, base)
            if shift > 0:
                self._behind += shift
                self._paused_until = now + seconds

    def drain(self, remaining: int, age: float) -> None:
        """Forget slots saved up."""
        with self._lock:
            _, base = self._now()
            used = self._pace.burst - remaining
            self._next = max(self._next, base - age + used * self._pace.interval)

    def _now(self) -> tuple[float, float]:
        now = self._monotonic()
        return now, max(now, self._paused_until) - self._behind
