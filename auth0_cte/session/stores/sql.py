"""Sessions in a SQL database, by SQLAlchemy Core. Needs the extra ``sqlalchemy``, and the database's driver."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from auth0_cte.foundation.deadline import system_clock
from auth0_cte.foundation.extras import extra

with extra("sqlalchemy", "auth0_cte.session.sql"):
    import sqlalchemy as sa

from auth0_cte.session.stores.contract import LOCK_SECONDS, Record, file_name, held
from auth0_cte.session.stores.sql_engine import HASH_LENGTH, LargeText, SQLKept

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from auth0_cte.session.stores.contract import Owner

__all__ = ["SQLStateStore"]


def _make_table(name: str) -> sa.Table:
    return sa.Table(
        name,
        sa.MetaData(),
        sa.Column("name", sa.String(HASH_LENGTH), primary_key=True),
        sa.Column("data", LargeText, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("owner_sid", sa.String(HASH_LENGTH), nullable=False, index=True),
        sa.Column("owner_sub", sa.String(HASH_LENGTH), nullable=False, index=True),
        sa.Column("owner_since", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False, index=True),
        sa.Column("locked_by", sa.String(32)),
        sa.Column("locked_until", sa.Double),
    )


class SQLStateStore(SQLKept):
    """Keeps sessions in a table: for several processes and machines, and for back-channel logout.

    Args:
        engine: An engine of SQLAlchemy. ``pool_pre_ping=True`` spares users the error after a database restart.
        table: The table's name; `create_tables` makes it.
        clock: The time in Unix seconds, the same on all machines; injectable.
        script: Whether calls without ``store_options`` share one session, as a script's do; never in a server.

    Raises:
        ConfigurationError: ``engine`` is something else: a URL or an asynchronous engine, for example.
    """

    stateless = False

    def __init__(
        self,
        engine: sa.Engine,
        *,
        table: str = "auth0_cte_sessions",
        clock: Callable[[], float] = system_clock,
        script: bool = False,
    ) -> None:
        super().__init__(engine, _make_table(table), clock)
        self.script: bool = script

    def create(self, session_id: str, data: str, owner: Owner, ttl: float) -> str:
        """Keep a new session."""
        self._rows.purge_in_time()
        row = {
            "name": file_name(session_id),
            "data": data,
            "version": 0,
            "owner_sid": _owner_key(owner.issuer, owner.sid),
            "owner_sub": _owner_key(owner.issuer, owner.sub),
            "owner_since": owner.since,
            "expires_at": self._clock() + ttl,
        }
        self._rows.execute(sa.insert(self._table).values(**row))
        return session_id

    def get(self, cookie: str) -> Record | None:
        """Return a record that has not expired."""
        columns = self._table.c
        rows = self._rows.rows(sa.select(columns.data, columns.version).where(*self._live(cookie)))
        return Record(rows[0].data, rows[0].version) if rows else None

    def replace(self, cookie: str, data: str, version: int) -> str | None:
        """Replace a record of that version."""
        changes = {"data": data, "version": version + 1}
        same = self._table.c.version == version
        done = self._rows.execute(sa.update(self._table).where(*self._live(cookie), same).values(**changes))
        return cookie if done.rowcount else None

    def touch(self, cookie: str, ttl: float) -> None:
        """Move the end of a record."""
        self._rows.execute(sa.update(self._table).where(*self._live(cookie)).values(expires_at=self._clock() + ttl))

    def delete(self, cookie: str) -> None:
        """Forget a record."""
        self._rows.execute(sa.delete(self._table).where(self._table.c.name == file_name(cookie)))

    def delete_by_owner(self, issuer: str, *, sid: str | None, sub: str | None, until: float | None = None) -> int:
        """Forget an issuer's sessions by ``sid``, or by ``sub``."""
        return self._rows.execute(sa.delete(self._table).where(*self._owned(issuer, sid, sub, until))).rowcount

    def find_by_owner(self, issuer: str, *, sid: str | None, sub: str | None, until: float | None = None) -> list[str]:
        """Return an issuer's sessions by ``sid``, or by ``sub``."""
        found = sa.select(self._table.c.data).where(*self._owned(issuer, sid, sub, until))
        return [row.data for row in self._rows.rows(found)]

    def lock(self, cookie: str, timeout: float) -> AbstractContextManager[None]:
        """Keep other processes out, by a mark in the row that counts for a while only, should this one die."""
        token = secrets.token_hex(16)
        seconds = max(LOCK_SECONDS, 2 * timeout)
        release = sa.update(self._table).where(self._table.c.locked_by == token, *self._live(cookie))
        # Without a record there is nothing to lock, as the caller will find out.
        return held(
            lambda: self._try_lock(cookie, token, seconds) or self.get(cookie) is None,
            lambda: self._rows.execute(release.values(locked_by=None, locked_until=None)),
            timeout,
        )

    def _try_lock(self, cookie: str, token: str, seconds: float) -> bool:
        now, columns = self._clock(), self._table.c
        free = sa.or_(columns.locked_until.is_(None), columns.locked_until <= now)
        take = sa.update(self._table).where(*self._live(cookie), free)
        return bool(self._rows.execute(take.values(locked_by=token, locked_until=now + seconds)).rowcount)

    def _owned(
        self, issuer: str, sid: str | None, sub: str | None, until: float | None
    ) -> list[sa.ColumnElement[bool]]:
        columns = self._table.c
        if sid is not None:
            mine = columns.owner_sid == _owner_key(issuer, sid)
        else:
            mine = columns.owner_sub == _owner_key(issuer, sub or "")
        rules = [mine, columns.expires_at > self._clock()]
        return rules if until is None else [*rules, columns.owner_since <= until]

    def _live(self, cookie: str) -> tuple[sa.ColumnElement[bool], ...]:
        columns = self._table.c
        return columns.name == file_name(cookie), columns.expires_at > self._clock()


def _owner_key(issuer: str, value: str) -> str:
    # Hashed: names of users have no place in an index.
    return file_name(f"{issuer} {value}")
