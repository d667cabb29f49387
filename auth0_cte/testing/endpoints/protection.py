"""Suspicious IP throttling for invalid subject tokens (Auth0, "Attack Protection with Custom Token Exchange")."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from attrs import define

from auth0_cte.testing.wire.messages import RefusalError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RejectCounter"]

MAX_REJECTS: Final = 10
SECONDS_PER_ATTEMPT: Final = 600
BLOCKED: Final = (
    "We have detected suspicious login behavior and further attempts will be blocked. Please contact the administrator."
)


@define
class _Count:
    rejects: int
    since: float  # when the last attempt was given back, or the first reject came


class RejectCounter:
    """Counts rejected subject tokens by IP address: ten are allowed, and one more for every ten minutes.

    Args:
        clock: Returns Unix seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: dict[str, _Count] = {}

    def check(self, ip: str) -> None:
        """Let a request pass.

        Raises:
            RefusalError: Its address has used up its attempts.
        """
        if self.snapshot().get(ip, 0) >= MAX_REJECTS:
            detail = f"{ip} is blocked after {MAX_REJECTS} invalid subject tokens"
            raise RefusalError(429, "too_many_attempts", BLOCKED, detail=detail)

    def add(self, ip: str) -> None:
        """Count a reject."""
        with self._lock:
            self._give_back()
            count = self._counts.setdefault(ip, _Count(0, self._clock()))
            count.rejects = min(count.rejects + 1, MAX_REJECTS)

    def snapshot(self) -> dict[str, int]:
        """Return the rejects that count at this moment, by IP address."""
        with self._lock:
            self._give_back()
            return {ip: count.rejects for ip, count in self._counts.items()}

    def clear(self) -> None:
        """Forget all rejects."""
        with self._lock:
            self._counts.clear()

    def _give_back(self) -> None:
        now = self._clock()
        for ip, count in list(self._counts.items()):
            regained = max(0, int((now - count.since) // SECONDS_PER_ATTEMPT))
            count.rejects -= regained
            count.since += regained * SECONDS_PER_ATTEMPT
            if count.rejects <= 0:
                del self._counts[ip]
