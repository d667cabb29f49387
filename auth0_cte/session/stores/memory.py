"""Sessions in the memory of one process."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from auth0_cte.error import SessionError
from auth0_cte.foundation.concurrency import KeyedLocks, reset_in_child
from auth0_cte.session.stores.contract import Owner, Record, file_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["MemoryStateStore"]


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
        script: Whether calls without ``store_options`` share one session, as a script's do; never in a server.
    """

    stateless = False

    def __init__(
        self, maxsize: int = 100_000, clock: Callable[[], float] = time.monotonic, *, script: bool = False
    ) -> None:
        self._maxsize, self._clock = maxsize, clock
        self.script: bool = script
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

    def delete_by_owner(self, issuer: str, *, sid: str | None, sub: str | None, until: float | None = None) -> int:
        """Forget an issuer's sessions by ``sid``, or by ``sub``."""
        with self._mutex:
            found = [name for name, entry in self._entries.items() if _matches(entry.owner, issuer, sid, sub, until)]
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


def _matches(owner: Owner, issuer: str, sid: str | None, sub: str | None, until: float | None) -> bool:
    is_named = owner.issuer == issuer and (owner.sid == sid if sid is not None else owner.sub == sub)
    return is_named and (until is None or owner.since <= until)
