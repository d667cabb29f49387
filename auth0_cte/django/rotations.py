"""Rotations of refresh tokens in one of Django's caches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auth0_cte.django.cache import SharedCache

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

__all__ = ["DjangoCacheRotations"]


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
