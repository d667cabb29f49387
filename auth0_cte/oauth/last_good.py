"""What is fetched once for all who ask, kept while it is fresh, and serves on while its server is down."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from auth0_cte.error import Auth0CTEError, DiscoveryError, TransportError, TransportTimeoutError
from auth0_cte.foundation.concurrency import SingleFlight
from auth0_cte.foundation.ttl_cache import TTLCache

if TYPE_CHECKING:
    from collections.abc import Callable

    from auth0_cte.foundation.deadline import Deadline

__all__ = ["Allowance", "LastGood", "NotAllowedError"]

logger: Final = logging.getLogger("auth0_cte")

FRESH_SECONDS: Final = 600.0
LAST_GOOD_SECONDS: Final = 24 * 3600.0
REFETCH_SECONDS: Final = 60.0
MAX_DOMAINS: Final = 100

V = TypeVar("V")


class NotAllowedError(Auth0CTEError):
    """No refetch is left; never seen by users."""


class Allowance:
    """So many times in a minute, for each name.

    Args:
        times: How often.
        monotonic: A clock that never jumps.
    """

    def __init__(self, times: int, monotonic: Callable[[], float]) -> None:
        self._times, self._monotonic = times, monotonic
        self._used: TTLCache[str, tuple[float, ...]] = TTLCache(
            maxsize=MAX_DOMAINS, ttl=REFETCH_SECONDS, monotonic=monotonic
        )

    def take(self, name: str) -> None:
        """Use one.

        Raises:
            NotAllowedError: None is left.
        """
        now = self._monotonic()
        used = [each for each in self._used.get(name) or () if each > now - REFETCH_SECONDS]
        if len(used) >= self._times:
            raise NotAllowedError("no refetch is left")
        self._used.set(name, (*used, now))


class _Kept(Generic[V]):
    def __init__(self, value: V, fetched_at: float, fresh_until: float) -> None:
        self.value, self.fetched_at, self.fresh_until = value, fetched_at, fresh_until


class LastGood(Generic[V]):
    """Values by URL: fresh ones from memory, stale ones fetched anew, and the last good one while that fails."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._kept: TTLCache[str, _Kept[V]] = TTLCache(maxsize=MAX_DOMAINS, ttl=LAST_GOOD_SECONDS, monotonic=monotonic)
        self._flights: SingleFlight[str, V] = SingleFlight()
        self._fresh: dict[str, _Kept[V]] = {}  # the same once more, for the usual look-up: without any lock

    def get(self, url: str, fetch: Callable[[], V], deadline: Deadline, *, newer_than: float | None = None) -> V:
        """Return the value of a URL.

        Args:
            url: What the value is kept under.
            fetch: Fetches it; called by one of those who ask at the same time.
            deadline: When to give up waiting for another caller.
            newer_than: When it must have been asked for after, by the monotonic clock; None for any that is fresh.

        Raises:
            TransportTimeoutError: Waiting for another caller took too long.
        """
        kept = self._fresh.get(url)
        if kept is not None and newer_than is None and self._monotonic() < kept.fresh_until:
            return kept.value
        try:
            return self._flights.do(url, lambda: self._renew(url, fetch, newer_than), timeout=deadline.remaining())
        except TimeoutError as error:
            raise TransportTimeoutError(
                f"waiting for {url} took too long", phase="connect", may_have_reached_server=False
            ) from error

    def _is_fresh(self, kept: _Kept[V], newer_than: float | None) -> bool:
        if newer_than is not None:
            return kept.fetched_at > newer_than
        return self._monotonic() < kept.fresh_until

    def _renew(self, url: str, fetch: Callable[[], V], newer_than: float | None) -> V:
        kept = self._kept.get(url)  # the flight before this one may have brought it
        if kept is not None and self._is_fresh(kept, newer_than):
            return kept.value
        began_at = self._monotonic()
        try:
            value = fetch()
        except (TransportError, DiscoveryError) as error:
            if kept is None:
                raise
            logger.warning("%s cannot be fetched (%s): the last good copy serves on", url, error.message)
            now, ends_at = self._monotonic(), kept.fetched_at + LAST_GOOD_SECONDS
            self._keep(url, kept.value, kept.fetched_at, min(now + REFETCH_SECONDS, ends_at), ttl=ends_at - now)
            return kept.value
        now = self._monotonic()
        self._keep(url, value, began_at, now + FRESH_SECONDS, ttl=LAST_GOOD_SECONDS)
        return value

    def _keep(self, url: str, value: V, fetched_at: float, fresh_until: float, *, ttl: float) -> None:
        kept = _Kept(value, fetched_at, fresh_until)
        self._kept.set(url, kept, ttl=ttl)
        if len(self._fresh) >= MAX_DOMAINS:
            self._fresh.clear()
        self._fresh[url] = kept
