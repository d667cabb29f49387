"""Sessions in Redis, or in anything that speaks its protocol and runs its scripts. Needs the extra ``redis``."""

from __future__ import annotations

import logging
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Self

from auth0_cte.error import SessionError
from auth0_cte.session.stores.contract import LOCK_SECONDS, Record, file_name, wait_for_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

    from auth0_cte.session.stores.contract import Owner

__all__ = ["RedisStateStore", "client_from_url"]

logger: Final = logging.getLogger("auth0_cte")

# Each script is one atomic step. An index is a sorted set of record names by the time that they expire.
_INDEX: Final = """
local function now() local t = redis.call('TIME') return t[1] * 1000 + math.floor(t[2] / 1000) end
local function index(key, name, ttl)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now())
  redis.call('ZADD', key, now() + ttl, name)
  if redis.call('PTTL', key) < ttl then redis.call('PEXPIRE', key, ttl) end
end
local function forget(record, name)
  local owner = redis.call('HMGET', record, 'sid', 'sub')
  for _, key in ipairs(owner) do if key then redis.call('ZREM', key, name) end end
  return redis.call('DEL', record)
end
"""
_CREATE: Final = (
    _INDEX
    + """
redis.call('HSET', KEYS[1], 'data', ARGV[1], 'version', 0, 'sid', KEYS[2], 'sub', KEYS[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
index(KEYS[2], ARGV[3], tonumber(ARGV[2]))
index(KEYS[3], ARGV[3], tonumber(ARGV[2]))
"""
)
_REPLACE: Final = """
local found = redis.call('HMGET', KEYS[1], 'version', 'data')
if found[2] == ARGV[1] then return 1 end
if found[1] ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'data', ARGV[1], 'version', ARGV[2] + 1)
return 1
"""
_TOUCH: Final = (
    _INDEX
    + """
local owner = redis.call('HMGET', KEYS[1], 'sid', 'sub')
if not owner[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
for _, key in ipairs(owner) do index(key, ARGV[2], tonumber(ARGV[1])) end
return 1
"""
)
_DELETE: Final = _INDEX + "return forget(KEYS[1], ARGV[1])"
_DELETE_BY_OWNER: Final = (
    _INDEX
    + """
local count = 0
for _, name in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do count = count + forget(ARGV[1] .. name, name) end
redis.call('DEL', KEYS[1])
return count
"""
)
# A command that was sent again, because its answer got lost, finds its own token.
_ACQUIRE: Final = """
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
return redis.call('GET', KEYS[1]) == ARGV[1] and 1 or 0
"""
_RELEASE: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class RedisStateStore:
    """Keeps sessions in Redis: for several processes and machines, and for back-channel logout.

    Records expire by themselves. All names begin with ``prefix``; its braces keep them on one node of a cluster.

    Args:
        client: A client of redis-py. Give it time-outs: without, a Redis that hangs makes requests hang.
        prefix: What all keys begin with.
    """

    stateless = False

    def __init__(self, client: redis.Redis, *, prefix: str = "{auth0-cte}") -> None:
        self._client: Any = client
        self._prefix = prefix
        self._scripts = {
            name: client.register_script(text)
            for name, text in {
                "create": _CREATE,
                "replace": _REPLACE,
                "touch": _TOUCH,
                "delete": _DELETE,
                "delete_by_owner": _DELETE_BY_OWNER,
                "acquire": _ACQUIRE,
                "release": _RELEASE,
            }.items()
        }
        if client.get_connection_kwargs().get("socket_timeout") is None:
            logger.warning("the Redis client has no socket_timeout: a Redis that hangs will make requests hang")

    @classmethod
    def from_url(cls, url: str, *, prefix: str = "{auth0-cte}", timeout: float = 1.0, pool_size: int = 100) -> Self:
        """Make the store of a URL, with a client that gives up after ``timeout`` seconds.

        Args:
            url: ``redis://host:port/db``, as redis-py takes it.
            prefix: What all keys begin with.
            timeout: For connecting, and for each answer, in seconds.
            pool_size: Connections at most; threads beyond wait for a free one, ten times ``timeout`` at most.
        """
        return cls(client_from_url(url, timeout=timeout, pool_size=pool_size), prefix=prefix)

    def check(self) -> None:
        """Ask Redis whether it is there."""
        with _translated():
            self._client.ping()

    def create(self, session_id: str, data: str, owner: Owner, ttl: float) -> str:
        """Keep a new session, and index it."""
        name = file_name(session_id)
        keys = [self._record(name), self._index("sid", owner.issuer, owner.sid)]
        keys.append(self._index("sub", owner.issuer, owner.sub))
        self._run("create", keys, data, _milliseconds(ttl), name)
        return session_id

    def get(self, cookie: str) -> Record | None:
        """Return a record that has not expired."""
        with _translated():
            data, version = self._client.hmget(self._record(file_name(cookie)), "data", "version")
        return None if data is None else Record(_text(data), int(version))

    def replace(self, cookie: str, data: str, version: int) -> str | None:
        """Replace a record of that version."""
        replaced = self._run("replace", [self._record(file_name(cookie))], data, version)
        return cookie if replaced else None

    def touch(self, cookie: str, ttl: float) -> None:
        """Move the end of a record, and of its places in the indices."""
        name = file_name(cookie)
        self._run("touch", [self._record(name)], _milliseconds(ttl), name)

    def delete(self, cookie: str) -> None:
        """Forget a record, and its places in the indices."""
        name = file_name(cookie)
        self._run("delete", [self._record(name)], name)

    def delete_by_owner(self, issuer: str, *, sid: str | None, sub: str | None) -> int:
        """Forget an issuer's sessions by ``sid``, or by ``sub``."""
        index = self._index("sub", issuer, sub or "") if sid is None else self._index("sid", issuer, sid)
        return int(self._run("delete_by_owner", [index], self._record("")))

    @contextmanager
    def lock(self, cookie: str, timeout: float) -> Iterator[None]:
        """Keep other processes out, by a key that expires should this one die."""
        key, token = f"{self._prefix}:lock:{file_name(cookie)}", secrets.token_hex(16)
        wait_for_lock(lambda: self._try_lock(key, token, max(LOCK_SECONDS, 2 * timeout)), timeout)
        try:
            yield
        finally:
            self._run("release", [key], token)

    def _try_lock(self, key: str, token: str, seconds: float) -> bool:
        return bool(self._run("acquire", [key], token, _milliseconds(seconds)))

    def _run(self, script: str, keys: list[str], *arguments: Any) -> Any:
        with _translated():
            return self._scripts[script](keys=keys, args=arguments)

    def _record(self, name: str) -> str:
        return f"{self._prefix}:session:{name}"

    def _index(self, kind: str, issuer: str, value: str) -> str:
        # Hashed: names of users have no place in a key.
        return f"{self._prefix}:{kind}:{file_name(f'{issuer} {value}')}"


def client_from_url(url: str, *, timeout: float, pool_size: int) -> redis.Redis:
    """Make a client of redis-py that gives up after ``timeout`` seconds; ten times that for a connection to be free."""
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


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))


def _text(value: bytes | str) -> str:
    return value.decode("ascii") if isinstance(value, bytes) else value


@contextmanager
def _translated() -> Iterator[None]:
    from redis.exceptions import RedisError

    try:
        yield
    except RedisError as error:
        raise SessionError(
            f"the session store (Redis) cannot be used: {type(error).__name__}", code="STORE_UNAVAILABLE"
        ) from error.with_traceback(None)
