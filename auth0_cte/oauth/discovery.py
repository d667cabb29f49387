"""What a domain says about itself: OpenID configuration and keys, cached, fetched once by the first caller.

OpenID Connect Discovery 1.0, sections 3 and 4; RFC 8414; RFC 7517.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, TypeVar

from attrs import frozen

from auth0_cte.error import Auth0CTEError, DiscoveryError, TransportError, TransportTimeoutError
from auth0_cte.foundation.concurrency import SingleFlight
from auth0_cte.foundation.strict_json import loads_object
from auth0_cte.foundation.ttl_cache import TTLCache
from auth0_cte.oauth.issuer import Issuer
from auth0_cte.oauth.retry import RetryPolicy
from auth0_cte.transport.client import HttpRequest, UnusableReplyError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from auth0_cte.foundation.deadline import Deadline
    from auth0_cte.jose import KeySet
    from auth0_cte.transport.client import Http

__all__ = ["Discovery", "FetchedKeys"]

logger: Final = logging.getLogger("auth0_cte")

FRESH_SECONDS: Final = 600.0
LAST_GOOD_SECONDS: Final = 24 * 3600.0
REFETCH_SECONDS: Final = 60.0
MAX_DOMAINS: Final = 100
OWN_REFETCHES: Final = 20
"""In `REFETCH_SECONDS`, for tokens that our own token endpoint issued."""
STRANGERS_REFETCHES: Final = 1
"""The same for tokens that anybody can send: they must not use up what logins need."""
MAX_JWKS_BYTES: Final = 256 * 1024
MAX_ATTEMPTS: Final = 3

V = TypeVar("V")


@frozen(eq=False)
class FetchedKeys:
    """A key set, and how old it is.

    Args:
        key_set: The keys.
        asked_at: When it was asked for, by the monotonic clock; keys that are younger may be missing.
    """

    key_set: KeySet
    asked_at: float


class _NotAllowedError(Auth0CTEError):
    """No refetch is left; never seen by users."""


class _Allowance:
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
            _NotAllowedError: None is left.
        """
        now = self._monotonic()
        used = [each for each in self._used.get(name) or () if each > now - REFETCH_SECONDS]
        if len(used) >= self._times:
            raise _NotAllowedError("no refetch is left")
        self._used.set(name, (*used, now))


class _Kept(Generic[V]):
    def __init__(self, value: V, fetched_at: float, fresh_until: float) -> None:
        self.value, self.fetched_at, self.fresh_until = value, fetched_at, fresh_until


class _LastGood(Generic[V]):
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


class Discovery:
    """Finds and remembers issuers and their keys, for 600 s and 100 domains.

    Args:
        http: How requests are sent.
        headers: The headers of every request.
        retry: Whose clockwork the retries of these idempotent requests use.
        monotonic: A clock that never jumps; injectable.
    """

    def __init__(
        self,
        http: Http,
        headers: Mapping[str, str],
        retry: RetryPolicy | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http, self._headers, self._retry = http, headers, retry or RetryPolicy()
        self.monotonic: Callable[[], float] = monotonic
        self._issuers: _LastGood[Issuer] = _LastGood(monotonic)
        self._key_sets: _LastGood[FetchedKeys] = _LastGood(monotonic)
        # Of refetches because of an unknown key; attempts count, not successes.
        self._own, self._strangers = (_Allowance(each, monotonic) for each in (OWN_REFETCHES, STRANGERS_REFETCHES))

    def issuer(self, issuer_url: str, deadline: Deadline) -> Issuer:
        """Return the metadata of an issuer.

        Args:
            issuer_url: As `domain.issuer_url` makes it.
            deadline: When to give up.

        Raises:
            DiscoveryError: The document is missing, malformed, or another issuer's.
            TransportError: The server could not be reached.
        """
        url = issuer_url + ".well-known/openid-configuration"
        return self._issuers.get(
            issuer_url, lambda: Issuer.from_metadata(issuer_url, self._fetch(url, deadline)), deadline
        )

    def keys(self, issuer: Issuer, deadline: Deadline) -> FetchedKeys:
        """Return the keys of an issuer; the last good ones for up to 24 h while the endpoint is down.

        Args:
            issuer: Whose keys.
            deadline: When to give up.

        Raises:
            DiscoveryError: The issuer publishes no key set.
            TransportError: The server could not be reached.
        """
        url = issuer.jwks_uri or _no_keys(issuer)
        return self._key_sets.get(url, lambda: self._fetch_keys(url, deadline), deadline)

    def newer_keys(
        self, issuer: Issuer, seen: FetchedKeys, deadline: Deadline, *, for_strangers: bool = False
    ) -> FetchedKeys:
        """Return keys that are newer than those that lack one: another caller's, or fetched now.

        Args:
            issuer: Whose keys.
            seen: What lacks the key.
            deadline: When to give up.
            for_strangers: Whether anybody could have sent the token: such tokens have an allowance of their own.

        Returns:
            ``seen`` itself when no newer ones can be had: the allowance is used up, or the endpoint is down.

        Raises:
            TransportTimeoutError: Waiting for another caller took too long.
        """
        url = issuer.jwks_uri or _no_keys(issuer)
        allowance = self._strangers if for_strangers else self._own

        def fetch() -> FetchedKeys:
            allowance.take(url)
            return self._fetch_keys(url, deadline)

        # A second time, because the first may have joined one that had no allowance.
        for _ in range(2):
            try:
                return self._key_sets.get(url, fetch, deadline, newer_than=seen.asked_at)
            except _NotAllowedError:
                continue
        return seen

    def _fetch_keys(self, url: str, deadline: Deadline) -> FetchedKeys:
        from auth0_cte.jose import JoseError, KeySet  # jwcrypto is slow to import, so only when needed

        asked_at = self.monotonic()
        try:
            return FetchedKeys(KeySet.from_jwks(self._fetch(url, deadline, MAX_JWKS_BYTES)), asked_at)
        except JoseError as error:
            raise DiscoveryError(f"{url} must be a key set: {error}") from error

    def _fetch(self, url: str, deadline: Deadline, limit: int = 1024 * 1024) -> dict[str, Any]:
        request = HttpRequest(method="GET", url=url, headers=self._headers, max_reply_bytes=limit)
        attempt = 0
        while True:
            attempt += 1
            try:
                return self._fetch_once(request, deadline, attempt)
            except TransportError as error:
                if attempt >= MAX_ATTEMPTS or not self._retry.wait_before_repeat(error, attempt, deadline):
                    # The subject token has not been sent, whatever became of this request.
                    error.may_have_reached_server = False
                    raise

    def _fetch_once(self, request: HttpRequest, deadline: Deadline, attempt: int) -> dict[str, Any]:
        try:
            reply = self._http.send(request, deadline, attempt)
        except UnusableReplyError as error:
            raise DiscoveryError(f"{request.url}: {error}") from error
        if reply.status >= 500:
            raise TransportError(f"{request.url} answered {reply.status}", status_code=reply.status)
        if reply.status != 200:
            raise DiscoveryError(f"{request.url} answered {reply.status} instead of 200")
        try:
            return loads_object(reply.body)
        except ValueError as error:
            raise DiscoveryError(f"{request.url}: the reply is {error}") from error


def _no_keys(issuer: Issuer) -> NoReturn:
    raise DiscoveryError(f"the configuration of {issuer.issuer} has no jwks_uri")
