"""A rate limit of the client's own, so that the tenant's is never overrun: exchanges take slots.

Auth0 counts with a token bucket that holds as many requests as the limit says and refills either steadily or at once
when a window of time begins (Auth0, "Rate Limit Policy"; auth0/limitd-redis). Requests that leave at even intervals, a
little slower than the limit, please both, and stay below it even when the network bunches some of them. Slots are
handed out in advance (the generic cell rate algorithm): a caller learns at once how long to wait, first come first
served, or that the deadline would pass before.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from typing import TYPE_CHECKING, Any, Final, Self

from auth0_cte.error import ConfigurationError, CustomTokenExchangeError, RateLimitError
from auth0_cte.error import CustomTokenExchangeErrorCode as Code
from auth0_cte.foundation.concurrency import reset_in_child
from auth0_cte.foundation.deadline import nap
from auth0_cte.foundation.validation import check_number
from auth0_cte.oauth.error_response import read_rate_limit
from auth0_cte.oauth.rate_limit.bucket import LocalBucket, Pace
from auth0_cte.oauth.token_endpoint import TOKEN_EXCHANGE_GRANT

if TYPE_CHECKING:
    from collections.abc import Callable

    import redis

    from auth0_cte.error import Auth0CTEError, RateLimitStatus
    from auth0_cte.foundation.deadline import Deadline
    from auth0_cte.oauth.rate_limit.bucket import Bucket, Slot
    from auth0_cte.oauth.token_endpoint import TokenRequest

__all__ = ["LimitedRequest", "RateLimit"]

logger: Final = logging.getLogger("auth0_cte")

MAX_TENANTS: Final = 1000
MAX_PAUSE: Final = 60.0
"""The longest pause that one reply can cause, in seconds: a mistaken header must not stop a client for good."""
MAX_REQUEST_SHARE: Final = 1.0
"""What is left of the deadline for the request itself, in seconds; a quarter of it when that is less."""

_RATE: Final = r"\s*([0-9]+(?:\.[0-9]+)?)\s*/\s*(s|sec|second|m|min|minute|h|hour)\s*"
_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0}


class RateLimit:
    """A limit on the exchanges of all threads of a process, or of all processes that share a Redis.

    Each request of the token exchange grant takes a slot, a retry too; refreshes do not, because Auth0's limit on
    Custom Token Exchange does not count them. A limit counts for each tenant by itself. Give the same object to several
    clients of a tenant, for they share its limit.

    Args:
        rate: ``"4/s"``, ``"100/min"``, ``"1000/h"``: the tenant's limit.
        burst: Exchanges that may leave at once after a rest. 1 never overruns the limit however the server counts; up
            to the number in ``rate`` where it counts with a bucket that refills steadily.
        headroom: The part of the limit that is left unused, from 0 to below 1, so that requests which the network
            bunches do not overrun it.
        redis: A client of redis-py (`redis.Redis` or `redis.RedisCluster`) to share the limit through; in this process
            alone when None. While Redis cannot be used, exchanges fail before anything is sent
            (``RATE_LIMIT_UNAVAILABLE``). Give it time-outs.
        name: What tells this limit from others in the same Redis.
        monotonic: A clock that never jumps; injectable for tests.
        sleep: Waits for some seconds; injectable for tests.

    Raises:
        ConfigurationError: An argument cannot work.
    """

    def __init__(
        self,
        rate: str,
        *,
        burst: int = 1,
        headroom: float = 0.05,
        redis: redis.Redis | redis.RedisCluster | None = None,
        name: str = "auth0-cte",
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = nap,
    ) -> None:
        check_number("burst", burst, at_least=1, whole=True)
        check_number("headroom", headroom, at_least=0, below=1)
        per_second = _per_second(rate)
        self.rate: str = rate.strip()
        self._per_second = per_second
        self._pace = Pace(interval=1 / (per_second * (1 - headroom)), burst=burst)
        if redis is not None:
            from auth0_cte.foundation.redis_client import check_client  # late: most limits are of one process

            check_client(redis)
        self._redis, self._name = redis, name
        self._monotonic, self._sleep = monotonic, sleep
        self._buckets: dict[str, Bucket] = {}
        self._lock = threading.Lock()
        reset_in_child(self)

    @classmethod
    def from_url(cls, url: str, rate: str, *, timeout: float = 1.0, pool_size: int = 100, **options: Any) -> Self:
        """Make a limit that is shared through Redis, with a client that gives up after ``timeout`` seconds.

        Args:
            url: ``redis://host:port/db``, as redis-py takes it.
            rate: The tenant's limit, as for the constructor.
            timeout: For connecting, and for each answer, in seconds.
            pool_size: Connections at most; threads beyond wait for a free one, ten times ``timeout`` at most.
            **options: The constructor's other arguments.

        Raises:
            ConfigurationError: An argument cannot work.
        """
        from auth0_cte.foundation.redis_client import client_from_url

        return cls(rate, redis=client_from_url(url, timeout=timeout, pool_size=pool_size), **options)

    def _after_fork_in_child(self) -> None:
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        shared = "" if self._redis is None else f", redis=..., name={self._name!r}"
        return f"RateLimit({self.rate!r}, burst={self._pace.burst}{shared})"

    def take(self, tenant: str, deadline: Deadline, announce: Callable[[float], None] | None = None) -> float:
        """Wait for a slot.

        Args:
            tenant: The issuer whose limit it is.
            deadline: The end of the call; some of it is left for the request.
            announce: Called with the seconds of the wait before it begins.

        Returns:
            When the slot came, by the monotonic clock.

        Raises:
            RateLimitError: ``LOCAL_RATE_LIMIT``: no slot comes in time; ``retry_after`` says when one would.
            CustomTokenExchangeError: ``RATE_LIMIT_UNAVAILABLE``: Redis cannot be used.
        """
        bucket, left = self._bucket(tenant), deadline.remaining()
        kept = min(MAX_REQUEST_SHARE, left / 4)
        slot = bucket.reserve(left - kept)
        if not slot.granted:
            raise self._too_busy(slot.wait)
        if slot.wait > 0:
            if announce is not None:
                announce(slot.wait)
            self._await(bucket, slot, deadline, kept)
        return self._monotonic()

    def _await(self, bucket: Bucket, slot: Slot, deadline: Deadline, kept: float) -> None:
        wait, used = slot.wait, False
        try:
            while wait > 0:
                if wait > deadline.remaining() - kept:
                    raise self._too_busy(wait)
                self._sleep(wait)
                wait = bucket.due_in(slot)
            used = True
        finally:
            if not used:
                bucket.give_back(slot)

    def learn(self, tenant: str, status: RateLimitStatus | None, since: float, now: float) -> None:
        """Adjust to what a successful reply told about the limit.

        Args:
            tenant: The issuer whose limit it is.
            status: What the reply told.
            since: When the request was sent, by the monotonic clock.
            now: The time in Unix seconds.
        """
        if status is None or status.remaining is None or status.remaining >= self._pace.burst:
            return
        # A reset further away than refilling takes at our rate means that the server's rate is lower than ours.
        refill = (status.limit or 0) / self._per_second + 1
        far = status.remaining == 0 and status.reset_at is not None and status.reset_at - now > refill
        seconds = min((status.reset_at or now) - now, MAX_PAUSE) if far else 0.0
        self._tell(tenant, seconds, status.remaining, self._monotonic() - since)

    def back_off(self, tenant: str, error: RateLimitError) -> None:
        """Have everybody wait as long as a 429 says; but for the IP address that is blocked nothing helps."""
        if not error.blocked:
            seconds = self._pace.interval if error.retry_after is None else error.retry_after
            self._tell(tenant, min(seconds, MAX_PAUSE), 0, 0.0)

    def _tell(self, tenant: str, seconds: float, remaining: int, age: float) -> None:
        bucket = self._bucket(tenant)
        try:
            if seconds > 0:
                bucket.pause(seconds)
            else:
                bucket.drain(remaining, age)
        except CustomTokenExchangeError as error:
            # The answer is there, and must not get lost because of what follows from it.
            logger.warning("the shared rate limit could not be told of a reply: %s", error.message)

    def _bucket(self, tenant: str) -> Bucket:
        bucket = self._buckets.get(tenant)
        if bucket is None:
            with self._lock:
                if len(self._buckets) >= MAX_TENANTS:
                    self._buckets.pop(next(iter(self._buckets)))
                bucket = self._buckets.setdefault(tenant, self._make_bucket(tenant))
        return bucket

    def _make_bucket(self, tenant: str) -> Bucket:
        if self._redis is None:
            return LocalBucket(self._pace, self._monotonic)
        from auth0_cte.oauth.rate_limit.redis_bucket import RedisBucket

        return RedisBucket(self._redis, self._pace, f"{self._name}:{tenant}")

    def _too_busy(self, wait: float) -> RateLimitError:
        return RateLimitError(
            f"the client's own rate limit ({self.rate}) has no slot left within the deadline; nothing was sent",
            code=Code.LOCAL_RATE_LIMIT,
            kind="local",
            retry_after=wait,
            is_retryable=True,
        )


def _per_second(rate: object) -> float:
    found = re.fullmatch(_RATE, rate) if isinstance(rate, str) else None
    if found is None or float(found[1]) <= 0:
        raise ConfigurationError('a rate limit is written "4/s", "100/min" or "1000/h"')
    return float(found[1]) / _SECONDS[found[2][0]]


class LimitedRequest:
    """Waits for a slot before each attempt of a token exchange, and learns from its replies. Other grants are free.

    Args:
        limit: The rate limiter.
        clock: The time in Unix seconds.
        request: The token request.
    """

    def __init__(self, limit: RateLimit, clock: Callable[[], float], request: TokenRequest) -> None:
        self._limit, self._clock = limit, clock
        self._tenant = request.issuer.issuer
        self._is_exchange = ("grant_type", TOKEN_EXCHANGE_GRANT) in request.form
        self._since = 0.0

    def before(self, request: TokenRequest) -> None:
        """Wait for a slot.

        Raises:
            RateLimitError: No slot is left within the deadline; or the failure of the attempt before, because it tells
                more about the call than that.
            CustomTokenExchangeError: The slots are kept in Redis, which cannot be used.
        """
        if not self._is_exchange:
            return
        try:
            self._since = self._limit.take(self._tenant, request.call.deadline, request.announcement(None))
        except CustomTokenExchangeError:
            if request.failure is None:
                raise
            raise request.failure from request.failure.__cause__

    def replied(self, request: TokenRequest) -> None:
        """Learn how much is left of the tenant's limit."""
        if self._is_exchange and request.reply is not None:
            now = self._clock()
            self._limit.learn(self._tenant, read_rate_limit(request.reply.headers, now), self._since, now)

    def failed(self, request: TokenRequest, error: Auth0CTEError) -> bool:  # noqa: ARG002
        """Make everybody wait after a 429."""
        if self._is_exchange and isinstance(error, RateLimitError):
            self._limit.back_off(self._tenant, error)
        return False
