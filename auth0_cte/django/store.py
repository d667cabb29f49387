"""Sessions in one of Django's caches.

Of all that a cache of Django's does, only ``add`` is one step: it takes a name that nobody has, or fails. What must not
happen twice is an ``add`` here. The entries, all of them text or numbers:

======================== ============================================ ==================================================
name                     value                                        written
======================== ============================================ ==================================================
``session:<hash of id>`` the prefix of the following, and the owner   once; whatever is done later, a record whose entry
                                                                      here is gone stays gone
``<prefix>:<version>``   the sealed session                           by ``add``, once a version: one writer wins
``<prefix>:newest``      a version: there may be newer ones, by one   after each version; only saves look-ups
``<prefix>:end``         when the record expires, in Unix ms          at the beginning, and when the record is touched
``owner:<hash>``         the owner's generation: a random number      by ``add``; deleting it ends, in one step, all
                                                                      records of the owner that bear this number
``<number>:<place>``     the name of a record                         by ``add``, to count what is ended
``lock:<hash>``          who holds the lock                           by ``add``
======================== ============================================ ==================================================

What a cache evicts is a session that ends early, never one that comes back.
"""

from __future__ import annotations

import secrets
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from auth0_cte.error import SessionError
from auth0_cte.session.stores.contract import LOCK_SECONDS, Record, file_name, wait_for_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from auth0_cte.session.stores.contract import Owner

__all__ = ["DjangoCacheStateStore"]

SLACK_SECONDS: Final = 3600
"""Entries stay this much longer than their record, whose own end counts, so that late writes cut no life short."""
GENERATION_SECONDS: Final = 30 * 24 * 3600
COUNTED: Final = 64
RELEASE_SECONDS: Final = 5.0
MOVED: Final = ""
NOT_KEPT: Final = "the session store (Django's cache) did not keep a session"


