"""What everything that keeps sessions in a SQL database shares: an engine that survives forks, and our own errors."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self

from auth0_cte.foundation.extras import extra

with extra("sqlalchemy", "auth0_cte.session.sql"):
    import sqlalchemy as sa
    from sqlalchemy.dialects import mysql
    from sqlalchemy.exc import ArgumentError, OperationalError, ProgrammingError, SQLAlchemyError, StatementError


from auth0_cte.error import ConfigurationError
from auth0_cte.foundation.concurrency import reset_in_child
from auth0_cte.session.stores.contract import unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["HASH_LENGTH", "LargeText", "SQLKept", "SQLTable"]

PURGE_SECONDS: Final = 60.0
HASH_LENGTH: Final = 64

# MySQL's and MariaDB's TEXT ends at 64 KiB.
LargeText: Final = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")


def _engine_from_url(url: str) -> sa.Engine:
    """Make an engine that notices when the database has closed a connection.

    Raises:
        ConfigurationError: It is not the URL of a database, or its driver is not installed.
    """
    try:
        return sa.create_engine(url, pool_pre_ping=True)
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"the driver of the database is not installed: {error.name}") from error
    except ArgumentError as error:
        raise ConfigurationError("a database URL must look like postgresql+psycopg://user@host/database") from error


class SQLTable:
    """A table whose rows expire.

    Args:
        engine: An engine of SQLAlchemy.
        table: The table; it has a column ``expires_at``.
        clock: The time in Unix seconds.

    Raises:
        ConfigurationError: ``engine`` is a URL, or an asynchronous engine, for example.
    """

    def __init__(self, engine: sa.Engine, table: sa.Table, clock: Callable[[], float]) -> None:
        _check_engine(engine)
        self.table: sa.Table = table
        self._engine, self._clock = engine, clock
        self._purged_at = clock()
        self._inherited: list[Any] = []
        reset_in_child(self)

    def _after_fork_in_child(self) -> None:
        # The connections are the parent's: two processes on one would read each other's answers. They are kept and not
        # closed, which would end them for the parent, too.
        self._inherited.append(self._engine.pool)
        self._engine.dispose(close=False)

    def create(self) -> None:
        """Create the table and its indices, if they are not there."""
        with self._translated():
            self.table.metadata.create_all(self._engine)

    def close(self) -> None:
        """Close the pooled connections."""
        self._engine.dispose()

    def check(self) -> None:
        """Ask the database whether it is there, and the table in it."""
        self.execute(sa.select(*self.table.columns).limit(0))

    def purge(self) -> int:
        """Delete expired rows, and return how many."""
        return self.execute(sa.delete(self.table).where(self.table.c.expires_at <= self._clock())).rowcount

    def purge_in_time(self) -> None:
        """Delete expired rows, once a minute."""
        now = self._clock()
        # A clock that was set back must not keep the rows of the time between.
        if not 0 <= now - self._purged_at < PURGE_SECONDS:
            self._purged_at = now
            self.purge()

    def execute(self, statement: Any) -> sa.CursorResult[Any]:
        """Run a statement in a transaction of its own."""
        with self._translated(), self._engine.begin() as connection:
            return connection.execute(statement)

    def rows(self, statement: Any) -> list[Any]:
        """Return the rows of a query."""
        with self._translated(), self._engine.connect() as connection:
            return list(connection.execute(statement))

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            if isinstance(error, StatementError):
                error.hide_parameters = True
                error.params = None
            hint = f"Call create_tables(): the table {self.table.name} is missing, or of an older version."
            failure = unavailable("the session store (SQL)", error, hint if _lacks_table(error) else "")
        else:
            return
        raise failure


class SQLKept:
    """What is kept in a table of its own.

    Args:
        engine: An engine of SQLAlchemy.
        table: The table.
        clock: The time in Unix seconds.
    """

    def __init__(self, engine: sa.Engine, table: sa.Table, clock: Callable[[], float]) -> None:
        self._rows = SQLTable(engine, table, clock)
        self._table, self._clock = table, clock

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Self:
        """Make one with an engine of its own.

        Args:
            url: The database: ``postgresql+psycopg://user@host/database``, for example.
            **options: Further arguments of the constructor.

        Raises:
            ConfigurationError: It is not the URL of a database, or its driver is not installed.
        """
        return cls(_engine_from_url(url), **options)

    def close(self) -> None:
        """Close the pooled connections of the engine; a later call opens new ones."""
        self._rows.close()

    def create_tables(self) -> None:
        """Create the table and its indices, if they are not there."""
        self._rows.create()

    def purge_expired(self) -> int:
        """Delete expired rows, and return how many; done when something is kept, too, once a minute."""
        return self._rows.purge()

    def check(self) -> None:
        """Ask the database whether it is there, and the table in it."""
        self._rows.check()


def _check_engine(engine: object) -> None:
    if not isinstance(engine, sa.Engine):
        kind = f"{type(engine).__module__}.{type(engine).__qualname__}"
        raise ConfigurationError(f"engine must be a sqlalchemy.Engine (sqlalchemy.create_engine(...)), not a {kind}")
    if engine.dialect.is_async:
        raise ConfigurationError(
            f"engine must have a synchronous driver: {engine.dialect.name} has an asynchronous one"
        )


def _lacks_table(error: SQLAlchemyError) -> bool:
    # SQLite has one class for all of its errors.
    is_lack = isinstance(error, OperationalError) and "no such" in str(error.orig)
    return is_lack or isinstance(error, ProgrammingError)
