"""Sessions in one of Django's caches.

Of all that a cache of Django's does, only ``add`` is one step: it takes a name that nobody has, or fails. What must not
happen twice is an ``add`` here. The entries, all of them text or numbers:

======================== ============================================ ==================================================
name                     value                                        written
======================== ============================================ ==================================================
``session:<hash of id>`` the prefix of the following, the owner, and  once; whatever is done later, a record whose entry
                         since when it is the owner's                 here is gone stays gone
``<prefix>:<version>``   the sealed session                           by ``add``, once a version: one writer wins
``<prefix>:newest``      a version: there may be newer ones, by one   after each version; only saves look-ups
``<prefix>:end``         when the record expires, in Unix ms          at the beginning, and when the record is touched
``owner:<hash>``         the owner's generation, a random number, and by ``add``; another generation ends, in one step,
                         until when the ones before it have ended     all records of the owner that began until then
``<number>:<place>``     the name of a record                         by ``add``, to count what is ended
``present``              1                                            by ``add``; a cache without it may be out of reach
``lock:<hash>``          who holds the lock                           by ``add``
======================== ============================================ ==================================================

What a cache evicts is a session that ends early, never one that comes back.
"""

from __future__ import annotations

import math
import secrets
from typing import TYPE_CHECKING, Final

from attrs import frozen

from auth0_cte.django.cache import NOT_KEPT, SharedCache
from auth0_cte.error import SessionError
from auth0_cte.foundation.deadline import system_clock
from auth0_cte.session.stores.contract import Record, file_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from auth0_cte.session.stores.contract import Owner

__all__ = ["DjangoCacheStateStore"]

SLACK_SECONDS: Final = 3600
"""Entries stay this much longer than their record, whose own end counts, so that late writes cut no life short."""
GENERATION_SECONDS: Final = 30 * 24 * 3600
COUNTED: Final = 64
ENDED_SECONDS: Final = 60
MOVED: Final = ""
ENDED: Final = "ended"


@frozen
class _Root:
    """What a record's first entry says."""

    prefix: str
    owners: tuple[str, ...]
    generations: tuple[str, ...]
    places: tuple[str, ...]
    since: float

    def to_text(self) -> str:
        return " ".join([self.prefix, *self.owners, *self.generations, *self.places, repr(self.since)])

    @classmethod
    def from_text(cls, text: object) -> _Root | None:
        parts = text.split(" ") if isinstance(text, str) else []
        if len(parts) != 8:
            return None
        return cls(parts[0], tuple(parts[1:3]), tuple(parts[3:5]), tuple(parts[5:7]), float(parts[7]))


@frozen
class _Generation:
    """What an owner's entry says."""

    number: str
    ended_until: float = -math.inf

    def to_text(self) -> str:
        return f"{self.number} {self.ended_until!r}"

    @classmethod
    def from_text(cls, text: object) -> _Generation | None:
        number, _, until = text.partition(" ") if isinstance(text, str) else ("", "", "")
        return cls(number, float(until)) if until else None

    def covers(self, number: str, since: float) -> bool:
        """Tell whether a record of that generation goes on."""
        return number == self.number or since > self.ended_until


@frozen
class _Live:
    root: _Root
    record: Record
    expires_at: float


