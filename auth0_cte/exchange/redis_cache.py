"""Reuse of exchanged tokens among processes, through Redis. Needs the extra ``redis``."""

from __future__ import annotations

import hashlib
import hmac
import logging
import random
import re
import secrets
from typing import TYPE_CHECKING, Any, Final, Self

from attrs import fields, frozen

from auth0_cte.auth_types import TokenExchangeResponse
from auth0_cte.error import ConfigurationError, CustomTokenExchangeError
from auth0_cte.error import CustomTokenExchangeErrorCode as Code
from auth0_cte.exchange.cache import (
    SKEW,
    Flights,
    as_reused,
    check_seconds,
    detached,
    is_shareable,
    seconds_to_keep,
    share,
    waited_too_long,
)
from auth0_cte.foundation.concurrency import SingleFlight
from auth0_cte.foundation.deadline import nap
from auth0_cte.foundation.redis_client import check_client, client_from_url, prefix_for, translated
from auth0_cte.foundation.validation import check_secrets
from auth0_cte.jose import JoseError, Sealer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import redis

    from auth0_cte.exchange.cache_key import ExchangeRequest
    from auth0_cte.foundation.deadline import Deadline

__all__ = ["RedisExchangeCache"]

logger: Final = logging.getLogger("auth0_cte")

_NAME: Final = ("the cache of exchanged tokens", Code.EXCHANGE_CACHE_UNAVAILABLE)

POLL_SECONDS: Final = 0.02
LONGEST_POLL_SECONDS: Final = 0.2
LOCK_MARGIN_SECONDS: Final = 1.0
MAX_SEALED_LENGTH: Final = 64 * 1024  # what a sealer opens
SEALED_UNDER: Final = "auth0-cte exchange cache"
NAMED_UNDER: Final = b"auth0-cte exchange cache: names"
FOUND: Final = 1
ALONE: Final = 2
DERIVED: Final = frozenset({"act", "act_error", "id_token_error", "from_cache"})
"""Attributes of a response that are made anew."""
KEPT: Final = frozenset(each.name for each in fields(TokenExchangeResponse)) - DERIVED

# An entry is "<hash of the access token>:<sealed response>". KEYS: the lock, then where the response may be, the newest
# secret first. ARGV: the lock's token, its milliseconds, then entries that are known to be of no use.
_LOOK: Final = """
for number = 2, #KEYS do
  local entry = redis.pcall('GET', KEYS[number])
  if type(entry) == 'string' and not string.find(entry, '[^%w:._-]') then
    local useless = false
    for other = 3, #ARGV do useless = useless or ARGV[other] == entry end
    if not useless then return {1, entry, number} end
  end
end
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return {2} end
return {redis.call('GET', KEYS[1]) == ARGV[1] and 2 or 0}
"""
# KEYS: the lock, the entry, the index. ARGV: the lock's token, then nothing, or the entry, its name, its milliseconds.
# Who has lost the lock since, to another process or to a clear(), has nothing to say any more.
_FINISH: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if #ARGV > 1 then
  redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[4])
  redis.call('SADD', KEYS[3], ARGV[3])
  if redis.call('PTTL', KEYS[3]) < tonumber(ARGV[4]) then redis.call('PEXPIRE', KEYS[3], ARGV[4]) end
