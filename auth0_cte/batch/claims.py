"""Who sends which row, agreed on through Redis: by machines that share a batch, or by Celery workers.

A row is claimed before it is sent. Who claims it and is never heard of again has it in flight for ever: after a while
that is told as ``unknown``, and the row is not sent again by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from auth0_cte.error import CustomTokenExchangeError
from auth0_cte.foundation.redis_client import check_client, translated

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import redis

    from auth0_cte.batch.outcome import State

__all__ = ["RedisClaims", "StoppedError"]

ABANDONED_SECONDS: Final = 300
"""How long a row may be in flight by default: longer than any call with its retries takes."""

# A row is "STATE", or "in_flight OWNER SECONDS", by the clock of Redis.
_CLAIM: Final = """
local left = redis.call('PTTL', KEYS[2])
if left > 0 then return {'stopped', left} end
local now = tonumber(redis.call('TIME')[1])
local row = redis.call('HGET', KEYS[1], ARGV[1])
if row then
  local owner, since = string.match(row, '^in_flight (%S+) (%d+)$')
  if owner and owner ~= ARGV[2] then
    if now - tonumber(since) <= tonumber(ARGV[4]) then return {'in_flight', 0} end
    row = 'unknown'
    redis.call('HSET', KEYS[1], ARGV[1], row)
  end
  if not owner or row == 'unknown' then
    if row ~= 'pending' and not (row == 'unknown' and ARGV[3] == '1') then return {row, 0} end
  end
end
redis.call('HSET', KEYS[1], ARGV[1], 'in_flight ' .. ARGV[2] .. ' ' .. now)
return {'', 0}
"""
_SETTLE: Final = """
local row = redis.call('HGET', KEYS[1], ARGV[1])
local owner = row and string.match(row, '^in_flight (%S+) %d+$')
if owner and owner ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
"""


class StoppedError(CustomTokenExchangeError):
    """The batch was stopped; nothing was sent."""

    code = "BATCH_STOPPED"
    is_retryable = True


class RedisClaims:
    """The claims of one batch.

    Args:
        client: A client of redis-py (`redis.Redis` or `redis.RedisCluster`); give it time-outs.
        name: What names the batch among all who share it.
        abandoned_after: Seconds after which a row in flight is ``unknown``, because who had it must have died.
    """

    def __init__(
        self, client: redis.Redis | redis.RedisCluster, name: str, *, abandoned_after: int = ABANDONED_SECONDS
    ) -> None:
        check_client(client)
        self._client, self._abandoned_after = client, abandoned_after
        # The braces keep both keys on one node of a cluster.
        self._keys = [f"{{auth0-cte-batch:{name}}}:rows", f"{{auth0-cte-batch:{name}}}:stopped"]
        self._claim, self._settle = client.register_script(_CLAIM), client.register_script(_SETTLE)

    def claim(self, row_id: str, owner: str, *, retry_unknown: bool = False) -> State | None:
        """Claim a row for the owner.

        Args:
            row_id: The row.
            owner: Who will send it; who has it already may claim it again.
            retry_unknown: Whether to claim a row whose outcome is unknown.

        Returns:
            None when the row is the owner's; else what is known of it.

        Raises:
            StoppedError: The batch was stopped; ``retry_after`` says for how long.
            CustomTokenExchangeError: ``CLAIMS_UNAVAILABLE``: Redis cannot be used; nothing was sent.
        """
        arguments = (row_id, owner, int(retry_unknown), self._abandoned_after)
        with _translated("; nothing was sent"):
            state, left = self._claim(keys=self._keys, args=arguments)
        found = state.decode() if isinstance(state, bytes) else state
        if found == "stopped":
            raise StoppedError("the batch was stopped; nothing was sent", retry_after=int(left) / 1000)
        return _state(found) if found else None

    def settle(self, row_id: str, owner: str, state: State) -> None:
        """Note what became of a row that the owner had claimed; ``pending`` gives it back.

        Raises:
            CustomTokenExchangeError: ``CLAIMS_UNAVAILABLE``: Redis cannot be used.
        """
        with _translated():
            self._settle(keys=self._keys[:1], args=(row_id, owner, state))

    def state_of(self, row_id: str) -> State | None:
        """Return what is known of a row.

        Raises:
            CustomTokenExchangeError: ``CLAIMS_UNAVAILABLE``: Redis cannot be used.
        """
        with _translated():
            found: Any = self._client.hget(self._keys[0], row_id)
        text = found.decode() if isinstance(found, bytes) else found
        return None if text is None else _state(text.partition(" ")[0])

    def stop(self, seconds: float) -> None:
        """Stop everybody who shares the batch for some seconds.

        Raises:
            CustomTokenExchangeError: ``CLAIMS_UNAVAILABLE``: Redis cannot be used.
        """
        with _translated():
            self._client.set(self._keys[1], "1", px=max(1, int(seconds * 1000)))

    def resume(self) -> None:
        """Let everybody go on at once.

        Raises:
            CustomTokenExchangeError: ``CLAIMS_UNAVAILABLE``: Redis cannot be used.
        """
        with _translated():
            self._client.delete(self._keys[1])

    def forget(self) -> None:
        """Forget the whole batch.

        Raises:
            CustomTokenExchangeError: ``CLAIMS_UNAVAILABLE``: Redis cannot be used.
        """
        with _translated():
            self._client.delete(*self._keys)


def _state(text: Any) -> State:
    state: State = text
    return state


def _translated(then: str = "") -> AbstractContextManager[None]:
    return translated("the claims", code="CLAIMS_UNAVAILABLE", then=then)
