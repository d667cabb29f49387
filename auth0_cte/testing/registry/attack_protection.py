"""Suspicious IP throttling for invalid subject tokens (Auth0, "Attack Protection with Custom Token Exchange")."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from attrs import define, field

from auth0_cte.testing.wire.messages import RefusalError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AttackProtection"]

BLOCKED: Final = (
    "We have detected suspicious login behavior and further attempts will be blocked. Please contact the administrator."
)


@define
class _Count:
    rejects: int
    since: float  # when the last attempt was given back, or the first reject came


@define(eq=False)
class AttackProtection:
    """Counts rejected subject tokens by IP address. Safe among threads.

    Changes apply from the next request on: ``tenant.attack_protection.max_attempts = 3``.

    Args:
        clock: Returns Unix seconds.
        enabled: Whether an address is blocked at all.
        max_attempts: Rejected tokens until an address is blocked.
        seconds_per_attempt: How long it takes until a blocked address has one more attempt.
    """

    _clock: Callable[[], float] = field(repr=False)
    enabled: bool = field(default=True, kw_only=True)
    max_attempts: int = field(default=10, kw_only=True)
    seconds_per_attempt: float = field(default=600, kw_only=True)
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False)
    _counts: dict[str, _Count] = field(factory=dict, init=False, repr=False)

    def check(self, ip: str) -> None:
        """Let a request pass.

        Raises:
            RefusalError: Its address has used up its attempts.
        """
        if self.is_blocked(ip):
            detail = f"{ip} is blocked after {self.max_attempts} invalid subject tokens"
            raise RefusalError(429, "too_many_attempts", BLOCKED, detail=detail)

    def is_blocked(self, ip: str) -> bool:
        """Tell whether an address has used up its attempts."""
        return self.enabled and self.snapshot().get(ip, 0) >= self.max_attempts

    def add(self, ip: str) -> bool:
        """Count a reject; True when it is the one that blocks the address."""
        with self._lock:
            self._give_back()
            count = self._counts.setdefault(ip, _Count(0, self._clock()))
            was, count.rejects = count.rejects, min(count.rejects + 1, self.max_attempts)
            return self.enabled and was < count.rejects == self.max_attempts

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
            regained = max(0, int((now - count.since) // self.seconds_per_attempt))
            count.rejects -= regained
            count.since += regained * self.seconds_per_attempt
            if count.rejects <= 0:
                del self._counts[ip]
