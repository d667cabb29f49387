"""An authorization server as its metadata describes it (RFC 8414, OpenID Connect Discovery 1.0 section 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from auth0_cte.error import DiscoveryError
from auth0_cte.foundation.urls import Url, is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Issuer"]


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

    def endpoint(self, name: str) -> str | None:
        """Return the URL of another endpoint of the metadata, or None where there is none.

        Raises:
            DiscoveryError: It is not on the issuer's own host.
        """
        return _endpoint(self.issuer, self.metadata, name)

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
