"""Not sending while Auth0 blocks the caller's address: each attempt would prolong the block, and spend a token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self, TypeAlias

from attrs import evolve, frozen

from auth0_cte.error import CustomTokenExchangeError, RateLimitError
from auth0_cte.foundation.ttl_cache import TTLCache

if TYPE_CHECKING:
    from collections.abc import Callable

    from auth0_cte.error import Auth0CTEError
    from auth0_cte.foundation.deadline import Deadline
    from auth0_cte.oauth.retry import RetryPolicy

__all__ = ["AttackBrake", "Caller"]

MAX_CALLERS: Final = 10_000
KEPT_SECONDS: Final = 24 * 3600.0

Caller: TypeAlias = "tuple[str, str | None]"
"""The issuer, and the address that was forwarded: what Auth0 counts attempts by."""


@frozen(kw_only=True, eq=False, repr=False)
class _Block:
    until: float
    probe_until: float = 0.0


class AttackBrake:
    """Remembers which callers Auth0 blocked (``too_many_attempts``); after the block one request finds out.

    Args:
        seconds: How long a caller is not served after Auth0 has blocked it; longer when the reply says so.
        monotonic: A clock that never jumps; injectable.

    Attributes:
        is_pulled: Whether any caller may be blocked; read before each exchange, without any lock.
    """

    def __init__(self, seconds: float, monotonic: Callable[[], float]) -> None:
        self._seconds, self._monotonic = seconds, monotonic
        self._blocks: TTLCache[Caller, _Block] = TTLCache(maxsize=MAX_CALLERS, ttl=KEPT_SECONDS, monotonic=monotonic)
        self.is_pulled: bool = False

    @classmethod
    def of(cls, policy: RetryPolicy) -> Self | None:
        """Make the one of a policy; None for a policy without."""
        return cls(policy.brake_seconds, policy.monotonic) if policy.brake_seconds else None

    def check(self, caller: Caller, deadline: Deadline) -> None:
        """Refuse a caller that is blocked, and let one request through when the block should be over.

        Raises:
            RateLimitError: Nothing is sent; ``retry_after`` tells when it may be.
        """
        now = self._monotonic()
        waits: list[float] = []

        def probed(block: _Block) -> _Block | None:
            waits.append(max(block.until, block.probe_until) - now)
            return evolve(block, probe_until=now + deadline.remaining()) if waits[0] <= 0 else None

        self._blocks.change(caller, probed)
        if waits and waits[0] > 0:
            raise RateLimitError(
                "Auth0 has blocked this address for too many attempts; nothing was sent",
                code="too_many_attempts",
                kind="ip_block",
                blocked=True,
                retry_after=waits[0],
            )

    def settle(self, caller: Caller, error: Auth0CTEError | None) -> None:
        """Note how a request ended: with a block, which begins anew, or with any other answer, which ends it."""
        if isinstance(error, RateLimitError) and error.blocked:
            seconds = max(self._seconds, error.retry_after or 0.0)
            self._blocks.set(caller, _Block(until=self._monotonic() + seconds), ttl=seconds + KEPT_SECONDS)
            self.is_pulled = True
        elif self.is_pulled:
            if error is None or (isinstance(error, CustomTokenExchangeError) and error.status_code is not None):
                self._blocks.discard(caller)
            else:
                self._blocks.change(caller, lambda block: evolve(block, probe_until=0.0))
            self.is_pulled = len(self._blocks) > 0
