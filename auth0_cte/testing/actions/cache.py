"""What Actions keep from one exchange to the next (Auth0, "Actions Limitations", cache; ``@auth0/actions``)."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from attrs import frozen

from auth0_cte.testing.actions.limits import utf8

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ActionCache", "CacheEntry"]

MAX_ENTRIES: Final = 20
MAX_KEY_BYTES: Final = 64
MAX_VALUE_BYTES: Final = 4096
MAX_BYTES: Final = 8192
"""All keys and values together; Auth0's library allows twice as much."""
DEFAULT_LIFETIME: Final = 15 * 60
"""How long an entry lives unless told otherwise, in seconds."""
MAX_LIFETIME: Final = 24 * 60 * 60


@frozen
class CacheEntry:
    """A cached value.

    Args:
        value: The value.
        expires_at: When it goes, in milliseconds of Unix time, as in JavaScript.
    """

    value: str
    expires_at: float


class ActionCache:
    """The cache that all Actions of one trigger share. Safe among threads.

    Args:
        clock: Returns Unix seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: dict[str, CacheEntry] = {}

    def get(self, key: object) -> CacheEntry | None:
        """Return a live entry, or None."""
        with self._lock:
            self._drop_expired()
            return self._entries.get(key) if isinstance(key, str) else None

    def set(self, key: object, value: object, ttl: object, expires_at: object) -> CacheEntry | str:
        """Keep a value.

        Args:
            key: Its name, at most 64 bytes as UTF-8.
            value: The text, at most 4096 bytes as UTF-8.
            ttl: A lifetime in milliseconds, or None.
            expires_at: When it ends, in milliseconds of Unix time, or None; the earlier one holds.

        Returns:
            The entry, or Auth0's code of the error.
        """
        if not isinstance(key, str) or not 0 < utf8(key) <= MAX_KEY_BYTES:
            return "CacheKeySizeExceeded"
        if not isinstance(value, str) or utf8(value) > MAX_VALUE_BYTES:
            return "CacheValueSizeExceeded"
        with self._lock:
            self._drop_expired()
            expiry = self._expiry(ttl, expires_at)
            if isinstance(expiry, str):
                return expiry
            others = {name: entry for name, entry in self._entries.items() if name != key}
            used = sum(utf8(name) + utf8(entry.value) for name, entry in others.items())
            if len(others) >= MAX_ENTRIES or used + utf8(key) + utf8(value) > MAX_BYTES:
                return "CacheSizeExceeded"
            self._entries = {**others, key: CacheEntry(value, expiry)}
            return self._entries[key]

    def delete(self, key: object) -> bool:
        """Forget an entry; False when there was none."""
        with self._lock:
            self._drop_expired()
            return isinstance(key, str) and self._entries.pop(key, None) is not None

    def _expiry(self, ttl: object, expires_at: object) -> float | str:
        now = self._clock() * 1000
        ends = [now + DEFAULT_LIFETIME * 1000] if ttl is None and expires_at is None else []
        for start, value in ((now, ttl), (0.0, expires_at)):
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                return "InvalidExpiry"
            ends.append(start + value)
        if min(ends) > now + MAX_LIFETIME * 1000:
            return "InvalidExpiry"
        return "ItemAlreadyExpired" if min(ends) <= now else min(ends)

    def _drop_expired(self) -> None:
        now = self._clock() * 1000
        self._entries = {key: entry for key, entry in self._entries.items() if entry.expires_at > now}
