"""The journal of this machine, or of several that share their claims."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Protocol

from auth0_cte.batch.outcome import FINAL
from auth0_cte.error import CustomTokenExchangeError

if TYPE_CHECKING:
    from auth0_cte.batch.claims import RedisClaims
    from auth0_cte.batch.journal import Journal
    from auth0_cte.batch.outcome import Outcome, State
    from auth0_cte.batch.rows import Row


__all__ = ["Ledger", "LocalLedger", "SharedLedger"]

logger: Final = logging.getLogger("auth0_cte")


class Ledger(Protocol):
    """What a batch asks before it sends a row, and tells afterwards."""

    def recover(self) -> list[Outcome]:
        """Settle what a run before left in flight, and return it."""
        ...

    def state_of(self, row: Row) -> State | None:
        """Return what is known of a row, or None when it is to be sent."""
        ...

    def claim(self, row: Row) -> State | None:
        """Claim a row; None when it may be sent, else what is known of it."""
        ...

    def release(self, row: Row) -> None:
        """Take back a claim."""

    def settle(self, outcome: Outcome) -> None:
        """Note what became of a row."""

    def report(self, outcome: Outcome) -> bool:
        """Note a row that cannot be sent; tell whether that was new."""
        ...

    def stop(self, seconds: float) -> None:
        """Stop everybody who shares the batch."""


class LocalLedger:
    """The journal alone.

    Args:
        journal: The journal.
        retry_unknown: Whether rows whose outcome is unknown are sent again.
    """

    def __init__(self, journal: Journal, *, retry_unknown: bool = False) -> None:
        self._journal, self._retry_unknown = journal, retry_unknown

    def recover(self) -> list[Outcome]:
        """Settle what a run before left in flight."""
        return self._journal.recover()

    def state_of(self, row: Row) -> State | None:
        """Return what the journal says."""
        state = self._journal.state_of(row)
        return None if state == "pending" or (state == "unknown" and self._retry_unknown) else state

    def claim(self, row: Row) -> State | None:
        """Claim a row in the journal."""
        return self._journal.claim(row, retry_unknown=self._retry_unknown)

    def release(self, row: Row) -> None:
        """Take back a claim."""
        self._journal.release(row)

    def settle(self, outcome: Outcome) -> None:
        """Note what became of a row."""
        self._journal.settle(outcome)

    def report(self, outcome: Outcome) -> bool:
        """Note a row that cannot be sent."""
        return self._journal.report(outcome)

    def stop(self, seconds: float) -> None:
        """Do nothing: nobody shares this batch."""


class SharedLedger(LocalLedger):
    """The journal of this machine beside claims that several share.

    A row is claimed among the machines first, then noted here, then sent: what this journal does not have in flight was
    not sent by this machine, whatever the claims say after a crash.

    Args:
        journal: The journal of this machine.
        claims: The claims of all.
        retry_unknown: Whether rows whose outcome is unknown are sent again.
    """

    def __init__(self, journal: Journal, claims: RedisClaims, *, retry_unknown: bool = False) -> None:
        super().__init__(journal, retry_unknown=retry_unknown)
        self._claims, self._owner, self._again = claims, journal.owner, retry_unknown

    def recover(self) -> list[Outcome]:
        """Settle what a run before left in flight, and tell the others."""
        recovered = super().recover()
        for outcome in recovered:
            self._claims.settle(outcome.id, self._owner, outcome.state)
        return recovered

    def state_of(self, row: Row) -> State | None:
        """Return what the journal says, else what the others did."""
        state = super().state_of(row)
        if state is not None:
            return state
        return "elsewhere" if self._claims.state_of(row.id) in ("ok", "failed") else None

    def claim(self, row: Row) -> State | None:
        """Claim a row among the machines, then in the journal."""
        state = self._claims.claim(row.id, self._owner, retry_unknown=self._again)
        if state is not None:
            return "unknown" if state == "unknown" else "elsewhere"
        known = super().claim(row)
        if known in FINAL:
            self._claims.settle(row.id, self._owner, known)
        return known

    def release(self, row: Row) -> None:
        """Take back a claim, here first."""
        super().release(row)
        self._claims.settle(row.id, self._owner, "pending")

    def settle(self, outcome: Outcome) -> None:
        """Note what became of a row, here first."""
        super().settle(outcome)
        try:
            self._claims.settle(outcome.id, self._owner, outcome.state)
        except CustomTokenExchangeError as error:
            # This machine knows; the next claim will stop the batch if Redis stays away.
            logger.warning("the other machines could not be told of row %s: %s", outcome.id, error.message)

    def stop(self, seconds: float) -> None:
        """Stop all machines."""
        self._claims.stop(seconds)
