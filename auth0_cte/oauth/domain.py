"""From what a user calls "the domain" to the one issuer URL, refusing everything that could lead elsewhere."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from auth0_cte.error import ConfigurationError, DomainResolverError
from auth0_cte.foundation.urls import is_loopback
from auth0_cte.foundation.validation import call_given

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auth0_cte.auth_types import DomainResolver, DomainResolverContext

__all__ = [
    "authority_of",
    "domain_of",
    "is_domain",
    "issuer_url",
    "resolve_domain",
    "resolver_context",
]

# LDH labels (RFC 1123) with a letter somewhere in the last one, so that no spelling of an IP address passes.
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# A last label that is a number, hexadecimal ones included, makes an IPv4 address of it for some readers.
_HOST: Final = rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)+(?!0[xX][0-9A-Fa-f]*\Z)(?=[A-Za-z0-9-]*[A-Za-z]){_LABEL}\Z"
_AUTHORITY: Final = r"(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?\Z"


def issuer_url(domain: str) -> str:
    """Normalize a domain to its issuer URL.

    Args:
        domain: ``tenant.auth0.com``, or the same with ``https://`` before and a slash behind. Plain ``http://``
            is for loopback hosts alone, and a port for these and for names under ``.test`` (RFC 6761).

    Returns:
        ``https://tenant.auth0.com/``, lower case, with one trailing slash.

    Raises:
        ConfigurationError: It is anything else: the message says what to give.
    """
    if not isinstance(domain, str):
        raise ConfigurationError(f"domain is a {type(domain).__name__}; give a host name such as 'tenant.auth0.com'")
    return _issuer_url(domain)


@lru_cache(maxsize=1024)
def _issuer_url(domain: str) -> str:
    fault = _fault(domain)
    if fault is not None:
        raise ConfigurationError(f"domain {fault}; give a host name such as 'tenant.auth0.com'")
    scheme, _, rest = domain.rpartition("://")
    return f"{(scheme or 'https').lower()}://{rest.removesuffix('/').lower()}/"


def _fault(domain: str) -> str | None:
    if not domain.strip():
        return "is empty"
    scheme, _, rest = domain.rpartition("://")
    if scheme.lower() not in ("", "https", "http"):
        return "has a scheme other than https"
    authority = rest.removesuffix("/")
    if "@" in authority:
        return "has user information"
    match = re.match(_AUTHORITY, authority)
    if match is None:
        return "has a path, a query, white space or characters that no host name has (an IDN goes in its xn-- form)"
    return _host_fault(match["host"], match["port"], plain=scheme.lower() == "http")


def _host_fault(host: str, port: str | None, *, plain: bool) -> str | None:
    is_port = port is None or 0 < int(port) < 65536
    if is_loopback(host):
        return None if is_port else "has an impossible port"
    if plain:
        return "uses http, which is for loopback hosts alone"
    # Names under .test are for tests and nobody can own one (RFC 6761 section 6.2): a local tenant has such a name.
    if port is not None and not (is_port and host.lower().endswith(".test")):
        return "has a port, which is for loopback hosts and names under .test alone"
    return None if re.match(_HOST, host) else "is not a host name"


def domain_of(issuer_or_domain: str) -> str:
    """Return the short form of a domain: the host name, or the whole URL where it is plain http on loopback."""
    return issuer_url(issuer_or_domain).removeprefix("https://").removesuffix("/")


def authority_of(issuer_or_domain: str) -> str:
    """Return the host name of a domain, with the port that loopback hosts may have."""
    return issuer_url(issuer_or_domain).partition("://")[2].removesuffix("/")


def is_domain(found: str | None, expected: str) -> bool:
    """Tell whether a stored domain is the expected one; sessions of sibling SDKs may have none."""
    try:
        return found is None or domain_of(found) == expected
    except ConfigurationError:
        return False


def resolver_context(store_options: Mapping[str, Any] | None) -> DomainResolverContext:
    """Describe the current request to a domain resolver.

    Args:
        store_options: ``{"request": …}`` with a request of Flask, Django or Starlette, or None outside of one.
    """
    from auth0_cte.auth_types import DomainResolverContext

    request = (store_options or {}).get("request")
    if request is None:
        return DomainResolverContext()
    absolute = getattr(request, "build_absolute_uri", None)  # Django; the others have the URL ready
    url = absolute() if absolute else str(request.url)
    return DomainResolverContext(
        request_url=url, request_headers={str(name).lower(): value for name, value in request.headers.items()}
    )


def resolve_domain(domain: str | DomainResolver, store_options: Mapping[str, Any] | None) -> str:
    """Return the issuer URL for this call, asking the resolver when there is one.

    Raises:
        ConfigurationError: The domain is not acceptable.
        DomainResolverError: What the resolver returned is not acceptable; or it raised an exception, the ``__cause__``.
    """
    if isinstance(domain, str):
        return issuer_url(domain)
    code = DomainResolverError.code
    found = call_given(
        domain, resolver_context(store_options), name="the domain resolver", code=code, kind=DomainResolverError
    )
    try:
        return issuer_url(found)
    except ConfigurationError as error:
        raise DomainResolverError(f"the domain resolver returned what cannot be used: {error.message}") from None