end
return redis.call('DEL', KEYS[1])
"""
# KEYS: the index. ARGV: the hash of the access token, what the keys of entries begin with.
_FORGET: Final = """
local count = 0
for _, name in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local entry = redis.pcall('GET', ARGV[2] .. name)
  if type(entry) == 'string' and string.sub(entry, 1, #ARGV[1] + 1) == ARGV[1] .. ':' then
    count = count + redis.call('DEL', ARGV[2] .. name)
  end
end
redis.call('DEL', KEYS[1])
return count
"""


@frozen(eq=False, repr=False)
class _Call:
    """One call: the names that its request is filed under, the newest secret's first, and how it is made."""

    names: Sequence[str]
    exchange: Callable[[], TokenExchangeResponse]
    now: Callable[[], float]
    deadline: Deadline
    token: str
    ends_at: float | None


class RedisExchangeCache:
    """Keeps exchanged tokens in Redis, for several processes and machines; an `ExchangeCache` for the rest of it.

    However many processes want the same at the same time, one exchanges, and the others wait for what it brings. Should
    it die, another one takes over when its lock has expired: no later than the deadline of the call that died, and a
    second. When its exchange fails, each of the others makes its own attempt, one after another.

    Responses are sealed with a key of ``secret``, each under its own name, so that others who write to Redis cannot
    read them or pass one off as another: what does not open is not used. Names are keyed hashes. Entries expire by
    themselves. Redis should not evict what has not expired (``maxmemory-policy noeviction``) if tokens are single-use.

    Args:
        client: A client of redis-py (`redis.Redis` or `redis.RedisCluster`). Give it time-outs: without, a Redis that
            hangs makes exchanges hang.
        secret: At least 32 bytes of randomness, shared by all processes; or several, of which the first seals and all
            open. It may be the ``secret`` of the sessions.
        prefix: What all keys begin with; for a cluster, braces are added where it has none.
        skew: How many seconds before it expires a token is not handed out any more. Clocks of machines that share the
            cache may differ by that.
        max_age: For how many seconds a response is reused at most; as long as it lives when None.
        fail_open: What to do while Redis cannot be used. False: refuse the exchange, with nothing sent, because without
            the cache every call would exchange, and the tenant's limit of a few a second would refuse most of them.
            True: exchange, with a warning in the log; the threads of each process go on sharing their exchanges.
        clock: The time in Unix seconds; the client's own when None.

    Raises:
        ConfigurationError: An argument is missing or out of range.
    """

    def __init__(
        self,
        client: redis.Redis | redis.RedisCluster,
        *,
        secret: str | Sequence[str],
        prefix: str = "{auth0-cte}",
        skew: float = SKEW,
        max_age: float | None = None,
        fail_open: bool = False,
        clock: Callable[[], float] | None = None,
    ) -> None:
        check_client(client)
        self._secrets = check_secrets(secret)
        if not self._secrets:
            raise ConfigurationError("the cache needs a secret; generate one with: openssl rand -hex 32")
        self._hash_keys = [hmac.digest(each.encode(), NAMED_UNDER, "sha256") for each in self._secrets]
        self._skew = check_seconds("skew", skew)
        self._max_age = None if max_age is None else check_seconds("max_age", max_age)
        self._client: Any = client
        self._prefix, self._fail_open, self._clock = prefix_for(client, prefix), fail_open, clock
        self._sealer = Sealer(self._secrets, SEALED_UNDER)
        self._flights: Flights = SingleFlight()
        scripts = {"look": _LOOK, "finish": _FINISH, "forget": _FORGET}
        self._scripts = {name: client.register_script(text) for name, text in scripts.items()}

    @classmethod
    def from_url(cls, url: str, *, timeout: float = 1.0, pool_size: int = 100, **options: Any) -> Self:
        """Make the cache of a URL, with a client that gives up after ``timeout`` seconds.

        Args:
            url: ``redis://host:port/db``, as redis-py takes it.
            timeout: For connecting, and for each answer, in seconds.
            pool_size: Connections at most; threads beyond wait for a free one, ten times ``timeout`` at most.
            **options: The constructor's other arguments, ``secret`` above all.
        """
        return cls(client_from_url(url, timeout=timeout, pool_size=pool_size), **options)

    def __repr__(self) -> str:
        return f"RedisExchangeCache(prefix={self._prefix!r})"

    @property
    def waiting(self) -> int:
        """How many calls wait for the exchange of another one in this process at this moment."""
        return self._flights.waiting

    def close(self) -> None:
        """Close the connections of the client; a later call opens new ones."""
        self._client.close()

    def fetch(
        self,
        request: ExchangeRequest,
        exchange: Callable[[], TokenExchangeResponse],
        clock: Callable[[], float],
        deadline: Deadline,
    ) -> TokenExchangeResponse:
        """Return what is kept of a request, or exchange: once for all processes that ask at the same time."""
        names = [request.name(key) for key in self._hash_keys]
        call = _Call(names, exchange, self._clock or clock, deadline, secrets.token_hex(16), request.ends_at)
        (response, found), led = share(self._flights, names[0], lambda: self._find_or_exchange(call), deadline)
        if found or not led:
            return as_reused(response, call.now()) if is_shareable(response) else exchange()
        return detached(response)

    def forget(self, access_token: str) -> bool:
        """Forget what has this access token, for all processes.

        Raises:
            CustomTokenExchangeError: ``EXCHANGE_CACHE_UNAVAILABLE``, unless ``fail_open``.
        """
        try:
            return sum(self._forget(_hash(key, access_token)) for key in self._hash_keys) > 0
        except CustomTokenExchangeError as error:
            self._tolerate(error)
            return False

    def clear(self) -> None:
        """Forget everything, exchanges under way included, for all processes.

        Raises:
            CustomTokenExchangeError: ``EXCHANGE_CACHE_UNAVAILABLE``, unless ``fail_open``.
        """
        try:
            with translated(*_NAME):
                # The locks first: whoever has lost his keeps nothing any more.
                for kind in ("exchange-lock", "exchange-token", "exchange"):
                    self._delete(self._key(kind, "*"))
        except CustomTokenExchangeError as error:
            self._tolerate(error)

    def _delete(self, pattern: str) -> None:
        escaped = re.sub(r"([\\*?[\]])", r"\\\1", pattern[:-1]) + "*"
        for key in self._client.scan_iter(match=escaped, count=1000):
            self._client.delete(key)

    def _forget(self, token: str) -> int:
        return int(self._run("forget", [self._key("exchange-token", token)], token, self._key("exchange", "")))

    def _find_or_exchange(self, call: _Call) -> tuple[TokenExchangeResponse, bool]:
        try:
            found = self._find(call)
        except CustomTokenExchangeError as error:
            self._tolerate(error)
            return detached(call.exchange()), False
        return (found, True) if found is not None else (self._exchange(call), False)

    def _find(self, call: _Call) -> TokenExchangeResponse | None:
        """Return what is kept; None when the lock is ours, and with it the exchange."""
        keys = [self._key("exchange-lock", call.names[0]), *[self._key("exchange", name) for name in call.names]]
        useless, pause = list[str](), POLL_SECONDS
        while (left := call.deadline.remaining()) > 0:
            lock = _milliseconds(left + LOCK_MARGIN_SECONDS)
            state, *rest = self._run("look", keys, call.token, lock, *useless)
            if state == ALONE:
                return None
            if state == FOUND:
                entry, number = _text(rest[0]), int(rest[1]) - 2
                response = self._open(entry, call, number)
                if response is not None:
                    return response
                useless.append(entry)
                continue
            nap(min(left, pause * random.uniform(0.5, 1)))  # noqa: S311 - it keeps a herd apart, and no secret
            pause = min(2 * pause, LONGEST_POLL_SECONDS)
        raise waited_too_long()

    def _exchange(self, call: _Call) -> TokenExchangeResponse:
        entry: list[Any] = []
        keys = [self._key("exchange-lock", call.names[0])]
        try:
            response = detached(call.exchange())
            seconds = self._seconds_to_keep(response, call)
            sealed = self._seal(response, call.names[0]) if seconds > 0 else None
            if sealed is not None:
                token = _hash(self._hash_keys[0], response.access_token)
                keys += [self._key("exchange", call.names[0]), self._key("exchange-token", token)]
                entry = [f"{token}:{sealed}", call.names[0], _milliseconds(seconds)]
            return response
        finally:
            self._finish(keys, call.token, entry)

    def _seconds_to_keep(self, response: TokenExchangeResponse, call: _Call) -> float:
        return seconds_to_keep(response, call.now(), self._skew, self._max_age, call.ends_at)

    def _finish(self, keys: list[str], token: str, entry: list[Any]) -> None:
        try:
            self._run("finish", keys, token, *entry)
        except CustomTokenExchangeError as error:
            # Whatever happens to Redis now: the subject token is spent, and what it bought must not get lost.
            logger.warning("an exchange could not be noted in the cache: %s", error.message)

    def _seal(self, response: TokenExchangeResponse, name: str) -> str | None:
        sealed = self._sealer.seal({"name": name, "response": {each: getattr(response, each) for each in KEPT}})
        if len(sealed) > MAX_SEALED_LENGTH:
            logger.warning("a response is not kept for reuse: it is longer than %d bytes", MAX_SEALED_LENGTH)
            return None
        return sealed

    def _open(self, entry: str, call: _Call, number: int) -> TokenExchangeResponse | None:
        name, hash_key = call.names[number], self._hash_keys[number]
        token, _, sealed = entry.partition(":")
        try:
            content = self._sealer.unseal(sealed)
        except JoseError:
            content = {}
        kept = content.get("response")
        if content.get("name") != name or not isinstance(kept, dict) or not set(kept) <= KEPT:
            logger.warning("an entry of the cache is not one that was made under its name: it is not used")
            return None
        response = TokenExchangeResponse(**kept)
        # By this reader's own max_age: who wrote the entry may have had another one.
        usable = token == _hash(hash_key, response.access_token) and self._seconds_to_keep(response, call) > 0
        return detached(response) if usable else None

    def _tolerate(self, error: CustomTokenExchangeError) -> None:
        if error.code != Code.EXCHANGE_CACHE_UNAVAILABLE or not self._fail_open:
            raise error
        logger.warning("%s; going on without it", error.message)

    def _key(self, kind: str, name: str) -> str:
        return f"{self._prefix}:{kind}:{name}"

    def _run(self, script: str, keys: list[str], *arguments: Any) -> Any:
        with translated(*_NAME):
            return self._scripts[script](keys=keys, args=arguments)


def _hash(key: bytes, access_token: str) -> str:
    return hmac.new(key, b"token:" + access_token.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
