"""The journal of a batch: which rows were sent and what became of them, in an SQLite file that survives a kill.

A row is noted as in flight before it is sent, and what became of it is noted after the output file has it; both are on
disk before the caller goes on. Threads that wait at the same time share one commit. It holds row ids, never tokens.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
from typing import TYPE_CHECKING, Final

from attrs import define, field

from auth0_cte.batch.outcome import Outcome
from auth0_cte.error import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from auth0_cte.batch.outcome import State
    from auth0_cte.batch.output_file import OutputFile
    from auth0_cte.batch.rows import Row

__all__ = ["Journal"]

VERSION: Final = "1"
_INTERRUPTED: Final = "the run ended while the row was in flight; it may have been exchanged"
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS batch (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rows (
  id TEXT PRIMARY KEY, number INTEGER NOT NULL, state TEXT NOT NULL, code TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS problems (number INTEGER PRIMARY KEY, state TEXT NOT NULL);
"""


@define
class _Entry:
    """A change that waits for its commit."""

    change: Callable[[sqlite3.Connection], State | None]
    outcome: Outcome | None = None
    done: bool = False
    found: State | None = None
    failure: Exception | None = field(default=None, repr=False)


class Journal:
    """A journal and the output file that goes with it. Safe among threads; not for two processes at once.

    Args:
        path: The SQLite file.
        about: What the batch is about: a journal is only resumed for the same.
        output: Where outcomes are written before they are noted, or None.
        resume: Whether the journal exists and its run goes on.

    Attributes:
        owner: What names this journal to others, in claims that machines share.

    Raises:
        ConfigurationError: The journal exists already, does not, is in use, or is about something else.
    """

    def __init__(
        self, path: Path, about: Mapping[str, str], *, output: OutputFile | None = None, resume: bool = False
    ) -> None:
        self.check(path, resume=resume)
        self._output = output
        self._queue: list[_Entry] = []
        self._queue_lock, self._commit_lock = threading.Lock(), threading.Lock()
        path.touch(mode=0o600)
        self._database = sqlite3.connect(path, timeout=1, isolation_level=None, check_same_thread=False)
        self.owner: str = ""
        try:
            self._open(path, {"version": VERSION, **about})
        except sqlite3.OperationalError:
            self._database.close()
            raise ConfigurationError(f"{path} is in use by another batch") from None
        except sqlite3.DatabaseError:
            self._database.close()
            raise ConfigurationError(f"{path} is not a journal") from None
        except ConfigurationError:
            self._database.close()
            raise

    @staticmethod
    def check(path: Path, *, resume: bool) -> None:
        """Refuse a journal that exists already, or does not, before anything is made.

        Raises:
            ConfigurationError: It is so.
        """
        if not resume and path.exists():
            raise ConfigurationError(f"{path} exists; --resume that run, or name another --journal")
        if resume and not path.exists():
            raise ConfigurationError(f"found no journal {path} to resume")

    def _open(self, path: Path, about: Mapping[str, str]) -> None:
        # Exclusive: a second process must not send the rows of this one.
        for setting in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL"):
            self._database.execute(f"PRAGMA {setting}")
        self._database.executescript(_SCHEMA)
        known = dict(self._database.execute("SELECT name, value FROM batch"))
        different = [name for name in about if known and known.get(name) != about[name]]
        if different:
            raise ConfigurationError(f"{path} is the journal of another batch: {', '.join(different)} differs")
        self.owner = known.get("owner") or secrets.token_hex(16)
        self._database.execute("BEGIN IMMEDIATE")
        kept = {**about, "owner": self.owner}
        self._database.executemany("INSERT OR IGNORE INTO batch VALUES (?, ?)", kept.items())
        self._database.execute("COMMIT")

    def close(self) -> None:
        """Close the journal; the output file is its opener's."""
        self._database.close()

    def recover(self) -> list[Outcome]:
        """Settle the rows that were in flight when a run before ended, and return what became of them.

        Those whose outcome the output file has are noted as that says; all others are unknown.
        """
        written = {} if self._output is None else self._output.written()
        sql = "SELECT id, number FROM rows WHERE state = 'in_flight' ORDER BY number"
        recovered = []
        for row_id, number in self._database.execute(sql).fetchall():
            record = written.get(row_id, {})
            state, code = record.get("status"), record.get("code")
            if state in ("ok", "failed", "pending", "unknown"):
                outcome = Outcome(id=row_id, number=number, state=state, code=code)
                self._submit(_Entry(_settling(outcome)))
            else:
                outcome = Outcome(id=row_id, number=number, state="unknown", code="INTERRUPTED", message=_INTERRUPTED)
                self.settle(outcome)
            recovered.append(outcome)
        return recovered

    def state_of(self, row: Row) -> State | None:
        """Return what is known of a row; ``duplicate`` when its id is another row's."""
        with self._commit_lock:
            return _known(self._database, row)

    def counts(self) -> dict[str, int]:
        """Return how many rows are in each state."""
        with self._commit_lock:
            rows = self._database.execute("SELECT state, count(*) FROM rows GROUP BY state").fetchall()
            problems = self._database.execute("SELECT state, count(*) FROM problems GROUP BY state").fetchall()
        return dict(rows + problems)

    def codes(self) -> dict[str, int]:
        """Return how many rows ended with each error code."""
        with self._commit_lock:
            found = self._database.execute("SELECT code, count(*) FROM rows WHERE code IS NOT NULL GROUP BY code")
            return dict(found.fetchall())

    def unknown(self, limit: int) -> Iterator[str]:
        """Return the ids of the first rows whose outcome is unknown."""
        with self._commit_lock:
            sql = "SELECT id FROM rows WHERE state = 'unknown' ORDER BY number LIMIT ?"
            yield from [row_id for (row_id,) in self._database.execute(sql, (limit,)).fetchall()]

    def claim(self, row: Row, *, retry_unknown: bool = False) -> State | None:
        """Note that a row is about to be sent, unless it must not be.

        Args:
            row: The row.
            retry_unknown: Whether to send a row whose outcome is unknown.

        Returns:
            None when the row is the caller's; else what is known of it.
        """
        sendable = {None, "pending", "unknown"} if retry_unknown else {None, "pending"}

        def change(database: sqlite3.Connection) -> State | None:
            known = _known(database, row)
            if known in sendable:
                database.execute("INSERT OR REPLACE INTO rows VALUES (?, ?, 'in_flight', NULL)", (row.id, row.number))
                return None
            return known

        return self._submit(_Entry(change))

    def settle(self, outcome: Outcome) -> None:
        """Write what became of a row to the output file, then note it."""
        self._submit(_Entry(_settling(outcome), outcome))

    def release(self, row: Row) -> None:
        """Take back a claim: the row was not sent after all."""
        self._submit(_Entry(_settling(Outcome(id=row.id, number=row.number, state="pending"))))

    def report(self, outcome: Outcome) -> bool:
        """Write a row that cannot be sent to the output file, once in all runs; tell whether it was the first time."""

        def change(database: sqlite3.Connection) -> State | None:
            database.execute("INSERT OR IGNORE INTO problems VALUES (?, ?)", (outcome.number, outcome.state))
            return None

        with self._commit_lock:
            sql = "SELECT 1 FROM problems WHERE number = ?"
            if self._database.execute(sql, (outcome.number,)).fetchone() is not None:
                return False
        self._submit(_Entry(change, outcome))
        return True

    def _submit(self, entry: _Entry) -> State | None:
        with self._queue_lock:
            self._queue.append(entry)
        with self._commit_lock:  # the thread that gets it commits for all that wait
            if not entry.done:
                with self._queue_lock:
                    group, self._queue = self._queue, []
                self._commit(group)
        if entry.failure is not None:
            raise entry.failure
        return entry.found

    def _commit(self, group: list[_Entry]) -> None:
        failure: Exception | None = None
        try:
            outcomes = [entry.outcome for entry in group if entry.outcome is not None]
            if self._output is not None and outcomes:
                self._output.append(outcomes)
            self._database.execute("BEGIN IMMEDIATE")
            for entry in group:
                entry.found = entry.change(self._database)
            self._database.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            failure = error if isinstance(error, OSError) else OSError(0, f"the journal cannot be written: {error}")
        for entry in group:
            entry.done, entry.failure = True, failure


def _known(database: sqlite3.Connection, row: Row) -> State | None:
    found = database.execute("SELECT number, state FROM rows WHERE id = ?", (row.id,)).fetchone()
    if found is None:
        return None
    state: State = found[1]
    return state if found[0] == row.number else "duplicate"


def _settling(outcome: Outcome) -> Callable[[sqlite3.Connection], State | None]:
    def change(database: sqlite3.Connection) -> State | None:
        # A row that was refused before it was claimed is not there yet; one with the same id is another row's.
        database.execute(
            "INSERT INTO rows VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE"
            " SET state = excluded.state, code = excluded.code WHERE number = excluded.number",
            (outcome.id, outcome.number, outcome.state, outcome.code),
        )
        return None

    return change
