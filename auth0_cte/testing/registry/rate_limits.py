"""Limits on exchanges: the tenant's own, counted as Auth0 counts, and custom policies.

Sources: Auth0, "Rate Limit Policy" (a bucket that holds as many requests as the limit says and is refilled at its
rate); auth0/limitd-redis (refilled steadily, or at once when a window begins; ``x-ratelimit-reset`` tells when it is
full); Auth0, custom rate limit policies (``Auth0-RateLimit``, ``Retry-After``).
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from attrs import define, field, frozen

from auth0_cte.testing.wire.messages import RefusalError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RateLimits", "Refill"]

Refill: TypeAlias = Literal["steady", "window"]
"""How a bucket is refilled: bit by bit, or at once when a window of time begins."""

TENANT_LIMIT: Final = "Global limit has been reached"
POLICY_LIMIT: Final = "Rate limit exceeded."


@frozen
class _Count:
    allowed: bool
    remaining: int
    reset_at: float
    next_at: float


@define
class _Bucket:
    limit: int
    seconds: float
    refill: Refill
    _content: float = field(init=False)
    _since: float | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self._content = self.limit

    def take(self, now: float) -> _Count:
        self._fill(now)
        allowed = self._content >= 1
        self._content -= allowed
        since, each = self._since or 0.0, self.seconds / self.limit
        if self.refill == "window":
            return _Count(allowed, int(self._content), since + self.seconds, since + self.seconds)
        full_at = now + (self.limit - self._content) * each
        return _Count(allowed, int(self._content), full_at, now + max(0.0, 1 - self._content) * each)

    def _fill(self, now: float) -> None:
        if self._since is None:
            self._since = now
        passed = max(0.0, now - self._since)
        if self.refill == "window":
            passed -= passed % self.seconds
        # Sums of fractions fall short of a whole request by a hair.
        self._content = min(self.limit, round(self._content + passed * self.limit / self.seconds, 9))
        self._since += passed


class RateLimits:
    """The limits of a tenant; none to begin with. Safe among threads.

    Args:
        clock: Returns Unix seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._tenant: dict[str, _Bucket] = {}
        self._policy: tuple[int, float] | None = None
        self._clients: dict[str, _Bucket] = {}

    def limit_exchanges(self, per_second: int | None, *, refill: Refill = "steady") -> None:
        """Limit the tenant's exchanges, as a subscription does: 4 a second with B2B Pro, 15 with Enterprise.

        Replies tell of it in ``x-ratelimit-limit``, ``-remaining`` and ``-reset``; what is over it gets 429.

        Args:
            per_second: Exchanges in a second, and at once after a rest; None for no limit.
            refill: Whether the bucket refills steadily, or at once with each second from the first exchange on.

        Raises:
            ValueError: The limit is below one.
        """
        self._limit("exchanges", per_second, refill)

    def limit_on_behalf_of(self, per_second: int | None, *, refill: Refill = "steady") -> None:
        """Limit the tenant's On-Behalf-Of exchanges, which have a bucket of their own: 2 a second with Free.

        Args:
            per_second: Exchanges in a second, and at once after a rest; None for no limit.
            refill: As for `limit_exchanges`.

        Raises:
            ValueError: The limit is below one.
        """
        self._limit("on-behalf-of", per_second, refill)

    def limit_clients(self, quota: int | None, *, seconds: float = 1.0) -> None:
        """Limit the exchanges of each application, as a custom rate limit policy does.

        Replies tell of it in ``Auth0-RateLimit``; what is over it gets 429 with ``Retry-After``.

        Args:
            quota: Exchanges of an application in the window; None for no limit.
            seconds: The window.

        Raises:
            ValueError: The quota is below one, or the window not above zero.
        """
        if (quota is not None and quota < 1) or seconds <= 0:
            raise ValueError("quota must be a number from 1, or None, and seconds must be above zero")
        with self._lock:
            self._policy = None if quota is None else (quota, seconds)
            self._clients.clear()

    def take_tenant(self, kind: str = "exchanges") -> dict[str, str]:
        """Count an exchange against the tenant's limit, and return the header fields that tell of it.

        Args:
            kind: ``"exchanges"`` or ``"on-behalf-of"``.

        Raises:
            RefusalError: The limit is used up.
        """
        with self._lock:
            bucket = self._tenant.get(kind)
            if bucket is None:
                return {}
            limit, count = bucket.limit, bucket.take(self._clock())
        headers = {
            "x-ratelimit-limit": str(limit),
            "x-ratelimit-remaining": str(count.remaining),
            "x-ratelimit-reset": str(math.ceil(count.reset_at)),
        }
        if not count.allowed:
            told = {"limit": {"per_second": limit, "kind": kind}}
            raise RefusalError(
                429, "too_many_requests", TENANT_LIMIT, headers=headers, log_type="api_limit", details=told
            )
        return headers

    def take_client(self, client_id: str) -> dict[str, str]:
        """Count an exchange against the quota of its application, and return the header field that tells of it.

        Raises:
            RefusalError: The quota is used up.
        """
        with self._lock:
            if self._policy is None:
                return {}
            quota, seconds = self._policy
            now = self._clock()
            count = self._clients.setdefault(client_id, _Bucket(quota, seconds, "steady")).take(now)
        headers = {"auth0-ratelimit": f"client;q={quota};t={math.ceil(count.reset_at - now)};r={count.remaining}"}
        if not count.allowed:
            headers["retry-after"] = str(math.ceil(count.next_at - now))
            raise RefusalError(429, "too_many_requests", POLICY_LIMIT, headers=headers)
        return headers

    def _limit(self, kind: str, per_second: int | None, refill: Refill) -> None:
        if per_second is not None and per_second < 1:
            raise ValueError("per_second must be a number from 1, or None")
        with self._lock:
            self._tenant.pop(kind, None)
            if per_second is not None:
                self._tenant[kind] = _Bucket(per_second, 1.0, refill)
