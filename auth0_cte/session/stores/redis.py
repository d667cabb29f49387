"""Sessions in Redis, or in anything that speaks its protocol and runs its scripts. Needs the extra ``redis``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

from auth0_cte.foundation.redis_client import check_client, client_from_url, prefix_for
from auth0_cte.session.stores.contract import Record, file_name
from auth0_cte.session.stores.redis_locks import RedisLocks, milliseconds, text, translated

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import redis

    from auth0_cte.session.stores.contract import Owner

__all__ = ["RedisStateStore"]

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
redis.call('HSET', KEYS[1], 'data', ARGV[1], 'version', 0, 'sid', KEYS[2], 'sub', KEYS[3], 'since', ARGV[4])
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
for _, name in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local since = redis.call('HGET', ARGV[1] .. name, 'since')
  if not since then
    redis.call('ZREM', KEYS[1], name)
  elseif ARGV[2] == '' or tonumber(since) <= tonumber(ARGV[2]) then
    count = count + forget(ARGV[1] .. name, name)
  end
end
return count
"""
)
_FIND_BY_OWNER: Final = """
local found = {}
for _, name in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local record = redis.call('HMGET', ARGV[1] .. name, 'since', 'data')
  if record[1] and (ARGV[2] == '' or tonumber(record[1]) <= tonumber(ARGV[2])) then
    table.insert(found, record[2])
  end
end
return found
"""


class RedisStateStore:
    """Keeps sessions in Redis: for several processes and machines, and for back-channel logout.

    Records expire by themselves. All names begin with ``prefix``; its braces keep them on one node of a cluster.

    Args:
        client: A client of redis-py (`redis.Redis` or `redis.RedisCluster`). Give it time-outs: without, a Redis that
            hangs makes requests hang.
        prefix: What all keys begin with; for a cluster, braces are added where it has none.
        script: Whether calls without ``store_options`` share one session, as a script's do; never in a server.

    Raises:
        ConfigurationError: ``client`` is something else: a URL or an asynchronous client, for example.
    """

    stateless = False

    def __init__(
        self, client: redis.Redis | redis.RedisCluster, *, prefix: str = "{auth0-cte}", script: bool = False
    ) -> None:
        check_client(client)
        self._prefix = prefix_for(client, prefix)
        self._client: Any = client
        self.script: bool = script
        self._locks = RedisLocks(client, self._prefix)
        self._scripts = {
            name: client.register_script(source)
            for name, source in {
                "create": _CREATE,
                "replace": _REPLACE,
                "touch": _TOUCH,
                "delete": _DELETE,
                "delete_by_owner": _DELETE_BY_OWNER,
                "find_by_owner": _FIND_BY_OWNER,
            }.items()
        }

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        prefix: str = "{auth0-cte}",
        timeout: float = 1.0,
        pool_size: int = 100,
        script: bool = False,
    ) -> Self:
        """Make the store of a URL, with a client that gives up after ``timeout`` seconds.

        Args:
            url: ``redis://host:port/db``, as redis-py takes it.
            prefix: What all keys begin with.
            script: Whether calls without ``store_options`` share one session.
            timeout: For connecting, and for each answer, in seconds.
            pool_size: Connections at most; threads beyond wait for a free one, ten times ``timeout`` at most.
        """
        return cls(client_from_url(url, timeout=timeout, pool_size=pool_size), prefix=prefix, script=script)

    def close(self) -> None:
        """Close the connections of the client; a later call opens new ones."""
        self._client.close()

    def check(self) -> None:
        """Ask Redis whether it is there."""
        with translated():
            self._client.ping()

    def create(self, session_id: str, data: str, owner: Owner, ttl: float) -> str:
        """Keep a new session, and index it."""
        name = file_name(session_id)
        keys = [self._record(name), self._index("sid", owner.issuer, owner.sid)]
        keys.append(self._index("sub", owner.issuer, owner.sub))
        self._run("create", keys, data, milliseconds(ttl), name, owner.since)
        return session_id

    def get(self, cookie: str) -> Record | None:
        """Return a record that has not expired."""
        with translated():
            data, version = self._client.hmget(self._record(file_name(cookie)), "data", "version")
        return None if data is None else Record(text(data), int(version))

    def replace(self, cookie: str, data: str, version: int) -> str | None:
        """Replace a record of that version."""
        replaced = self._run("replace", [self._record(file_name(cookie))], data, version)
        return cookie if replaced else None

    def touch(self, cookie: str, ttl: float) -> None:
        """Move the end of a record, and of its places in the indices."""
        name = file_name(cookie)
        self._run("touch", [self._record(name)], milliseconds(ttl), name)

    def delete(self, cookie: str) -> None:
        """Forget a record, and its places in the indices."""
        name = file_name(cookie)
        self._run("delete", [self._record(name)], name)

    def delete_by_owner(self, issuer: str, *, sid: str | None, sub: str | None, until: float | None = None) -> int:
        """Forget an issuer's sessions by ``sid``, or by ``sub``."""
        index = self._index("sub", issuer, sub or "") if sid is None else self._index("sid", issuer, sid)
        return int(self._run("delete_by_owner", [index], self._record(""), "" if until is None else until))

    def find_by_owner(self, issuer: str, *, sid: str | None, sub: str | None, until: float | None = None) -> list[str]:
        """Return an issuer's sessions by ``sid``, or by ``sub``."""
        index = self._index("sub", issuer, sub or "") if sid is None else self._index("sid", issuer, sid)
        found = self._run("find_by_owner", [index], self._record(""), "" if until is None else until)
        return [text(data) for data in found]

    def lock(self, cookie: str, timeout: float) -> AbstractContextManager[None]:
        """Keep other processes out, by a key that expires should this one die."""
        return self._locks.hold(file_name(cookie), timeout)

    def _run(self, script: str, keys: list[str], *arguments: Any) -> Any:
        with translated():
            return self._scripts[script](keys=keys, args=arguments)

    def _record(self, name: str) -> str:
        return f"{self._prefix}:session:{name}"

    def _index(self, kind: str, issuer: str, value: str) -> str:
        # Hashed: names of users have no place in a key.
        return f"{self._prefix}:{kind}:{file_name(f'{issuer} {value}')}"
