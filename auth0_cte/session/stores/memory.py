"""Sessions in the memory of one process."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from auth0_cte.foundation.concurrency import KeyedLocks
from auth0_cte.foundation.ttl_cache import TTLCache
from auth0_cte.foundation.validation import check_number
from auth0_cte.session.stores.contract import Owner, Record, file_name, held_in_memory

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

__all__ = ["MemoryStateStore"]


@frozen
class _Entry:
    record: Record
    owner: Owner


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
        self.script: bool = script
        check_number("maxsize", maxsize, at_least=1, whole=True)
        self._entries: TTLCache[str, _Entry] = TTLCache(maxsize=maxsize, monotonic=clock, tags=_tags)
        self._locks = KeyedLocks()

    def __len__(self) -> int:
        return len(self._entries)

    def check(self) -> None:
        """Do nothing: memory is there."""

    def create(self, session_id: str, data: str, owner: Owner, ttl: float) -> str:
        """Keep a new session."""
        self._entries.set(file_name(session_id), _Entry(Record(data), owner), ttl=ttl)
        return session_id

    def get(self, cookie: str) -> Record | None:
        """Return a record that has not expired."""
        entry = self._entries.get(file_name(cookie))
        return None if entry is None else entry.record

    def replace(self, cookie: str, data: str, version: int) -> str | None:
        """Replace a record of that version."""

        def replaced(entry: _Entry) -> _Entry | None:
            is_same = entry.record.version == version
            return evolve(entry, record=Record(data, version + 1)) if is_same else None

        return cookie if self._entries.change(file_name(cookie), replaced) else None

    def touch(self, cookie: str, ttl: float) -> None:
        """Move the end of a record."""
        self._entries.change(file_name(cookie), lambda entry: entry, ttl=ttl)

    def delete(self, cookie: str) -> None:
        """Forget a record."""
        self._entries.discard(file_name(cookie))

    def delete_by_owner(self, issuer: str, *, sid: str | None, sub: str | None, until: float | None = None) -> int:
        """Forget an issuer's sessions by ``sid``, or by ``sub``."""
        tag = _tag(issuer, sid, sub)
        return self._entries.discard_tagged(tag, where=lambda entry: until is None or entry.owner.since <= until)

    def find_by_owner(self, issuer: str, *, sid: str | None, sub: str | None, until: float | None = None) -> list[str]:
        """Return an issuer's sessions by ``sid``, or by ``sub``."""
        found = self._entries.tagged(_tag(issuer, sid, sub))
        return [entry.record.data for entry in found if until is None or entry.owner.since <= until]

    def lock(self, cookie: str, timeout: float) -> AbstractContextManager[None]:
        """Keep other threads out."""
        return held_in_memory(self._locks, cookie, timeout)


def _tag(issuer: str, sid: str | None, sub: str | None) -> tuple[str, str, str | None]:
    return (issuer, "sid", sid) if sid is not None else (issuer, "sub", sub)


def _tags(entry: _Entry) -> tuple[tuple[str, str, str], ...]:
    owner = entry.owner
    return (owner.issuer, "sid", owner.sid), (owner.issuer, "sub", owner.sub)
