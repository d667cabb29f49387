"""What a domain says about itself: OpenID configuration and keys, cached, fetched once by the first caller.

OpenID Connect Discovery 1.0, sections 3 and 4; RFC 8414; RFC 7517.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from auth0_cte.error import DiscoveryError, TransportError
from auth0_cte.foundation.strict_json import loads_object
from auth0_cte.foundation.urls import Url, is_loopback
from auth0_cte.oauth.last_good import Allowance, LastGood, NotAllowedError
from auth0_cte.oauth.retry import RetryPolicy
from auth0_cte.transport.client import HttpRequest, UnusableReplyError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from auth0_cte.foundation.deadline import Deadline
    from auth0_cte.jose import KeySet
    from auth0_cte.transport.client import Http

__all__ = ["Discovery", "FetchedKeys", "Issuer"]

OWN_REFETCHES: Final = 20
"""In `REFETCH_SECONDS`, for tokens that our own token endpoint issued."""
STRANGERS_REFETCHES: Final = 1
"""The same for tokens that anybody can send: they must not use up what logins need."""
MAX_JWKS_BYTES: Final = 256 * 1024
MAX_ATTEMPTS: Final = 3


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

    def url(self, path: str) -> str:
        """Return the URL of a path of this server, whose issuer may lack the trailing slash."""
        return f"{self.issuer.removesuffix('/')}/{path}"

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


@frozen(eq=False)
class FetchedKeys:
    """A key set, and how old it is.

    Args:
        key_set: The keys.
        asked_at: When it was asked for, by the monotonic clock; keys that are younger may be missing.
    """

    key_set: KeySet
    asked_at: float


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
        self._issuers: LastGood[Issuer] = LastGood(monotonic)
        self._key_sets: LastGood[FetchedKeys] = LastGood(monotonic)
        # Of refetches because of an unknown key; attempts count, not successes.
        self._own, self._strangers = (Allowance(each, monotonic) for each in (OWN_REFETCHES, STRANGERS_REFETCHES))

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

    def now(self) -> float:
        """Return the time by the monotonic clock."""
        return self._monotonic()

    def keys(self, issuer: Issuer, deadline: Deadline) -> FetchedKeys:
        """Return the keys of an issuer; the last good ones for up to 24 h while the endpoint is down.

        Args:
            issuer: Whose keys.
            deadline: When to give up.

        Raises:
            DiscoveryError: The issuer publishes no key set.
            TransportError: The server could not be reached.
        """
        url = _jwks_uri(issuer)
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
        url = _jwks_uri(issuer)
        allowance = self._strangers if for_strangers else self._own

        def fetch() -> FetchedKeys:
            allowance.take(url)
            return self._fetch_keys(url, deadline)

        # A second time, because the first may have joined one that had no allowance.
        for _ in range(2):
            try:
                return self._key_sets.get(url, fetch, deadline, newer_than=seen.asked_at)
            except NotAllowedError:
                continue
        return seen

    def _fetch_keys(self, url: str, deadline: Deadline) -> FetchedKeys:
        from auth0_cte.jose import JoseError, KeySet  # jwcrypto is slow to import, so only when needed

        asked_at = self._monotonic()
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


def _jwks_uri(issuer: Issuer) -> str:
    if issuer.jwks_uri is None:
        raise DiscoveryError(f"the configuration of {issuer.issuer} has no jwks_uri")
    return issuer.jwks_uri
