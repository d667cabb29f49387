"""Slots that several processes share through Redis, or anything that runs its scripts. Needs the extra ``redis``."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from auth0_cte.error import CustomTokenExchangeError
from auth0_cte.error import CustomTokenExchangeErrorCode as Code
from auth0_cte.foundation.redis_client import translated
from auth0_cte.oauth.rate_limit.bucket import Slot

if TYPE_CHECKING:
    import redis

    from auth0_cte.oauth.rate_limit.bucket import Pace

__all__ = ["RedisBucket"]

logger: Final = logging.getLogger("auth0_cte")

KEEP_MILLISECONDS: Final = 3_600_000
"""An idle bucket is forgotten an hour after its next slot."""

FURTHEST: Final = 600.0
"""Seconds; what says that the next slot is further away than any call waits is the mistake of some clock."""

# The rules of LocalBucket, by the clock of Redis, in microseconds. Each script is one atomic step.
_STATE: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local state = redis.call('HMGET', KEYS[1], 'next', 'behind', 'paused_until', 'seen')
local even, behind, paused = tonumber(state[1] or 0), tonumber(state[2] or 0), tonumber(state[3] or 0)
local back = tonumber(state[4] or now) - now
if back > 1000000 then  -- the clock was set back, or Redis moved to a machine whose clock is behind
  even, paused = even - back, paused - back
  redis.call('DEL', KEYS[2])
end
if paused > now + FURTHEST then paused = 0 end
local base = math.max(now, paused) - behind
if even > base + FURTHEST then even = base end
local function text(number) return string.format('%.0f', number) end
local function keep()
  redis.call('HSET', KEYS[1], 'next', text(even), 'behind', text(behind), 'paused_until', text(paused),
    'seen', text(now))
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
"""
_RESERVE: Final = (
    _STATE
    + """
local interval, tolerance, longest = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', '(' .. text(base))
even = math.max(even, base)
local free = redis.call('ZRANGE', KEYS[2], 0, 0)[1]
local at = free and tonumber(free) or math.max(base, even - tolerance)
local wait = at + behind - now
if wait > longest then return {text(at), text(wait), 0} end
if free then redis.call('ZREM', KEYS[2], free) else even = even + interval end
keep()
return {text(at), text(wait), 1}
"""
)
_DUE: Final = _STATE + "return text(math.max(ARGV[2] + behind, paused) - now)"
_GIVE_BACK: Final = """
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[1])
"""
_PAUSE: Final = (
    _STATE
    + """
local interval, tolerance = tonumber(ARGV[3]), tonumber(ARGV[4])
even = math.max(even, base + tolerance)
local first, ahead = base, even - tolerance - base
if ahead > 0 then first = base + ahead - interval * (math.ceil(ahead / interval - 0.000001) - 1) end
local shift = now + ARGV[2] - behind - first
if shift > 0 then
  behind = behind + shift
  paused = now + ARGV[2]
end
keep()
"""
)
_DRAIN: Final = _STATE + "even = math.max(even, base + ARGV[2]) keep()"


class RedisBucket:
    """Slots of all processes that use the same Redis and name.

    Args:
        client: A client of redis-py.
        pace: How fast slots come.
        name: What the keys are made of.
    """

    def __init__(self, client: redis.Redis | redis.RedisCluster, pace: Pace, name: str) -> None:
        self._pace = pace
        # The braces keep both keys on one node of a cluster.
        self._keys = [f"{{{name}}}:rate-limit", f"{{{name}}}:rate-limit:free"]
        scripts = {"reserve": _RESERVE, "due": _DUE, "give_back": _GIVE_BACK, "pause": _PAUSE, "drain": _DRAIN}
        furthest = str(_micro(FURTHEST + pace.tolerance + pace.interval))
        self._keep = KEEP_MILLISECONDS + int(pace.interval * 1000)
        self._scripts = {
            key: client.register_script(text.replace("FURTHEST", furthest)) for key, text in scripts.items()
        }

    def reserve(self, max_wait: float) -> Slot:
        """Take the next slot, unless it is more than ``max_wait`` seconds away."""
        arguments = (_micro(self._pace.interval), _micro(self._pace.tolerance), _micro(max_wait))
        at, wait, granted = self._run("reserve", *arguments)
        return Slot(float(at), int(wait) / 1e6, bool(granted))

    def due_in(self, slot: Slot) -> float:
        """Return the seconds until a slot."""
        return int(self._run("due", f"{slot.at:.0f}")) / 1e6

    def give_back(self, slot: Slot) -> None:
        """Let the next who asks have the slot; while Redis is down it is lost, which costs nothing but its time."""
        try:
            self._run("give_back", f"{slot.at:.0f}")
        except CustomTokenExchangeError as error:
            logger.warning("a slot of the shared rate limit could not be given back: %s", error.message)

    def pause(self, seconds: float) -> None:
        """Stop the bucket's clock."""
        self._run("pause", _micro(seconds), _micro(self._pace.interval), _micro(self._pace.tolerance))

    def drain(self, remaining: int, age: float) -> None:
        """Forget slots saved up."""
        self._run("drain", _micro((self._pace.burst - remaining) * self._pace.interval - age))

    def _run(self, script: str, *arguments: Any) -> Any:
        with translated("the rate limit", Code.RATE_LIMIT_UNAVAILABLE, "; nothing was sent"):
            return self._scripts[script](keys=self._keys, args=(self._keep, *arguments))


def _micro(seconds: float) -> int:
    return int(seconds * 1_000_000)
