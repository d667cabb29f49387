"""A look at all rows before any is sent: how many there are, and which cannot be exchanged."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

from attrs import define, field

from auth0_cte.auth_types import CustomTokenExchangeOptions
from auth0_cte.batch.rows import BadRow
from auth0_cte.error import CustomTokenExchangeError
from auth0_cte.exchange.options import validate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from auth0_cte.batch.rows import Row

__all__ = ["Survey", "survey"]

MAX_PROBLEMS: Final = 20


@define
class Survey:
    """What the rows are like.

    Args:
        rows: How many there are.
        invalid: How many are malformed, or have a token that the library refuses.
        duplicates: How many have the id of an earlier one.
        problems: The first faults, in words without any token.
    """

    rows: int = 0
    invalid: int = 0
    duplicates: int = 0
    problems: list[str] = field(factory=list)

    @property
    def sendable(self) -> int:
        """How many rows can be sent."""
        return self.rows - self.invalid - self.duplicates

    def note(self, number: int, fault: str) -> None:
        """Keep a fault, if there are not too many yet."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(f"row {number}: {fault}")


def survey(rows: Iterable[Row | BadRow], options: Callable[[Row], CustomTokenExchangeOptions]) -> Survey:
    """Read all rows; nothing is sent.

    Args:
        rows: The rows.
        options: Makes the options of a row.

    Raises:
        ConfigurationError: The rows are not a table.
        OSError: They cannot be read.
    """
    found = Survey()
    # A temporary file that SQLite deletes itself: ids of a million rows do not belong into memory.
    ids = sqlite3.connect("", isolation_level=None)
    try:
        ids.execute("CREATE TABLE seen (id TEXT PRIMARY KEY) WITHOUT ROWID")
        ids.execute("BEGIN")
        for row in rows:
            found.rows += 1
            if isinstance(row, BadRow):
                found.invalid += 1
                found.note(row.number, row.fault)
            elif not ids.execute("INSERT OR IGNORE INTO seen VALUES (?)", (row.id,)).rowcount:
                found.duplicates += 1
                found.note(row.number, f"another row has the id {row.id}")
            else:
                _check(found, row, options)
    finally:
        ids.close()
    return found


def _check(found: Survey, row: Row, options: Callable[[Row], CustomTokenExchangeOptions]) -> None:
    try:
        validate(options(row), CustomTokenExchangeOptions)
    except CustomTokenExchangeError as error:
        found.invalid += 1
        found.note(row.number, f"{error.code}: {error.message}")
