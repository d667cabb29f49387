"""What Actions keep from one exchange to the next (Auth0, "Actions Limitations", cache)."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ActionCache", "CacheEntry"]

MAX_ENTRIES: Final = 20
DEFAULT_LIFETIME: Final = 15 * 60
"""How long an entry lives unless told otherwise, in seconds."""


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
    """The cache that all Actions of the tenant's trigger share.

    Args:
        clock: Returns Unix seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: dict[str, CacheEntry] = {}

    def get(self, key: str) -> CacheEntry | None:
        """Return a live entry, or None."""
        with self._lock:
            self._drop_expired()
            return self._entries.get(key)

    def set(self, key: str, entry: CacheEntry) -> bool:
        """Keep an entry; False when the cache is full."""
        with self._lock:
            self._drop_expired()
            if key not in self._entries and len(self._entries) >= MAX_ENTRIES:
                return False
            self._entries[key] = entry
            return True

    def delete(self, key: str) -> bool:
        """Forget an entry; False when there was none."""
        with self._lock:
            self._drop_expired()
            return self._entries.pop(key, None) is not None

    def now(self) -> float:
        """Return the time in milliseconds of Unix time."""
        return self._clock() * 1000

    def _drop_expired(self) -> None:
        now = self.now()
        self._entries = {key: entry for key, entry in self._entries.items() if entry.expires_at > now}
