"""What stops a batch, at the last moment before a request is sent."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from attrs import frozen

from auth0_cte.batch.claims import StoppedError
from auth0_cte.error import CustomTokenExchangeError
from auth0_cte.oauth.rate_limit.limiter import RateLimit

if TYPE_CHECKING:
    from collections.abc import Callable

    from auth0_cte.batch.ledger import Ledger
    from auth0_cte.batch.outcome import State
    from auth0_cte.batch.rows import Row
    from auth0_cte.error import Auth0CTEError, RateLimitError
    from auth0_cte.foundation.deadline import Deadline

__all__ = ["BLOCK_SECONDS", "Brake", "Gate", "Stop", "StopKind", "TakenError", "sending"]

BLOCK_SECONDS: Final = 600.0
"""How long Auth0 blocks an address at least: one attempt is given back in ten minutes."""

StopKind: TypeAlias = Literal["attack_limit", "rate_limit", "configuration", "network", "interrupted"]

sending: Final[ContextVar[Row | None]] = ContextVar("auth0_cte_batch_row", default=None)
"""The row that this thread is about to send."""


@frozen(kw_only=True)
class Stop:
    """Why a batch stopped.

    Args:
        kind: What kind of reason it was.
        error: The failure, or None.
        retry_after: Seconds after which it can go on, or None.
    """

    kind: StopKind
    error: Auth0CTEError | None = None
    retry_after: float | None = None


class TakenError(CustomTokenExchangeError):
    """The row must not be sent; nothing was sent.

    Attributes:
        state: What is known of the row.
    """

    code = "ROW_TAKEN"
    state: State = "elsewhere"


class Brake:
    """Pulled once; the first reason counts. Safe among threads."""

    def __init__(self) -> None:
        self._lock, self._pulled = threading.Lock(), threading.Event()
        self.stop: Stop | None = None

    def pull(self, stop: Stop) -> bool:
        """Stop the batch, and tell whether this was the first reason."""
        with self._lock:
            if self.stop is not None:
                return False
            self.stop = stop
            self._pulled.set()
            return True

    def check(self) -> None:
        """Raise a `StoppedError` once the batch was stopped."""
        if self._pulled.is_set():
            raise StoppedError("the batch was stopped; nothing was sent")

    def nap(self, seconds: float) -> None:
        """Wait, and raise a `StoppedError` when the batch is stopped meanwhile."""
        self._pulled.wait(seconds)
        self.check()


class Gate(RateLimit):
    """A rate limit whose slots are given only to rows that are claimed, while the batch is not stopped.

    The client asks for a slot right before each attempt, which makes it the last moment to say no.

    Args:
        rate: The limit.
        brake: What stops the batch.
        ledger: Where rows are claimed.
        **settings: As for `RateLimit`.
    """

    def __init__(self, rate: str, brake: Brake, ledger: Ledger, **settings: Any) -> None:
        super().__init__(rate, sleep=brake.nap, **settings)
        self._brake, self._ledger = brake, ledger

    def take(self, tenant: str, deadline: Deadline, announce: Callable[[float], None] | None = None) -> float:
        """Wait for a slot, then claim the row that this thread is about to send."""
        self._brake.check()
        at = super().take(tenant, deadline, announce)
        self._brake.check()
        row = sending.get()
        if row is not None:
            self._claim(row)
        return at

    def _claim(self, row: Row) -> None:
        known = self._ledger.claim(row)
        if known not in (None, "in_flight"):
            raise TakenError(f"the row is {known}; nothing was sent", state=known)
        try:
            self._brake.check()
        except StoppedError:
            self._ledger.release(row)
            raise

    def back_off(self, tenant: str, error: RateLimitError) -> None:
        """Pull the brake at once when Auth0 blocks this address."""
        if error.blocked:
            self._brake.pull(Stop(kind="attack_limit", error=error, retry_after=error.retry_after or BLOCK_SECONDS))
        super().back_off(tenant, error)
