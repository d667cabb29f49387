"""Sessions in a SQL database, by SQLAlchemy Core. Needs the extra ``sqlalchemy``, and the database's driver."""

from __future__ import annotations

import secrets
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError, StatementError

from auth0_cte.error import SessionError
from auth0_cte.session.stores.contract import LOCK_SECONDS, Record, file_name, wait_for_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from auth0_cte.session.stores.contract import Owner

__all__ = ["SQLStateStore"]

PURGE_SECONDS: Final = 60.0
HASH_LENGTH: Final = 64


def _make_table(name: str) -> sa.Table:
    return sa.Table(
        name,
        sa.MetaData(),
        sa.Column("name", sa.String(HASH_LENGTH), primary_key=True),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("owner_sid", sa.String(HASH_LENGTH), nullable=False, index=True),
        sa.Column("owner_sub", sa.String(HASH_LENGTH), nullable=False, index=True),
        sa.Column("expires_at", sa.Double, nullable=False, index=True),
        sa.Column("locked_by", sa.String(32)),
        sa.Column("locked_until", sa.Double),
    )


class SQLStateStore:
    """Keeps sessions in a table: for several processes and machines, and for back-channel logout.

    Args:
        engine: An engine of SQLAlchemy. ``pool_pre_ping=True`` spares users the error after a database restart.
        table: The table's name; `create_tables` makes it.
        clock: The time in Unix seconds, the same on all machines; injectable.
    """

    stateless = False

    def __init__(
        self, engine: sa.Engine, *, table: str = "auth0_cte_sessions", clock: Callable[[], float] = time.time
    ) -> None:
        self._engine, self._clock = engine, clock
        self._table = _make_table(table)
        self._purged_at = clock()

    def create_tables(self) -> None:
        """Create the table and its indices, if they are not there."""
        with _translated():
            self._table.metadata.create_all(self._engine)

    def purge_expired(self) -> int:
        """Delete expired rows, and return how many; done at logins, too, once a minute."""
        return self._execute(sa.delete(self._table).where(self._table.c.expires_at <= self._clock())).rowcount

    def check(self) -> None:
        """Ask the database whether it is there, and the table in it."""
        self._execute(sa.select(self._table.c.name).limit(0))

    def create(self, session_id: str, data: str, owner: Owner, ttl: float) -> str:
        """Keep a new session."""
        now = self._clock()
        if now - self._purged_at >= PURGE_SECONDS:
            self._purged_at = now
            self.purge_expired()
        row = {
            "name": file_name(session_id),
            "data": data,
            "version": 0,
            "owner_sid": _owner_key(owner.issuer, owner.sid),
            "owner_sub": _owner_key(owner.issuer, owner.sub),
            "expires_at": now + ttl,
        }
        self._execute(sa.insert(self._table).values(**row))
        return session_id

    def get(self, cookie: str) -> Record | None:
        """Return a record that has not expired."""
        columns = self._table.c
        statement = sa.select(columns.data, columns.version).where(*self._live(cookie))
        with _translated(), self._engine.connect() as connection:
            row = connection.execute(statement).first()
        return None if row is None else Record(row.data, row.version)

    def replace(self, cookie: str, data: str, version: int) -> str | None:
        """Replace a record of that version."""
        changes = {"data": data, "version": version + 1}
        same = self._table.c.version == version
        done = self._execute(sa.update(self._table).where(*self._live(cookie), same).values(**changes))
        return cookie if done.rowcount else None

    def touch(self, cookie: str, ttl: float) -> None:
        """Move the end of a record."""
        self._execute(sa.update(self._table).where(*self._live(cookie)).values(expires_at=self._clock() + ttl))

    def delete(self, cookie: str) -> None:
        """Forget a record."""
        self._execute(sa.delete(self._table).where(self._table.c.name == file_name(cookie)))

    def delete_by_owner(self, issuer: str, *, sid: str | None, sub: str | None) -> int:
        """Forget an issuer's sessions by ``sid``, or by ``sub``."""
        columns = self._table.c
        if sid is not None:
            mine = columns.owner_sid == _owner_key(issuer, sid)
        else:
            mine = columns.owner_sub == _owner_key(issuer, sub or "")
        return self._execute(sa.delete(self._table).where(mine, columns.expires_at > self._clock())).rowcount

    @contextmanager
    def lock(self, cookie: str, timeout: float) -> Iterator[None]:
        """Keep other processes out, by a mark in the row that counts for a while only, should this one die."""
        token = secrets.token_hex(16)
        seconds = max(LOCK_SECONDS, 2 * timeout)
        # Without a record there is nothing to lock: whoever asked will find that out.
        wait_for_lock(lambda: self._try_lock(cookie, token, seconds) or self.get(cookie) is None, timeout)
        try:
            yield
        finally:
            release = sa.update(self._table).where(self._table.c.locked_by == token, *self._live(cookie))
            self._execute(release.values(locked_by=None, locked_until=None))

    def _try_lock(self, cookie: str, token: str, seconds: float) -> bool:
        now, columns = self._clock(), self._table.c
        free = sa.or_(columns.locked_until.is_(None), columns.locked_until <= now)
        take = sa.update(self._table).where(*self._live(cookie), free)
        return bool(self._execute(take.values(locked_by=token, locked_until=now + seconds)).rowcount)

    def _live(self, cookie: str) -> tuple[sa.ColumnElement[bool], ...]:
        columns = self._table.c
        return columns.name == file_name(cookie), columns.expires_at > self._clock()

    def _execute(self, statement: Any) -> sa.CursorResult[Any]:
        with _translated(), self._engine.begin() as connection:
            return connection.execute(statement)


def _owner_key(issuer: str, value: str) -> str:
    # Hashed: names of users have no place in an index.
    return file_name(f"{issuer} {value}")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        if isinstance(error, StatementError):
            error.hide_parameters = True
        raise SessionError(
            f"the session store (SQL) cannot be used: {type(error).__name__}", code="STORE_UNAVAILABLE"
        ) from error.with_traceback(None)
