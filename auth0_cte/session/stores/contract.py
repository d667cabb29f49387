"""What every store of sessions promises.

A store never sees what it keeps: records are sealed before they come here, and server-side ones are filed under a hash
of their id, so that a reader of the store can neither read sessions nor use them.
"""

from __future__ import annotations

import hashlib
import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

from attrs import field, frozen

from auth0_cte.error import SessionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from auth0_cte.foundation.concurrency import KeyedLocks

__all__ = [
    "LOCK_SECONDS",
    "Owner",
    "Record",
    "Rotations",
    "SearchableStore",
    "StateStore",
    "file_name",
    "held",
    "held_in_memory",
    "unavailable",
]

logger: Final = logging.getLogger("auth0_cte")

LOCK_SECONDS: Final = 30.0
"""A lock of a process that died is free after it, or after twice the time that a refresh may take."""
LOCK_POLL_SECONDS: Final = 0.02


@frozen
class Owner:
    """Whose session a record is: what back-channel logout finds it by.

    Args:
        issuer: The issuer of the login's ID token.
        sid: The session's id at the issuer; a value derived from ``sub`` where the ID token had none.
        sub: The user.
        since: When the login's ID token was issued, in Unix seconds.
    """

    issuer: str
    sid: str
    sub: str
    since: float = 0.0


@frozen
class Record:
    """A sealed session.

    Args:
        data: The sealed session.
        version: Counts the changes, so that two writers cannot overwrite each other unseen.
    """

    data: str = field(repr=False)
    version: int = 0


class StateStore(Protocol):
    """The contract of all stores. Everything that goes wrong behind one is a `SessionError`.

    A store whose attribute ``script`` is True lets a program without requests, such as a script, have the one session
    of calls without ``store_options``.
    """

    stateless: bool
    """Whether the cookie holds the session itself rather than its id."""

    def check(self) -> None:
        """Raise a `SessionError` unless a session could be written now."""

    def create(self, session_id: str, data: str, owner: Owner, ttl: float) -> str:
        """Keep a new session for ``ttl`` seconds, and return the value for its cookie."""
        ...

    def get(self, cookie: str) -> Record | None:
        """Return the record that a cookie's value stands for, or None."""
        ...

    def replace(self, cookie: str, data: str, version: int) -> str | None:
        """Replace a record that still has ``version``; return the cookie's value, or None if it is gone or changed."""
        ...

    def touch(self, cookie: str, ttl: float) -> None:
        """Let a record live another ``ttl`` seconds from now."""

    def delete(self, cookie: str) -> None:
        """Forget a record, if it is there."""

    def delete_by_owner(self, issuer: str, *, sid: str | None, sub: str | None, until: float | None = None) -> int:
        """Forget an issuer's sessions with this ``sid``, or else all of this ``sub``; return how many.

        Sessions whose owner is known since after ``until`` (Unix seconds) are left alone.
        """
        ...

    def lock(self, cookie: str, timeout: float) -> AbstractContextManager[None]:
        """Keep other processes from refreshing the same session; wait ``timeout`` seconds for it at most."""
        ...


class SearchableStore(StateStore, Protocol):
    """A store that can show an owner's sessions before they are forgotten, so that their refresh tokens are revoked."""

    def find_by_owner(self, issuer: str, *, sid: str | None, sub: str | None, until: float | None = None) -> list[str]:
        """Return the sealed sessions that `StateStore.delete_by_owner` would forget."""
        ...


class Rotations(Protocol):
    """What sessions in cookies share among processes: short-lived sealed entries, and a lock a session.

    Names and values are made by `auth0_cte.session.rotations`: nobody can read a session from them, nor tell whose it
    is. Everything that goes wrong is a `SessionError`.
    """

    def check(self) -> None:
        """Raise a `SessionError` unless entries could be written now."""

    def get(self, names: Sequence[str]) -> Mapping[str, str]:
        """Return those entries of some names that have not expired."""
        ...

    def put(self, name: str, value: str, ttl: float) -> None:
        """Keep an entry for ``ttl`` seconds, in place of one of that name. Reading it never prolongs it."""

    def lock(self, name: str, timeout: float) -> AbstractContextManager[None]:
        """Keep other processes out of the same session; wait ``timeout`` seconds for it at most."""
        ...


def file_name(session_id: str) -> str:
    """Return what a record is filed under: a reader of the store must not learn ids that open sessions."""
    return hashlib.sha256(session_id.encode("utf-8", "surrogatepass")).hexdigest()


@contextmanager
def held(take: Callable[[], bool], release: Callable[[], object], timeout: float) -> Iterator[None]:
    """Hold a lock that other processes may hold, asking for it again and again.

    Args:
        take: Takes the lock if it is free, and tells whether it did.
        release: Gives it back. When that fails the lock expires by itself: what was done under it is not lost by that.
        timeout: How long to try, in seconds.

    Raises:
        SessionError: ``SESSION_LOCKED``: others held it for too long.
    """
    end = time.monotonic() + timeout
    while not take():
        if time.monotonic() >= end:
            raise _locked()
        time.sleep(LOCK_POLL_SECONDS)
    try:
        yield
    finally:
        try:
            release()
        except SessionError as error:
            logger.warning("the lock of a session was not released, and will expire: %s", error.message)


@contextmanager
def held_in_memory(locks: KeyedLocks, key: str, timeout: float) -> Iterator[None]:
    """Hold one of this process's locks.

    Raises:
        SessionError: ``SESSION_LOCKED``: others held it for too long.
    """
    try:
        with locks.hold(key, timeout):
            yield
    except TimeoutError as error:
        raise _locked() from error


def _locked() -> SessionError:
    return SessionError("another refresh of this session takes too long", code="SESSION_LOCKED")


def unavailable(what: str, error: BaseException, hint: str = "") -> SessionError:
    """Make the error of a store whose server or driver failed, with that failure as its cause, without frames.

    Frames of a driver hold its password, and those of a client hold what was to be written.

    Args:
        what: The store, as the message calls it.
        error: The failure.
        hint: What to do about it, where that is known.
    """
    link: BaseException | None = error
    while link is not None:
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    failure = SessionError(f"{what} cannot be used: {type(error).__name__}", code="STORE_UNAVAILABLE", _hint=hint)
    failure.__cause__ = error
    return failure
