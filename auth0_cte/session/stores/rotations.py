"""Rotations of refresh tokens in the memory of one process."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from auth0_cte.foundation.concurrency import KeyedLocks
from auth0_cte.foundation.ttl_cache import TTLCache
from auth0_cte.foundation.validation import check_number
from auth0_cte.session.stores.contract import held_in_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

__all__ = ["MemoryRotations"]


class MemoryRotations:
    """Keeps rotations of refresh tokens in this process: for servers of one process, scripts and tests.

    Several processes need `RedisRotations`, `SQLRotations` or `DjangoCacheRotations`: without, two of them may send the
    same refresh token, for which Auth0 revokes all of its family.

    Args:
        maxsize: The most entries; the least recently used goes first.
        monotonic: A clock that never jumps, in seconds; injectable.
    """

    def __init__(self, maxsize: int = 100_000, monotonic: Callable[[], float] = time.monotonic) -> None:
        check_number("maxsize", maxsize, at_least=1, whole=True)
        self._entries: TTLCache[str, str] = TTLCache(maxsize=maxsize, monotonic=monotonic)
        self._locks = KeyedLocks()

    def __len__(self) -> int:
        return len(self._entries)

    def check(self) -> None:
        """Do nothing: memory is there."""

    def get(self, names: Sequence[str]) -> Mapping[str, str]:
        """Return those entries that have not expired."""
        found = {name: self._entries.get(name) for name in names}
        return {name: value for name, value in found.items() if value is not None}

    def put(self, name: str, value: str, ttl: float) -> None:
        """Keep an entry."""
        self._entries.set(name, value, ttl=ttl)

    def lock(self, name: str, timeout: float) -> AbstractContextManager[None]:
        """Keep other threads out."""
        return held_in_memory(self._locks, name, timeout)
