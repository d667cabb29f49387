"""Rotations of refresh tokens in a SQL database, by SQLAlchemy Core. Needs the extra ``sqlalchemy``."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from auth0_cte.foundation.deadline import system_clock
from auth0_cte.foundation.extras import extra

with extra("sqlalchemy", "auth0_cte.session.sql"):
    import sqlalchemy as sa
    from sqlalchemy.exc import IntegrityError

from auth0_cte.error import SessionError
from auth0_cte.session.stores.contract import LOCK_SECONDS, held
from auth0_cte.session.stores.sql_engine import HASH_LENGTH, LargeText, SQLKept

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

__all__ = ["SQLRotations"]


def _make_table(name: str) -> sa.Table:
    return sa.Table(
        name,
        sa.MetaData(),
        sa.Column("kind", sa.String(8), primary_key=True),
        sa.Column("name", sa.String(HASH_LENGTH), primary_key=True),
        sa.Column("data", LargeText, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False, index=True),
    )


class SQLRotations(SQLKept):
    """Keeps rotations of refresh tokens in a table: for sessions in cookies and several processes or machines.

    Args:
        engine: An engine of SQLAlchemy. ``pool_pre_ping=True`` spares users the error after a database restart.
        table: The table's name; `create_tables` makes it.
        clock: The time in Unix seconds, the same on all machines; injectable.

    Raises:
        ConfigurationError: ``engine`` is something else: a URL or an asynchronous engine, for example.
    """

    def __init__(
        self, engine: sa.Engine, *, table: str = "auth0_cte_rotations", clock: Callable[[], float] = system_clock
    ) -> None:
        super().__init__(engine, _make_table(table), clock)

    def get(self, names: Sequence[str]) -> Mapping[str, str]:
        """Return those entries that have not expired."""
        columns = self._table.c
        live = (columns.kind == "entry", columns.name.in_(names), columns.expires_at > self._clock())
        rows = self._rows.rows(sa.select(columns.name, columns.data).where(*live))
        return {row.name: row.data for row in rows}

    def put(self, name: str, value: str, ttl: float) -> None:
        """Keep an entry."""
        self._rows.purge_in_time()
        if not self._update("entry", name, value, ttl) and not self._insert("entry", name, value, ttl):
            self._update("entry", name, value, ttl)

    def lock(self, name: str, timeout: float) -> AbstractContextManager[None]:
        """Keep other processes out, by a row that counts for a while only, should this one die."""
        token, columns = secrets.token_hex(16), self._table.c
        seconds = max(LOCK_SECONDS, 2 * timeout)
        release = sa.delete(self._table).where(columns.kind == "lock", columns.name == name, columns.data == token)
        return held(lambda: self._try_lock(name, token, seconds), lambda: self._rows.execute(release), timeout)

    def _try_lock(self, name: str, token: str, seconds: float) -> bool:
        columns, now = self._table.c, self._clock()
        # Looked at first: an insert that fails is an error in the database's log, each time that a waiter asks.
        taken = (columns.kind == "lock", columns.name == name, columns.expires_at > now)
        if self._rows.rows(sa.select(columns.name).where(*taken)):
            return False
        return self._update("lock", name, token, seconds, columns.expires_at <= now) or self._insert(
            "lock", name, token, seconds
        )

    def _insert(self, kind: str, name: str, value: str, ttl: float) -> bool:
        row = {"kind": kind, "name": name, "data": value, "expires_at": self._clock() + ttl}
        try:
            self._rows.execute(sa.insert(self._table).values(**row))
        except SessionError as error:
            if isinstance(error.__cause__, IntegrityError):
                return False
            raise
        return True

    def _update(self, kind: str, name: str, value: str, ttl: float, *rules: sa.ColumnElement[bool]) -> bool:
        columns = self._table.c
        statement = sa.update(self._table).where(columns.kind == kind, columns.name == name, *rules)
        return bool(self._rows.execute(statement.values(data=value, expires_at=self._clock() + ttl)).rowcount)
