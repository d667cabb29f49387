"""Which failures may be tried again, how long to wait before, within the deadline of the whole call.

A subject token may be single-use, so the rule is narrow: a second attempt only when nothing of the first was sent, or
when the server itself asked to come back. Written by hand because the decision needs the error body
(``too_many_attempts`` must never be retried), which no general retry library sees.
"""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from auth0_cte.error import CustomTokenExchangeError, RateLimitError, TransportError, TransportTimeoutError
from auth0_cte.foundation.concurrency import reset_in_child
from auth0_cte.foundation.deadline import nap
from auth0_cte.foundation.validation import check_number

if TYPE_CHECKING:
    from collections.abc import Callable

    from auth0_cte.error import Auth0CTEError
    from auth0_cte.foundation.deadline import Deadline

__all__ = ["RetryBudget", "RetryPolicy"]

MAX_UNSENT_RETRIES: Final = 2
MAX_ASKED_RETRIES: Final = 1
BACKOFF_BASE: Final = 0.2
BACKOFF_CAP: Final = 2.0
BRAKE_SECONDS: Final = 600.0
"""Auth0 gives one attempt back in ten minutes by default (Auth0, "Suspicious IP Throttling")."""


def _check_seconds(_policy: object, _field: object, seconds: float) -> None:
    check_number("brake_seconds", seconds, at_least=0, at_most=86_400, unit="seconds")


class RetryBudget:
    """A process-wide allowance of retries, so that an outage is not multiplied (as botocore's standard mode has it).

    Args:
        capacity: Tokens at most; a retry takes 5, one after a time-out 10, a success gives 1 back.

    Attributes:
        spent: The tokens that are taken.
    """

    def __init__(self, capacity: int = 500) -> None:
        self._capacity = capacity
        self.spent: int = 0
        self._lock = threading.Lock()
        reset_in_child(self)

    def _after_fork_in_child(self) -> None:
        self._lock = threading.Lock()

    def take(self, cost: int) -> bool:
        """Take ``cost`` tokens, or return False when too few are left."""
        with self._lock:
            if self.spent + cost > self._capacity:
                return False
            self.spent += cost
            return True

    def give_back(self, amount: int) -> None:
        """Return tokens after a success."""
        with self._lock:
            self.spent = max(0, self.spent - amount)


_shared_budget: Final = RetryBudget()


@frozen(kw_only=True, eq=False)
class RetryPolicy:
    """When a failed request is sent again.

    Args:
        unsent_retries: Retries at most when nothing of the request had been sent.
        asked_retries: Retries at most when the server asked to come back (429, 503 with ``Retry-After``).
        subject_token_reusable: Also retry once after 500, 502, 504 and transport failures after which the server may
            have spent the subject token. Only for tokens that are not single-use.
        brake_seconds: How long exchanges are not sent after Auth0 has blocked the caller's address
            (``too_many_attempts``): each attempt would prolong the block. Then one is, to find out. 0 sends them all.
        sleep: Waits for some seconds; injectable.
        uniform: Draws a float between two bounds; injectable.
        monotonic: A clock that never jumps, by which ``brake_seconds`` pass; injectable.
        budget: The allowance that all retries share.
    """

    unsent_retries: int = MAX_UNSENT_RETRIES
    asked_retries: int = MAX_ASKED_RETRIES
    subject_token_reusable: bool = False
    brake_seconds: float = field(default=BRAKE_SECONDS, validator=_check_seconds)
    sleep: Callable[[float], None] = field(default=nap, repr=False)
    uniform: Callable[[float, float], float] = field(default=random.uniform, repr=False)
    monotonic: Callable[[], float] = field(default=time.monotonic, repr=False)
    budget: RetryBudget = field(default=_shared_budget, repr=False)

    def wait_before_retry(
        self,
        error: Auth0CTEError,
        attempt: int,
        deadline: Deadline,
        announce: Callable[[float], None] | None = None,
    ) -> bool:
        """Sleep as long as it takes and return True, or return False when the error is final.

        Args:
            error: How the attempt failed.
            attempt: How many attempts there have been, from 1.
            deadline: The end of the whole call; a wait that would pass it is not begun.
            announce: Called with the seconds of the wait before it begins.
        """
        delay = self._delay(error, attempt)
        return delay is not None and self._wait(delay, error, deadline, announce)

    def wait_before_repeat(self, error: TransportError, attempt: int, deadline: Deadline) -> bool:
        """Do the same before an idempotent request is repeated, after any failure of the network or the server."""
        return error.phase in ("connect", "response") and self._wait(self._jitter(attempt), error, deadline)

    def _wait(
        self,
        delay: float,
        error: Auth0CTEError,
        deadline: Deadline,
        announce: Callable[[float], None] | None = None,
    ) -> bool:
        if delay >= deadline.remaining():
            return False
        if not self.budget.take(10 if isinstance(error, TransportTimeoutError) else 5):
            return False
        if announce is not None:
            announce(delay)
        self.sleep(delay)
        return True

    def _delay(self, error: Auth0CTEError, attempt: int) -> float | None:
        allowed = self._allowed(error)
        if attempt > allowed:
            return None
        retry_after = error.retry_after if isinstance(error, CustomTokenExchangeError) else None
        jitter = self._jitter(attempt)
        # The server's word is a lower bound; the jitter on top keeps a herd apart.
        return jitter if retry_after is None else retry_after + jitter / 4

    def _jitter(self, attempt: int) -> float:
        return self.uniform(0, min(BACKOFF_CAP, BACKOFF_BASE * 2**attempt))

    def _allowed(self, error: Auth0CTEError) -> int:
        if isinstance(error, TransportError):
            if not error.may_have_reached_server:
                return self.unsent_retries if error.phase == "connect" else 0
            return int(self.subject_token_reusable)
        if not isinstance(error, CustomTokenExchangeError):
            return 0
        if isinstance(error, RateLimitError):
            return 0 if error.blocked else self.asked_retries
        if error.status_code == 503 and error.retry_after is not None:
            return self.asked_retries
        return int(self.subject_token_reusable and error.status_code in (500, 502, 503, 504))