class DjangoCacheStateStore:
    """Keeps sessions in a cache of Django's: for projects that have one, and for back-channel logout.

    ======================= ====================================== =====================================================
    backend                 shared by                              fit for sessions
    ======================= ====================================== =====================================================
    Redis, Memcached        all processes and machines             yes, if it does not evict for want of memory
    database                all processes and machines             yes; set ``MAX_ENTRIES``
    local memory            the threads of one process             development, with one process; set ``MAX_ENTRIES``
    files                   the processes of one machine           no: its ``add`` is not one step, so that two
                                                                   refreshes may be made at once
    dummy                   nobody                                 no: logins are refused
    ======================= ====================================== =====================================================

    A session takes some eight entries. Local memory, files and database keep 300 in all unless ``MAX_ENTRIES`` says
    more, and throw sessions out then.

    Args:
        alias: Which of ``CACHES``.
        prefix: What all keys begin with.
        clock: The time in Unix seconds, the same on all machines; injectable.
        script: Whether calls without ``store_options`` share one session, as a script's do; never in a server.
    """

    stateless = False

    def __init__(
        self,
        alias: str = "default",
        *,
        prefix: str = "auth0-cte",
        clock: Callable[[], float] = system_clock,
        script: bool = False,
    ) -> None:
        self.alias: str = alias
        self.script: bool = script
        self._cache, self._clock = SharedCache(alias, prefix), clock

    def check(self) -> None:
        """Write something and read it back."""
        self._cache.check()

    def create(self, session_id: str, data: str, owner: Owner, ttl: float) -> str:
        """Keep a new session."""
        name, prefix, seconds = file_name(session_id), secrets.token_hex(16), _lifetime(ttl)
        owners = tuple(
            file_name(f"{kind} {owner.issuer} {value}") for kind, value in (("sid", owner.sid), ("sub", owner.sub))
        )
        generations = tuple(self._generation(each, seconds) for each in owners)
        places = tuple(self._take_place(each, name, seconds) for each in generations)
        self._cache.add(self._key(prefix, "end"), self._end(ttl), seconds)
        self._cache.add(self._key(prefix, 0), data, seconds)
        # Last, so that a record that is found is whole.
        root = _Root(prefix, owners, generations, places, owner.since).to_text()
        self._cache.add(self._key("session", name), root, seconds)
        return session_id

    def get(self, cookie: str) -> Record | None:
        """Return a record that has not expired."""
        live = self._find(file_name(cookie))
        return None if live is None else live.record

    def replace(self, cookie: str, data: str, version: int) -> str | None:
        """Replace a record of that version."""
        name = file_name(cookie)
        live = self._find(name)
        if live is None or live.record.version != version:
            return None
        prefix, seconds = live.root.prefix, _lifetime(live.expires_at - self._clock())
        newer, kept = self._key(prefix, version + 1), self._key("session", name)
        if not self._cache.call("add", newer, data, seconds):
            # Another was first, or the session has ended, or the cache cannot write: the database's says no more.
            found = self._cache.get_many([newer, kept])
            if newer not in found and kept in found:
                raise SessionError(NOT_KEPT, code="STORE_UNAVAILABLE")
            return None
        # From here on the new version counts; that the old one is not needed any more is for its finder to see.
        self._cache.call("set", self._key(prefix, version), MOVED, seconds)
        self._cache.call("set", self._key(prefix, "newest"), version + 1, seconds)
        return cookie

    def touch(self, cookie: str, ttl: float) -> None:
        """Move the end of a record."""
        name = file_name(cookie)
        live = self._find(name)
        if live is None:
            return
        root, seconds = live.root, _lifetime(ttl)
        self._cache.call("set", self._key(root.prefix, "end"), self._end(ttl), seconds)
        versions = [self._key(root.prefix, each) for each in ("newest", live.record.version)]
        for key in [self._key("session", name), *versions, *root.places]:
            self._cache.call("touch", key, seconds)
        for owner in root.owners:
            self._cache.call("touch", self._key("owner", owner), _generation_lifetime(seconds))

    def delete(self, cookie: str) -> None:
        """Forget a record."""
        self._forget(file_name(cookie))

    def delete_by_owner(self, issuer: str, *, sid: str | None, sub: str | None, until: float | None = None) -> int:
        """Forget an issuer's sessions by ``sid``, or by ``sub``.

        Returns:
            How many; the count goes no further than 64, the logout does.
        """
        key = self._owner_key(issuer, sid, sub)
        generation = _Generation.from_text(self._cache.get(key))
        if generation is None:
            return 0
        end = self._clock() if until is None else until
        living = self._living(generation)
        newer = _Generation(secrets.token_hex(16), max(end, generation.ended_until))
        seconds = _generation_lifetime(
            max([_lifetime(each.expires_at - self._clock()) for each in living.values()] or [0])
        )
        self._cache.put(key, newer.to_text(), seconds)
        ended = [name for name, live in living.items() if live.root.since <= end]
        for name in living:
            if name in ended:
                self._forget(name)
            else:
                self._take_place(newer.number, name, seconds)
        return len(ended)

    def find_by_owner(self, issuer: str, *, sid: str | None, sub: str | None, until: float | None = None) -> list[str]:
        """Return an issuer's sessions by ``sid``, or by ``sub``; 64 at most."""
        generation = _Generation.from_text(self._cache.get(self._owner_key(issuer, sid, sub)))
        found = [] if generation is None else self._living(generation).values()
        return [live.record.data for live in found if until is None or live.root.since <= until]

    def lock(self, cookie: str, timeout: float) -> AbstractContextManager[None]:
        """Keep other processes out, by an entry that expires should this one die."""
        return self._cache.lock(file_name(cookie), timeout)

    def _owner_key(self, issuer: str, sid: str | None, sub: str | None) -> str:
        return self._key("owner", file_name(f"sub {issuer} {sub or ''}" if sid is None else f"sid {issuer} {sid}"))

    def _living(self, generation: _Generation) -> dict[str, _Live]:
        names = sorted(set(self._cache.get_many(self._places(generation.number)).values()))
        return {name: live for name in names if (live := self._find(name)) is not None}

    def _find(self, name: str) -> _Live | None:
        root = _Root.from_text(self._cache.get(self._key("session", name)))
        if root is None:
            return None
        own = {each: self._key(root.prefix, each) for each in ("end", "newest")}
        owners = [self._key("owner", each) for each in root.owners]
        found = self._cache.get_many([*own.values(), *owners])
        end = found.get(own["end"])
        if not isinstance(end, int) or end <= self._clock() * 1000:
            return None
        for key, number in zip(owners, root.generations, strict=True):
            generation = _Generation.from_text(found.get(key))
            if generation is None or not generation.covers(number, root.since):
                return None
        record = self._newest(root.prefix, found.get(own["newest"], 0))
        return None if record is None else _Live(root, record, end / 1000)

    def _newest(self, prefix: str, version: int) -> Record | None:
        while True:
            keys = [self._key(prefix, version), self._key(prefix, version + 1)]
            found: Mapping[str, str] = self._cache.get_many(keys)
            if keys[1] not in found:
                data = found.get(keys[0], MOVED)
                return None if data == MOVED else Record(data, version)
            version += 1

    def _generation(self, owner: str, seconds: int) -> str:
        key, lifetime = self._key("owner", owner), _generation_lifetime(seconds)
        self._cache.call("add", key, _Generation(secrets.token_hex(16)).to_text(), lifetime)
        self._cache.call("touch", key, lifetime)
        generation = _Generation.from_text(self._cache.call("get", key))
        if generation is None:
            raise SessionError(NOT_KEPT, code="STORE_UNAVAILABLE")
        return generation.number

    def _take_place(self, generation: str, name: str, seconds: int) -> str:
        places = self._places(generation)
        taken = self._cache.get_many(places)
        free = (each for each in places if each not in taken and self._cache.call("add", each, name, seconds))
        place = next(free, None)
        if place is None:
            place = secrets.choice(places)
            self._cache.call("set", place, name, seconds)
        return place

    def _places(self, generation: str) -> list[str]:
        return [self._key(generation, number) for number in range(COUNTED)]

    def _forget(self, name: str) -> None:
        key = self._key("session", name)
        root = _Root.from_text(self._cache.get(key))
        if root is None:
            return
        # Overwritten and read back before it is deleted: what a cache says of a deletion tells nothing.
        self._cache.put(key, ENDED, ENDED_SECONDS)
        newest = self._cache.call("get", self._key(root.prefix, "newest"), 0)
        rest: Sequence[str | int] = ("end", "newest", newest, newest + 1)
        self._cache.call("delete_many", [key, *(self._key(root.prefix, each) for each in rest), *root.places])

    def _key(self, *parts: str | int) -> str:
        return self._cache.key(*parts)

    def _end(self, ttl: float) -> int:
        return int((self._clock() + ttl) * 1000)


def _lifetime(ttl: float) -> int:
    return int(max(ttl, 0)) + SLACK_SECONDS


def _generation_lifetime(seconds: int) -> int:
    # A constant for usual sessions: a short session's must not cut the life of an owner's longer ones.
    return max(seconds, GENERATION_SECONDS)
