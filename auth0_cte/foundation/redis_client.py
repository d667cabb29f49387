"""What everything that uses Redis shares: which clients it takes, keys that stay on one node, and errors of our own."""

from __future__ import annotations

import inspect
import logging
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from auth0_cte.error import ConfigurationError, CustomTokenExchangeError
from auth0_cte.foundation.extras import extra
from auth0_cte.foundation.validation import check_positive

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

__all__ = ["check_client", "client_from_url", "failures", "prefix_for", "translated"]

logger: Final = logging.getLogger("auth0_cte")

# As Redis finds it: between the first opening brace and the first closing one behind it, if there is anything.
_HASH_TAG: Final = re.compile(r"[^{]*\{[^}]+\}")


def failures() -> tuple[type[Exception], ...]:
    """Return what redis-py raises: the errors of a cluster are not those of a single Redis."""
    from redis.exceptions import RedisClusterException, RedisError

    return RedisError, RedisClusterException


@contextmanager
def translated(what: str, code: str, then: str = "") -> Iterator[None]:
    """Translate redis-py's errors, without its frames.

    Args:
        what: What is kept in Redis, for the message.
        code: The code of the error.
        then: What follows from it, for the message: ``"; nothing was sent"``.

    Raises:
        CustomTokenExchangeError: Redis cannot be used; retryable.
    """
    try:
        yield
    except failures() as error:
        message = f"{what} (Redis) cannot be used: {type(error).__name__}{then}"
        raise CustomTokenExchangeError(message, code=code, is_retryable=True) from error.with_traceback(None)


def check_client(client: Any) -> None:
    """Refuse what is not a synchronous client of redis-py, and warn of one that may wait for ever.

    Raises:
        ConfigurationError: It is a URL, a class, or an asynchronous client, for example.
    """
    kinds = (client if isinstance(client, type) else type(client)).__mro__
    others = any(".asyncio" in kind.__module__ or kind.__name__.endswith("Pipeline") for kind in kinds)
    if isinstance(client, type) or others or not callable(getattr(client, "register_script", None)):
        raise ConfigurationError(
            f"client must be a redis.Redis or redis.RedisCluster, not {'the class' if client is kinds[0] else 'a'} "
            f"{kinds[0].__module__}.{kinds[0].__qualname__}; for a URL use from_url(...)"
        )
    if client.get_connection_kwargs().get("socket_timeout", _default_timeout()) is None:
        logger.warning("the Redis client has no socket_timeout: a Redis that hangs will make requests hang")


def _default_timeout() -> float | None:
    from redis.connection import AbstractConnection

    seconds: float | None = inspect.signature(AbstractConnection).parameters["socket_timeout"].default
    return seconds  # None before redis-py 8


def prefix_for(client: Any, prefix: str) -> str:
    """Return a prefix of keys for a client.

    What belongs together must be on one node of a cluster, which it is when the prefix has a hash tag (a part in
    braces). One that has none is put into braces.

    Raises:
        ConfigurationError: The prefix is not a string, or cannot be put into braces.
    """
    if not isinstance(prefix, str):
        raise ConfigurationError(f"prefix must be a string, not a {type(prefix).__name__}")
    in_cluster = any(kind.__name__ == "RedisCluster" for kind in type(client).__mro__)
    if not in_cluster or _HASH_TAG.match(prefix):
        return prefix
    tagged = f"{{{prefix}}}"
    if not _HASH_TAG.match(tagged):
        raise ConfigurationError("in a cluster, prefix must be a name such as auth0-cte")
    return tagged


def client_from_url(url: str, *, timeout: float, pool_size: int) -> redis.Redis:
    """Make a client of redis-py that gives up after ``timeout`` seconds; ten times that for a connection to be free.

    Raises:
        ConfigurationError: It is not the URL of a Redis, or a number is out of range.
    """
    check_positive("timeout", timeout)
    check_positive("pool_size", pool_size)
    with extra("redis", "from_url()"):
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

    # One retry replaces a connection that Redis has closed; more would keep users waiting while it is down.
    # A pool that waits for a free connection: redis-py's default refuses from the hundred-and-first thread on.
    try:
        pool = redis.BlockingConnectionPool.from_url(
            url if isinstance(url, str) else "",
            max_connections=pool_size,
            timeout=10 * timeout,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        )
    except ValueError:
        # Without the cause, which shows parts of the URL: a password may have characters that end a host.
        message = "a Redis URL must look like redis://localhost:6379/0, rediss://… or unix://…"
        raise ConfigurationError(message) from None
    return redis.Redis.from_pool(pool)
