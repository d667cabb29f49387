"""What everything that keeps sessions in Redis shares: a client with time-outs, locks, and errors of our own."""

from __future__ import annotations

import logging
import re
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from auth0_cte.foundation import redis_errors
from auth0_cte.foundation.extras import extra
from auth0_cte.session.stores.contract import LOCK_SECONDS, held, unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

__all__ = ["RedisLocks", "check_client", "client_from_url", "milliseconds", "text", "translated"]

logger: Final = logging.getLogger("auth0_cte")

# A command that was sent again, because its answer got lost, finds its own token.
_ACQUIRE: Final = """
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
return redis.call('GET', KEYS[1]) == ARGV[1] and 1 or 0
"""
_RELEASE: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class RedisLocks:
    """Locks that expire should their holder die.

    Args:
        client: A client of redis-py.
        prefix: What their keys begin with.
    """

    def __init__(self, client: redis.Redis | redis.RedisCluster, prefix: str) -> None:
        self._prefix = prefix
        self._acquire: Any = client.register_script(_ACQUIRE)
        self._release: Any = client.register_script(_RELEASE)

    @contextmanager
    def hold(self, name: str, timeout: float) -> Iterator[None]:
        """Hold the lock of a name; wait ``timeout`` seconds for it at most."""
        key, token = f"{self._prefix}:lock:{name}", secrets.token_hex(16)
        seconds = milliseconds(max(LOCK_SECONDS, 2 * timeout))
        with held(lambda: bool(self._run(self._acquire, key, token, seconds)), lambda: self._free(key, token), timeout):
            yield

    def _free(self, key: str, token: str) -> None:
        self._run(self._release, key, token)

    def _run(self, script: Any, key: str, *arguments: Any) -> Any:
        with translated():
            return script(keys=[key], args=arguments)


def check_client(client: Any, prefix: str) -> str:
    """Refuse what is not a synchronous client of redis-py, and return the prefix for it.

    A cluster keeps all keys of a session on one node only when the prefix has braces, which are added.

    Raises:
        ConfigurationError: It is a URL, a class, or an asynchronous client, for example.
    """
    redis_errors.check_client(client)
    if client.get_connection_kwargs().get("socket_timeout") is None:
        logger.warning("the Redis client has no socket_timeout: a Redis that hangs will make requests hang")
    in_cluster = any(kind.__name__ == "RedisCluster" for kind in type(client).__mro__)
    return f"{{{prefix}}}" if in_cluster and re.search(r"\{[^}]+\}", prefix) is None else prefix


def client_from_url(url: str, *, timeout: float, pool_size: int) -> redis.Redis:
    """Make a client of redis-py that gives up after ``timeout`` seconds; ten times that for a connection to be free."""
    with extra("redis", "from_url()"):
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

    # One retry replaces a connection that Redis has closed; more would keep users waiting while it is down.
    # A pool that waits for a free connection: redis-py's default refuses from the hundred-and-first thread on.
    pool = redis.BlockingConnectionPool.from_url(
        url,
        max_connections=pool_size,
        timeout=10 * timeout,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
    )
    return redis.Redis.from_pool(pool)


def milliseconds(seconds: float) -> int:
    """Convert seconds to the whole milliseconds that Redis takes, at least one."""
    return max(1, int(seconds * 1000))


def text(value: bytes | str) -> str:
    """Return what Redis answered as text; a client may decode by itself."""
    return value.decode("ascii") if isinstance(value, bytes) else value


@contextmanager
def translated() -> Iterator[None]:
    """Turn the errors of redis-py into a `SessionError`."""
    from redis.exceptions import RedisClusterException, RedisError

    try:
        yield
    except (RedisError, RedisClusterException) as error:
        failure = unavailable("the session store (Redis)", error)
    else:
        return
    raise failure
