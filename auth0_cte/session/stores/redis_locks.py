"""What everything that keeps sessions in Redis shares: locks, and errors of our own."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from auth0_cte.foundation.redis_client import failures
from auth0_cte.session.stores.contract import LOCK_SECONDS, held, unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

__all__ = ["RedisLocks", "milliseconds", "text", "translated"]

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


def milliseconds(seconds: float) -> int:
    """Convert seconds to the whole milliseconds that Redis takes, at least one."""
    return max(1, int(seconds * 1000))


def text(value: bytes | str) -> str:
    """Return what Redis answered as text; a client may decode by itself."""
    return value.decode("ascii") if isinstance(value, bytes) else value


@contextmanager
def translated() -> Iterator[None]:
    """Turn the errors of redis-py into a `SessionError`."""
    try:
        yield
    except failures() as error:
        failure = unavailable("the session store (Redis)", error)
    else:
        return
    raise failure
