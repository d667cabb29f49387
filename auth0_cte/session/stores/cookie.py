"""Where sessions are kept: the contract, the stateless store in cookies, and the one in memory.

A store never sees what it keeps: records are sealed before they come here, and server-side ones are filed under a hash
of their id, so that whoever reads the store can neither read sessions nor use them.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Final, Protocol

from attrs import evolve, frozen

from auth0_cte.error import SessionError
from auth0_cte.foundation.concurrency import KeyedLocks, reset_in_child

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

__all__ = [
    "LOCK_SECONDS",
    "CookieStateStore",
    "MemoryStateStore",
    "Owner",
    "Record",
    "StateStore",
    "file_name",
    "wait_for_lock",
]

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


class CookieStateStore:
    """Keeps the session in the browser, sealed: needs no server, cannot be ended from outside, holds about 7 KB."""

    stateless = True

    def check(self) -> None:
        """Do nothing: there is nothing that could be down."""

    def create(self, session_id: str, data: str, owner: Owner, ttl: float) -> str:  # noqa: ARG002
        """Return the sealed session itself."""
        return data

    def get(self, cookie: str) -> Record | None:
        """Return the sealed session itself."""
        return Record(cookie)

    def replace(self, cookie: str, data: str, version: int) -> str | None:  # noqa: ARG002
        """Return the sealed session itself."""
        return data

    def touch(self, cookie: str, ttl: float) -> None:
        """Do nothing: the cookie's own age counts."""

    def delete(self, cookie: str) -> None:
        """Do nothing: the cookie is deleted in the browser."""

    def delete_by_owner(self, issuer: str, *, sid: str | None, sub: str | None) -> int:  # noqa: ARG002
        """Refuse: nobody can reach into browsers."""
        raise SessionError(
            "sessions in cookies cannot be ended by back-channel logout; use a server-side store (Redis, SQL, memory)",
            code="UNSUPPORTED_BY_STORE",
        )

    def lock(self, cookie: str, timeout: float) -> AbstractContextManager[None]:  # noqa: ARG002
        """Lock nothing: no other process has this request."""
        return nullcontext()


@frozen
class _Entry:
    record: Record
    owner: Owner
    expires_at: float


class MemoryStateStore:
    """Keeps sessions in this process: for scripts, tests and single-process servers.

    Args:
        maxsize: The most sessions; the least recently used goes first.
        clock: A clock in seconds; injectable.
    """

    stateless = False

    def __init__(self, maxsize: int = 100_000, clock: Callable[[], float] = time.monotonic) -> None:
        self._maxsize, self._clock = maxsize, clock
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._mutex = threading.Lock()
        self._locks = KeyedLocks()
        reset_in_child(self)

    def _after_fork_in_child(self) -> None:
        self._mutex = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def check(self) -> None:
        """Do nothing: memory is there."""

    def create(self, session_id: str, data: str, owner: Owner, ttl: float) -> str:
        """Keep a new session."""
        with self._mutex:
            self._purge()
            self._entries[file_name(session_id)] = _Entry(Record(data), owner, self._clock() + ttl)
            while len(self._entries) > self._maxsize:
                self._entries.popitem(last=False)
        return session_id

    def get(self, cookie: str) -> Record | None:
        """Return a record that has not expired."""
        with self._mutex:
            entry = self._live(file_name(cookie))
            return None if entry is None else entry.record

    def replace(self, cookie: str, data: str, version: int) -> str | None:
        """Replace a record of that version."""
        name = file_name(cookie)
        with self._mutex:
            entry = self._live(name)
            if entry is None or entry.record.version != version:
                return None
            self._entries[name] = evolve(entry, record=Record(data, version + 1))
        return cookie

    def touch(self, cookie: str, ttl: float) -> None:
        """Move the end of a record."""
        name = file_name(cookie)
        with self._mutex:
            entry = self._live(name)
            if entry is not None:
                self._entries[name] = evolve(entry, expires_at=self._clock() + ttl)

    def delete(self, cookie: str) -> None:
        """Forget a record."""
        with self._mutex:
            self._entries.pop(file_name(cookie), None)

    def delete_by_owner(self, issuer: str, *, sid: str | None, sub: str | None) -> int:
        """Forget an issuer's sessions by ``sid``, or by ``sub``."""
        with self._mutex:
            found = [name for name, entry in self._entries.items() if _matches(entry.owner, issuer, sid, sub)]
            for name in found:
                del self._entries[name]
        return len(found)

    @contextmanager
    def lock(self, cookie: str, timeout: float) -> Iterator[None]:
        """Keep other threads out."""
        try:
            with self._locks.hold(cookie, timeout):
                yield
        except TimeoutError as error:
            raise SessionError("another refresh of this session takes too long", code="SESSION_LOCKED") from error

    def _live(self, name: str) -> _Entry | None:
        entry = self._entries.get(name)
        if entry is None or entry.expires_at <= self._clock():
            self._entries.pop(name, None)
            return None
        self._entries.move_to_end(name)
        return entry

    def _purge(self) -> None:
        # The oldest few only: a full sweep at each login would make logins slower the more there were.
        now = self._clock()
        for name in [name for name, _ in zip(self._entries, range(8), strict=False)]:
            if self._entries[name].expires_at <= now:
                del self._entries[name]


def _matches(owner: Owner, issuer: str, sid: str | None, sub: str | None) -> bool:
    return owner.issuer == issuer and (owner.sid == sid if sid is not None else owner.sub == sub)
