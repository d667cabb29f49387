"""Rotations of refresh tokens in Redis. Needs the extra ``redis``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from auth0_cte.foundation.redis_client import check_client, client_from_url, prefix_for
from auth0_cte.session.stores.redis_locks import RedisLocks, milliseconds, text, translated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    import redis

__all__ = ["RedisRotations"]


class RedisRotations:
    """Keeps rotations of refresh tokens in Redis: for sessions in cookies and several processes or machines.

    Args:
        client: A client of redis-py (`redis.Redis` or `redis.RedisCluster`). Give it time-outs.
        prefix: What all keys begin with; for a cluster, braces are added where it has none.

    Raises:
        ConfigurationError: ``client`` is something else: a URL or an asynchronous client, for example.
    """

    def __init__(self, client: redis.Redis | redis.RedisCluster, *, prefix: str = "{auth0-cte}") -> None:
        check_client(client)
        self._prefix = prefix_for(client, prefix)
        self._client: Any = client
        self._locks = RedisLocks(client, f"{self._prefix}:rotations")

    @classmethod
    def from_url(cls, url: str, *, prefix: str = "{auth0-cte}", timeout: float = 1.0, pool_size: int = 100) -> Self:
        """Make the rotations of a URL, with a client that gives up after ``timeout`` seconds.

        Args:
            url: ``redis://host:port/db``, as redis-py takes it.
            prefix: What all keys begin with.
            timeout: For connecting, and for each answer, in seconds.
            pool_size: Connections at most; threads beyond wait for a free one, ten times ``timeout`` at most.
        """
        return cls(client_from_url(url, timeout=timeout, pool_size=pool_size), prefix=prefix)

    def close(self) -> None:
        """Close the connections of the client; a later call opens new ones."""
        self._client.close()

    def check(self) -> None:
        """Ask Redis whether it is there."""
        with translated():
            self._client.ping()

    def get(self, names: Sequence[str]) -> Mapping[str, str]:
        """Return those entries that have not expired."""
        with translated():
            found = self._client.mget([self._key(name) for name in names])
        return {name: text(value) for name, value in zip(names, found, strict=True) if value is not None}

    def put(self, name: str, value: str, ttl: float) -> None:
        """Keep an entry."""
        with translated():
            self._client.set(self._key(name), value, px=milliseconds(ttl))

    def lock(self, name: str, timeout: float) -> AbstractContextManager[None]:
        """Keep other processes out, by a key that expires should this one die."""
        return self._locks.hold(name, timeout)

    def _key(self, name: str) -> str:
        return f"{self._prefix}:rotations:{name}"
