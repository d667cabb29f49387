"""A batch: rows through some threads, each sent at most once, until all are done or something says stop."""

from __future__ import annotations

import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Final

from attrs import define, field, frozen

from auth0_cte.batch.brake import BLOCK_SECONDS, Stop, TakenError, sending
from auth0_cte.batch.claims import StoppedError
from auth0_cte.batch.outcome import Outcome, failed, is_configuration, judge, succeeded
from auth0_cte.batch.rows import BadRow
from auth0_cte.error import (
    Auth0CTEError,
    RateLimitError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from auth0_cte.auth_server.server_client import ServerClient
    from auth0_cte.auth_types import CustomTokenExchangeOptions
    from auth0_cte.batch.brake import Brake, StopKind
    from auth0_cte.batch.ledger import Ledger
    from auth0_cte.batch.outcome import State
    from auth0_cte.batch.rows import Row

__all__ = ["Batch", "Tally"]

MAX_CODES: Final = 50
"""More codes than a summary can show; an Action may make up any number."""
MAX_BACKOFF: Final = 30.0
UNUSABLE: Final = frozenset({"CLAIMS_UNAVAILABLE", "RATE_LIMIT_UNAVAILABLE"})
"""What is shared through Redis and cannot be used: no row can be sent then."""


@define
class Tally:
    """How many rows ended how in this run, and with which codes. Safe among threads."""

    states: Counter[str] = field(factory=Counter)
    codes: Counter[str] = field(factory=Counter)
    skipped: int = 0
    seen: int = 0
    _lock: threading.Lock = field(factory=threading.Lock, repr=False)

    def count(self, state: State, code: str | None = None) -> None:
        """Count a row."""
        with self._lock:
            self.seen += 1
            self.states[state] += 1
            if code is not None:
                self.codes[code if code in self.codes or len(self.codes) < MAX_CODES else "other"] += 1

    def skip(self) -> None:
        """Count a row that was done before this run."""
        with self._lock:
            self.seen += 1
            self.skipped += 1

    @property
    def sent(self) -> int:
        """How many rows were answered in this run."""
        return self.states["ok"] + self.states["failed"] + self.states["unknown"]


def _backoff(attempt: int) -> float:
    return random.uniform(0.5, 1) * min(MAX_BACKOFF, 2.0**attempt)  # noqa: S311 - no secret


@frozen(kw_only=True)
class Batch:
    """A batch that can be run once.

    Args:
        client: Exchanges the rows; its ``rate_limit`` is the `Gate` of the same brake and ledger.
        rows: The rows.
        ledger: Where rows are claimed and settled.
        brake: What stops the batch.
        options: Makes the options of a row.
        workers: How many rows are under way at most.
        attempts: How often a row is sent at most, in one run, when its error says that it may be sent again.
        backoff: Seconds before another attempt, by the number of the attempt before.
    """

    client: ServerClient
    rows: Iterable[Row | BadRow]
    ledger: Ledger
    brake: Brake
    options: Callable[[Row], CustomTokenExchangeOptions]
    workers: int = 4
    attempts: int = 3
    backoff: Callable[[int], float] = field(default=_backoff)
    tally: Tally = field(factory=Tally, init=False)
    _failures: Counter[str] = field(factory=Counter, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False)

    def run(self, tick: Callable[[Tally], None] = lambda _: None, every: float = 0.2) -> Stop | None:
        """Exchange the rows.

        Args:
            tick: Called with the tally now and then, in this thread.
            every: Seconds between two calls.

        Returns:
            Why the batch stopped before its end, or None.

        Raises:
            OSError: The journal or the output file cannot be written, or the rows cannot be read.
            ConfigurationError: The rows are not a table.
        """
        rows = self._sendable()
        with ThreadPoolExecutor(self.workers, thread_name_prefix="auth0-cte-batch") as pool:
            working = {pool.submit(self._work, rows) for _ in range(self.workers)}
            try:
                while wait(working, timeout=every).not_done:
                    tick(self.tally)
            finally:
                # Only matters when the loop was left by an exception: nothing new is begun then.
                if any(not each.done() for each in working):
                    self.brake.pull(Stop(kind="interrupted"))
        tick(self.tally)
        for each in working:
            each.result()
        return self.brake.stop

    def _sendable(self) -> Iterator[Row]:
        for row in self.rows:
            if isinstance(row, BadRow):
                self._report(Outcome(id=f"row {row.number}", number=row.number, state="invalid", message=row.fault))
                continue
            known = self.ledger.state_of(row)
            if known is None:
                yield row
            elif known == "duplicate":
                self._duplicate(row)
            elif known != "in_flight":
                self.tally.skip()

    def _report(self, outcome: Outcome) -> None:
        if self.ledger.report(outcome):
            self.tally.count(outcome.state, "INVALID_ROW" if outcome.state == "invalid" else None)
        else:
            self.tally.skip()

    def _duplicate(self, row: Row) -> None:
        self._report(Outcome(id=row.id, number=row.number, state="duplicate", message="another row has the same id"))

    def _work(self, rows: Iterator[Row]) -> None:
        try:
            while self.brake.stop is None:
                with self._lock:
                    row = next(rows, None)
                if row is None:
                    return
                self._exchange(row)
        except BaseException:
            self.brake.pull(Stop(kind="interrupted"))
            raise

    def _exchange(self, row: Row) -> None:
        sending.set(row)
        for attempt in range(1, self.attempts + 1):
            try:
                response = self.client.custom_token_exchange(self.options(row))
            except TakenError as error:
                self._taken(row, error.state)
                return
            except StoppedError as error:
                self.brake.pull(Stop(kind="attack_limit", retry_after=error.retry_after))
                return
            except Auth0CTEError as error:
                if not self._settle_failure(row, error, attempt):
                    return
            else:
                self._settle(succeeded(row.id, row.number, response, attempt))
                self._failures.clear()
                return

    def _taken(self, row: Row, state: State) -> None:
        if state == "duplicate":
            self._duplicate(row)
        elif state == "unknown":
            message = "another machine had it in flight and was never heard of again"
            self._report(Outcome(id=row.id, number=row.number, state="unknown", message=message))
        else:
            self.tally.count("elsewhere")

    def _settle(self, outcome: Outcome) -> None:
        self.ledger.settle(outcome)
        self.tally.count(outcome.state, outcome.code)

    def _settle_failure(self, row: Row, error: Auth0CTEError, attempt: int) -> bool:
        """Settle a row whose exchange failed; tell whether to try it again."""
        state, retryable = judge(error)
        again = retryable and attempt < self.attempts and self.brake.stop is None
        outcome = failed(row.id, row.number, state, error, attempt)
        self._stop_for(error, state, final=not again)
        if not again:
            self._settle(outcome)
            return False
        self.ledger.release(row)  # while it waits it is not in flight
        try:
            self.brake.nap(_retry_after(error) or self.backoff(attempt))
        except StoppedError:
            self._settle(outcome)
            return False
        return True

    def _stop_for(self, error: Auth0CTEError, state: State, *, final: bool) -> None:
        kind = self._reason(error, state, final=final)
        if kind is None:
            return
        retry_after = _retry_after(error)
        if kind == "attack_limit":
            retry_after = retry_after or BLOCK_SECONDS
            self.ledger.stop(retry_after)
        self.brake.pull(Stop(kind=kind, error=error, retry_after=retry_after))

    def _reason(self, error: Auth0CTEError, state: State, *, final: bool) -> StopKind | None:
        if isinstance(error, RateLimitError) and error.blocked:
            return "attack_limit"
        if is_configuration(error):
            return "configuration"
        if error.code in UNUSABLE:
            return "network"
        if not final or state == "failed":
            return None
        # One row that cannot be sent is its own affair; as many in a row as there are workers are not.
        kind: StopKind = "rate_limit" if isinstance(error, RateLimitError) else "network"
        self._failures[kind] += 1
        return kind if self._failures[kind] > max(self.workers, 3) else None


def _retry_after(error: Auth0CTEError) -> float | None:
    seconds: float | None = getattr(error, "retry_after", None)
    return seconds
