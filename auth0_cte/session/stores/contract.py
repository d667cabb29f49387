"""What every store of sessions promises.

A store never sees what it keeps: records are sealed before they come here, and server-side ones are filed under a hash
of their id, so that whoever reads the store can neither read sessions nor use them.
"""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Final, Protocol

from attrs import frozen

from auth0_cte.error import SessionError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

__all__ = ["LOCK_SECONDS", "Owner", "Record", "StateStore", "file_name", "wait_for_lock"]

LOCK_SECONDS: Final = 30.0
"""A lock of a process that died is free after it, or after twice the time that a refresh may take."""
LOCK_POLL_SECONDS: Final = 0.02


@frozen
class Owner:
    """Whose session a record is: what back-channel logout finds it by."""

    issuer: str
    sid: str
    sub: str


@frozen
class Record:
    """A sealed session.

    Args:
        data: The sealed session.
        version: Counts the changes, so that two writers cannot overwrite each other unseen.
    """

    data: str
    version: int = 0


class StateStore(Protocol):
    """The contract of all stores. Whatever goes wrong behind one is a `SessionError`."""

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
        """Have a record live another ``ttl`` seconds from now."""

    def delete(self, cookie: str) -> None:
        """Forget a record, if it is there."""

    def delete_by_owner(self, issuer: str, *, sid: str | None, sub: str | None) -> int:
        """Forget an issuer's sessions with this ``sid``, or else all of this ``sub``; return how many."""
        ...

    def lock(self, cookie: str, timeout: float) -> AbstractContextManager[None]:
        """Keep other processes from refreshing the same session; wait ``timeout`` seconds for it at most."""
        ...


def file_name(session_id: str) -> str:
    """Return what a record is filed under: a reader of the store must not learn ids that open sessions."""
    return hashlib.sha256(session_id.encode("utf-8", "surrogatepass")).hexdigest()


def wait_for_lock(take: Callable[[], bool], timeout: float) -> None:
    """Take a lock that other processes may hold, by asking for it again and again.

    Args:
        take: Takes the lock if it is free, and tells whether it did.
        timeout: How long to try, in seconds.

    Raises:
        SessionError: ``SESSION_LOCKED``: others held it for too long.
    """
    end = time.monotonic() + timeout
    while not take():
        if time.monotonic() >= end:
            raise SessionError("another refresh of this session takes too long", code="SESSION_LOCKED")
        time.sleep(LOCK_POLL_SECONDS)
