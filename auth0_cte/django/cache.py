"""One of Django's caches as a place for sessions and rotations: used as it is, and what it swallows is told."""

from __future__ import annotations

import secrets
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from auth0_cte.error import SessionError
from auth0_cte.foundation.concurrency import reset_in_child
from auth0_cte.session.stores.contract import LOCK_SECONDS, held, unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

__all__ = ["NOT_KEPT", "DjangoCacheRotations", "SharedCache"]

RELEASE_SECONDS: Final = 5.0
NOT_KEPT: Final = "the session store (Django's cache) did not keep what it was given"
PRESENT: Final = "present"


class SharedCache:
    """A cache, with errors of our own.

    Some caches swallow the errors of their server (``IGNORE_EXCEPTIONS``) and answer as if they were empty. An entry
    that is always there tells an empty cache from one that cannot be asked.

    Args:
        alias: Which of ``CACHES``.
        prefix: What all keys begin with.
    """

    def __init__(self, alias: str, prefix: str) -> None:
        self.alias: str = alias
        self._prefix = prefix
        self._of_thread = threading.local()
        self._inherited: list[Any] = []
        reset_in_child(self)

    def _after_fork_in_child(self) -> None:
        # The parent's connections are kept and not closed: to close them would end them for the parent, too.
        cache = getattr(self._of_thread, "cache", None)
        self._inherited.append(cache)
        self._of_thread = threading.local()
        if _is_in_database(cache):
            from django.db import connections

            for each in connections.all(initialized_only=True):
                self._inherited.append(each.connection)
                each.connection = None

    def key(self, *parts: str | int) -> str:
        """Return the key of an entry."""
        return ":".join([self._prefix, *map(str, parts)])

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of the cache.

        Raises:
            SessionError: ``STORE_UNAVAILABLE``: it raised an exception, which is the ``__cause__``.
        """
        try:
            return getattr(self._cache(), method)(*arguments)
        except SessionError:
            raise
        except Exception as error:  # noqa: BLE001 - what a cache raises is known to it alone
            failure = unavailable(f"the session store (Django's cache {self.alias!r})", error)
        raise failure

    def get_many(self, keys: Sequence[str]) -> Mapping[str, Any]:
        """Return the entries that are there.

        Raises:
            SessionError: ``STORE_UNAVAILABLE``, also when the cache only seems to be empty.
        """
        present = self.key(PRESENT)
        found: dict[str, Any] = self.call("get_many", [*keys, present]) or {}
        if found.pop(present, None) is None:
            self.call("add", present, 1, None)
            if self.call("get", present) is None:
                self._refuse("cannot be asked: it answers as if it were empty")
        return found

    def get(self, key: str) -> Any:
        """Return an entry, or None when there is none."""
        return self.get_many([key]).get(key)

    def add(self, key: str, value: str | int, seconds: int | None) -> None:
        """Write an entry that nobody has.

        Raises:
            SessionError: ``STORE_UNAVAILABLE``: it was not kept.
        """
        # The database's cache says nothing when it cannot write, unless it is asked for an add.
        if not self.call("add", key, value, seconds):
            raise SessionError(NOT_KEPT, code="STORE_UNAVAILABLE")

    def put(self, key: str, value: str | int, seconds: int | None) -> None:
        """Write an entry in place of the one that is there, and read it back.

        Raises:
            SessionError: ``STORE_UNAVAILABLE``: it was not kept.
        """
        self.call("set", key, value, seconds)
        if self.call("get", key) != value:
            raise SessionError(NOT_KEPT, code="STORE_UNAVAILABLE")

    def check(self) -> None:
        """Write something and read it back."""
        key, token = self.key("check", secrets.token_hex(16)), secrets.token_hex(16)
        self.add(key, token, 60)
        if self.call("get", key) != token:
            self._refuse("does not keep what it is given")
        self.call("delete", key)

    @contextmanager
    def lock(self, name: str, timeout: float) -> Iterator[None]:
        """Keep other processes out, by an entry that expires should this one die."""
        key, token = self.key("lock", name), secrets.token_hex(16)
        seconds = int(max(LOCK_SECONDS, 2 * timeout)) + 1
        with held(lambda: self._try_lock(key, token, seconds), lambda: self._release(key, token, safe_until), timeout):
            safe_until = time.monotonic() + seconds - RELEASE_SECONDS
            yield

    def _try_lock(self, key: str, token: str, seconds: int) -> bool:
        # An add that was sent again, because its answer got lost, finds its own token.
        return bool(self.call("add", key, token, seconds)) or self.get(key) == token

    def _release(self, key: str, token: str, safe_until: float) -> None:
        # To look whose it is and to delete it are two steps: near its end it is left, because it may be another's then.
        if time.monotonic() < safe_until and self.call("get", key) == token:
            self.call("delete", key)

    def _refuse(self, fault: str) -> None:
        raise SessionError(f"the session store (Django's cache {self.alias!r}) {fault}", code="STORE_UNAVAILABLE")

    def _cache(self) -> Any:
        from django.core.cache import caches

        # One for each thread, as Django has it. Not caches[alias]: the threads that asynchronous views call from would
        # make a new one, with new connections, for each call.
        settings: Any = caches.settings
        if self.alias not in settings:
            raise SessionError(f"CACHES has no {self.alias!r}, where sessions would be kept", code="STORE_UNAVAILABLE")
        kept = self._of_thread
        if getattr(kept, "settings", None) is not settings:
            kept.settings, kept.cache = settings, caches.create_connection(self.alias)
        return kept.cache


def _is_in_database(cache: object) -> bool:
    from django.core.cache.backends.db import BaseDatabaseCache

    return isinstance(cache, BaseDatabaseCache)


class DjangoCacheRotations:
    """Keeps rotations of refresh tokens in a cache of Django's: for sessions in cookies and several processes.

    The cache must be shared by all processes, and its ``add`` a single step: Redis, Memcached or the database.

    Args:
        alias: Which of ``CACHES``.
        prefix: What all keys begin with.
    """

    def __init__(self, alias: str = "default", *, prefix: str = "auth0-cte") -> None:
        self.alias: str = alias
        self._cache = SharedCache(alias, f"{prefix}:rotations")

    def check(self) -> None:
        """Write something and read it back."""
        self._cache.check()

    def get(self, names: Sequence[str]) -> Mapping[str, str]:
        """Return those entries that have not expired."""
        keys = {self._cache.key("entry", name): name for name in names}
        found = self._cache.get_many(list(keys))
        return {keys[key]: value for key, value in found.items() if isinstance(value, str)}

    def put(self, name: str, value: str, ttl: float) -> None:
        """Keep an entry."""
        # Whole seconds are what caches count in.
        self._cache.put(self._cache.key("entry", name), value, int(ttl) + 1)

    def lock(self, name: str, timeout: float) -> AbstractContextManager[None]:
        """Keep other processes out, by an entry that expires should this one die."""
        return self._cache.lock(name, timeout)