@frozen
class _Root:
    """What a record's first entry says."""

    prefix: str
    owners: tuple[str, ...]
    generations: tuple[str, ...]
    places: tuple[str, ...]

    def to_text(self) -> str:
        return " ".join([self.prefix, *self.owners, *self.generations, *self.places])

    @classmethod
    def from_text(cls, text: object) -> _Root | None:
        parts = text.split(" ") if isinstance(text, str) else []
        return cls(parts[0], tuple(parts[1:3]), tuple(parts[3:5]), tuple(parts[5:7])) if len(parts) == 7 else None


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
    files                   the processes of one machine           no: its ``add`` is no single step, so that two
                                                                   refreshes may be made at once
    dummy                   nobody                                 no: logins are refused
    ======================= ====================================== =====================================================

    A session takes some eight entries. Local memory, files and database keep 300 in all unless ``MAX_ENTRIES`` says
    more, and throw sessions out then.

    Args:
        alias: Which of ``CACHES``.
        prefix: What all keys begin with.
        clock: The time in Unix seconds, the same on all machines; injectable.
    """

    stateless = False

    def __init__(
        self, alias: str = "default", *, prefix: str = "auth0-cte", clock: Callable[[], float] = time.time
    ) -> None:
        self.alias: str = alias
        self._prefix, self._clock = prefix, clock
        self._of_thread = threading.local()

    def check(self) -> None:
        """Write something and read it back."""
        key, token = self._key("check", secrets.token_hex(16)), secrets.token_hex(16)
        self._add(key, token, 60)
        if self._call("get", key) != token:
            raise SessionError(
                "the session store (Django's cache) does not keep what it is given", code="STORE_UNAVAILABLE"
            )
        self._call("delete", key)

    def create(self, session_id: str, data: str, owner: Owner, ttl: float) -> str:
        """Keep a new session."""
        name, prefix, seconds = file_name(session_id), secrets.token_hex(16), _lifetime(ttl)
        owners = tuple(
            file_name(f"{kind} {owner.issuer} {value}") for kind, value in (("sid", owner.sid), ("sub", owner.sub))
        )
        generations = tuple(self._generation(each, seconds) for each in owners)
        places = tuple(self._take_place(each, name, seconds) for each in generations)
        self._add(self._key(prefix, "end"), self._end(ttl), seconds)
        self._add(self._key(prefix, 0), data, seconds)
        # Last, so that a record that is found is whole.
        root = _Root(prefix, owners, generations, places).to_text()
        self._add(self._key("session", name), root, seconds)
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
        newer = self._key(prefix, version + 1)
        if not self._call("add", newer, data, seconds):
            # Another was first, or the session has ended, or the cache cannot write: the database's says no more.
            if self._call("get", newer) is None and self._call("get", self._key("session", name)) is not None:
                raise SessionError(NOT_KEPT, code="STORE_UNAVAILABLE")
            return None
        # From here on the new version counts; that the old one is not needed any more is for whoever finds it.
        self._set(self._key(prefix, version), MOVED, seconds)
        self._set(self._key(prefix, "newest"), version + 1, seconds)
        return cookie

    def touch(self, cookie: str, ttl: float) -> None:
        """Move the end of a record."""
        name = file_name(cookie)
        live = self._find(name)
        if live is None:
            return
        root, seconds = live.root, _lifetime(ttl)
        self._set(self._key(root.prefix, "end"), self._end(ttl), seconds)
        versions = [self._key(root.prefix, each) for each in ("newest", live.record.version)]
        for key in [self._key("session", name), *versions, *root.places]:
            self._call("touch", key, seconds)
        for owner in root.owners:
            self._call("touch", self._key("owner", owner), _generation_lifetime(seconds))

    def delete(self, cookie: str) -> None:
        """Forget a record."""
        self._forget(file_name(cookie))

    def delete_by_owner(self, issuer: str, *, sid: str | None, sub: str | None) -> int:
        """Forget an issuer's sessions by ``sid``, or by ``sub``.

        Returns:
            How many; the count goes no further than 64, the logout does.
        """
        owner = file_name(f"sub {issuer} {sub or ''}" if sid is None else f"sid {issuer} {sid}")
        generation = self._call("get", self._key("owner", owner))
        if generation is None:
            return 0
        names = set(self._call("get_many", self._places(generation)).values())
        ended = [name for name in sorted(names) if self._find(name) is not None]
        self._delete(self._key("owner", owner), generation)
        for name in ended:
            self._forget(name)
        return len(ended)

    @contextmanager
    def lock(self, cookie: str, timeout: float) -> Iterator[None]:
        """Keep other processes out, by an entry that expires should this one die."""
        key, token = self._key("lock", file_name(cookie)), secrets.token_hex(16)
        seconds = int(max(LOCK_SECONDS, 2 * timeout)) + 1
        wait_for_lock(lambda: self._try_lock(key, token, seconds), timeout)
        safe_until = time.monotonic() + seconds - RELEASE_SECONDS
        try:
            yield
        finally:
            # To look whose it is and to delete it are two steps: near its end it is left, lest it be another's by then.
            if time.monotonic() < safe_until and self._call("get", key) == token:
                self._call("delete", key)

    def _try_lock(self, key: str, token: str, seconds: int) -> bool:
        # An add that was sent again, because its answer got lost, finds its own token.
        return bool(self._call("add", key, token, seconds)) or self._call("get", key) == token

    def _find(self, name: str) -> _Live | None:
        root = _Root.from_text(self._call("get", self._key("session", name)))
        if root is None:
            return None
        own = {each: self._key(root.prefix, each) for each in ("end", "newest")}
        owners = [self._key("owner", each) for each in root.owners]
        found = self._call("get_many", [*own.values(), *owners])
        end = found.get(own["end"])
        if not isinstance(end, int) or end <= self._clock() * 1000:
            return None
        if tuple(found.get(each) for each in owners) != root.generations:
            return None
        record = self._newest(root.prefix, found.get(own["newest"], 0))
        return None if record is None else _Live(root, record, end / 1000)

    def _newest(self, prefix: str, version: int) -> Record | None:
        while True:
            keys = [self._key(prefix, version), self._key(prefix, version + 1)]
            found: Mapping[str, str] = self._call("get_many", keys)
            if keys[1] not in found:
                data = found.get(keys[0], MOVED)
                return None if data == MOVED else Record(data, version)
            version += 1

    def _generation(self, owner: str, seconds: int) -> str:
        key, lifetime = self._key("owner", owner), _generation_lifetime(seconds)
        self._call("add", key, secrets.token_hex(16), lifetime)
        self._call("touch", key, lifetime)
        generation = self._call("get", key)
        if not isinstance(generation, str):
            raise SessionError(NOT_KEPT, code="STORE_UNAVAILABLE")
        return generation

    def _take_place(self, generation: str, name: str, seconds: int) -> str:
        places = self._places(generation)
        taken = self._call("get_many", places)
        free = next((each for each in places if each not in taken and self._call("add", each, name, seconds)), None)
        if free is None:
            free = secrets.choice(places)
            self._set(free, name, seconds)
        return free

    def _places(self, generation: str) -> list[str]:
        return [self._key(generation, number) for number in range(COUNTED)]

    def _forget(self, name: str) -> None:
        key = self._key("session", name)
        kept = self._call("get", key)
        root = _Root.from_text(kept)
        if root is not None:
            self._delete(key, kept)
            newest = self._call("get", self._key(root.prefix, "newest"), 0)
            rest: Sequence[str | int] = ("end", "newest", newest, newest + 1)
            self._call("delete_many", [*(self._key(root.prefix, each) for each in rest), *root.places])

    def _key(self, *parts: str | int) -> str:
        return ":".join([self._prefix, *map(str, parts)])

    def _end(self, ttl: float) -> int:
        return int((self._clock() + ttl) * 1000)

    def _set(self, key: str, value: str | int, seconds: int) -> None:
        self._call("set", key, value, seconds)

    def _add(self, key: str, value: str | int, seconds: int) -> None:
        # The database's cache says nothing when it cannot write, unless it is asked for an add.
        if not self._call("add", key, value, seconds):
            raise SessionError(NOT_KEPT, code="STORE_UNAVAILABLE")

    def _delete(self, key: str, value: str) -> None:
        self._call("delete", key)
        if self._call("get", key) == value:
            raise SessionError("the session store (Django's cache) did not forget a session", code="STORE_UNAVAILABLE")

    def _call(self, method: str, *arguments: Any) -> Any:
        try:
            return getattr(self._cache(), method)(*arguments)
        except SessionError:
            raise
        except Exception as error:  # noqa: BLE001 - what a cache raises is known to it alone
            raise SessionError(
                f"the session store (Django's cache {self.alias!r}) cannot be used: {type(error).__name__}",
                code="STORE_UNAVAILABLE",
            ) from error.with_traceback(None)

    def _cache(self) -> Any:
        from django.core.cache import caches

        # One for each thread, as Django has it. Not caches[alias]: the threads that asynchronous views call from would
        # make a new one, with new connections, for each call.
        settings: Any = caches.settings
        if self.alias not in settings:
            raise SessionError(f"CACHES has no {self.alias!r}, where sessions would be kept", code="STORE_UNAVAILABLE")
        kept = getattr(self._of_thread, "kept", None)
        if kept is None or kept[0] is not settings:
            kept = self._of_thread.kept = settings, caches.create_connection(self.alias)
        return kept[1]


def _lifetime(ttl: float) -> int:
    return int(max(ttl, 0)) + SLACK_SECONDS


def _generation_lifetime(seconds: int) -> int:
    # A constant for usual sessions: a short session's must not cut the life of an owner's longer ones.
    return max(seconds, GENERATION_SECONDS)
