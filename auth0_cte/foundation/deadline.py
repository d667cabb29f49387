"""The clock, the deadline of a call, and how a call waits."""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Deadline", "nap", "sleeper", "system_clock", "waited"]

sleeper: Final[ContextVar[Callable[[float], None]]] = ContextVar("auth0_cte_sleeper", default=time.sleep)
"""How this context waits: asynchronous code must be able to cancel a wait, which ``time.sleep`` does not allow."""

waited: Final[ContextVar[float]] = ContextVar("auth0_cte_waited", default=0.0)
"""The seconds that the call of this context waited for a thread: they count towards its deadline."""


def system_clock() -> float:
    """Return the time in Unix seconds, looked up when it is read: tools that freeze time replace it."""
    return time.time()


def nap(seconds: float) -> None:
    """Wait as this context waits."""
    sleeper.get()(seconds)


class Deadline:
    """The moment by which a call ends, retries and body included.

    Args:
        seconds: From now, less what the call has waited before it could begin.
        monotonic: A clock that never jumps.
    """

    __slots__ = ("_ends_at", "_monotonic")

    def __init__(self, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._ends_at = monotonic() + seconds - waited.get()

    def remaining(self) -> float:
        """Return the seconds that are left, not below zero."""
        return max(0.0, self._ends_at - self._monotonic())
