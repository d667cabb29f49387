"""What a domain says about itself: OpenID configuration and keys, cached, fetched once by the first caller.

OpenID Connect Discovery 1.0, sections 3 and 4; RFC 8414; RFC 7517.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from attrs import field, frozen

from auth0_cte.error import DiscoveryError, TransportError, TransportTimeoutError
from auth0_cte.foundation.concurrency import SingleFlight
from auth0_cte.foundation.strict_json import loads_object
from auth0_cte.foundation.ttl_cache import TTLCache
from auth0_cte.foundation.urls import Url, is_loopback
from auth0_cte.oauth.retry import RetryPolicy
from auth0_cte.transport.client import HttpRequest, UnusableReplyError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from auth0_cte.foundation.deadline import Deadline
    from auth0_cte.jose import KeySet
    from auth0_cte.transport.client import Http

__all__ = ["Discovery", "Issuer"]

logger: Final = logging.getLogger("auth0_cte")

FRESH_SECONDS: Final = 600.0
LAST_GOOD_SECONDS: Final = 24 * 3600.0
REFETCH_SECONDS: Final = 60.0
MAX_DOMAINS: Final = 100
MAX_JWKS_BYTES: Final = 256 * 1024
MAX_ATTEMPTS: Final = 3

V = TypeVar("V")


@frozen(eq=False)
class Issuer:
    """An authorization server as its metadata describes it; every URL has been checked.

    Args:
        issuer: The issuer identifier, exactly as ID tokens carry it.
        token_endpoint: Where tokens are issued.
        jwks_uri: Where its keys are, or None when it publishes none.
        metadata: The whole document.
    """

    issuer: str
    token_endpoint: str
    jwks_uri: str | None
    metadata: Mapping[str, Any] = field(repr=False)

    @classmethod
    def from_metadata(cls, expected: str, metadata: Mapping[str, Any]) -> Issuer:
        """Check a metadata document against the issuer URL that it was asked for at.

        Raises:
            DiscoveryError: It is about another issuer, or sends requests elsewhere.
        """
        issuer = metadata.get("issuer")
        if not isinstance(issuer, str) or issuer.rstrip("/") != expected.rstrip("/"):
            raise DiscoveryError(f"the configuration at {expected} is for another issuer")
        token_endpoint = _endpoint(expected, metadata, "token_endpoint")
        if token_endpoint is None:
            raise DiscoveryError(f"the configuration of {expected} has no token_endpoint")
        return cls(issuer, token_endpoint, _endpoint(expected, metadata, "jwks_uri"), metadata)

    def mutual_tls_alias(self, name: str) -> str | None:
        """Return the server's alias of an endpoint for mutual TLS, or None (RFC 8705 section 5).

        Args:
            name: As in the metadata, e.g. ``"token_endpoint"``.

        Raises:
            DiscoveryError: The alias sends requests elsewhere than to the issuer's host or a subdomain of it.
        """
        aliases = self.metadata.get("mtls_endpoint_aliases")
        alias = aliases.get(name) if isinstance(aliases, dict) else None
        if alias is None:
            return None
        if not isinstance(alias, str) or not _is_alias(alias, self.issuer):
            raise DiscoveryError(f"mtls_endpoint_aliases of {self.issuer} are not on its own host or a subdomain")
        return alias


def _is_alias(text: object, issuer: str) -> bool:
    """Compare an alias with the issuer: a subdomain and, on loopback alone, another port will do."""
    own = Url.parse(issuer)
    try:
        url = Url.parse_strictly(text)
    except ValueError:
        return False
    is_local = is_loopback(own.host)
    related = url.host == own.host or (url.host.endswith("." + own.host) and not is_local)
    same_port = url.effective_port == own.effective_port or is_local
    return url.scheme == own.scheme and related and same_port and not url.has_user and "#" not in str(text)


def _endpoint(issuer: str, metadata: Mapping[str, Any], name: str) -> str | None:
    value = metadata.get(name)
    if value is None:
        return None
    try:
        url = Url.parse_strictly(value)
    except ValueError:
        raise DiscoveryError(f"{name} of {issuer} must be an absolute URL") from None
    # The issuer's scheme, https or http on loopback, was settled with the domain.
    if url.origin != Url.parse(issuer).origin or url.has_user or "#" in value:
        raise DiscoveryError(f"{name} of {issuer} is not on the issuer's own host, or not https")
    return str(value)


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
        self._keep(url, value, now, now + FRESH_SECONDS, ttl=LAST_GOOD_SECONDS)
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
        self._http, self._headers, self._retry, self._monotonic = http, headers, retry or RetryPolicy(), monotonic
        self._issuers: _LastGood[Issuer] = _LastGood(monotonic)
        self._key_sets: _LastGood[KeySet] = _LastGood(monotonic)
        # When a key set was last asked for because of an unknown key; attempts count, not successes.
        self._refetched: TTLCache[str, float] = TTLCache(maxsize=MAX_DOMAINS, ttl=REFETCH_SECONDS, monotonic=monotonic)

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

    def keys(self, issuer: Issuer, deadline: Deadline, *, newer_than: float | None = None) -> KeySet:
        """Return the keys of an issuer; the last good ones for up to 24 h while the endpoint is down.

        Args:
            issuer: Whose keys.
            deadline: When to give up.
            newer_than: When they must have been fetched after, by the monotonic clock; None for any that are fresh.

        Raises:
            DiscoveryError: The issuer publishes no key set.
            TransportError: The server could not be reached.
        """
        url = issuer.jwks_uri
        if url is None:
            raise DiscoveryError(f"the configuration of {issuer.issuer} has no jwks_uri")
        return self._key_sets.get(url, lambda: self._fetch_keys(url, deadline), deadline, newer_than=newer_than)

    def newer_keys(self, issuer: Issuer, deadline: Deadline) -> KeySet:
        """Return the keys, fetched anew unless that was tried within the last minute."""
        url = issuer.jwks_uri or ""
        asked_at = self._monotonic()
        if self._refetched.get(url) is not None:
            return self.keys(issuer, deadline)
        self._refetched.set(url, asked_at)
        return self.keys(issuer, deadline, newer_than=asked_at)

    def _fetch_keys(self, url: str, deadline: Deadline) -> KeySet:
        from auth0_cte.jose import JoseError, KeySet  # jwcrypto is slow to import, so only when needed

        try:
            return KeySet.from_jwks(self._fetch(url, deadline, MAX_JWKS_BYTES))
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
