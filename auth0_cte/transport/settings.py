"""How to reach servers: time-outs, trusted CAs, proxies."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.request import getproxies, proxy_bypass_environment  # type: ignore[attr-defined]  # not in typeshed

from attrs import evolve, field, frozen
from requests.utils import DEFAULT_CA_BUNDLE_PATH, select_proxy
from urllib3.exceptions import LocationParseError
from urllib3.util import create_urllib3_context, parse_url

from auth0_cte.error import ConfigurationError
from auth0_cte.foundation.urls import is_loopback

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

__all__ = ["TransportSettings", "checked_proxy"]

PROXY_SCHEMES: Final = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")


@frozen(kw_only=True, eq=False, repr=False)
class TransportSettings:
    """How to reach the server; the environment's proxies are read once, here.

    Args:
        connect_timeout: Seconds to connect, name resolution, all addresses and TLS included.
        read_timeout: Seconds to wait for each part of a reply.
        pool_size: Connections kept and opened at most for a host; as many as threads exchange at once.
        ca_bundle: A file or directory of trusted CA certificates; certifi's when None.
        ssl_context: A context to use as it is. It must verify.
        load_certificate: Loads a client certificate into the context that is made here.
        proxies: Proxy URLs by scheme, as `urllib.request.getproxies` returns them.
    """

    connect_timeout: float = 5.0
    read_timeout: float = 10.0
    pool_size: int = 64
    ca_bundle: str | os.PathLike[str] | None = None
    ssl_context: ssl.SSLContext | None = field(default=None, repr=False)
    load_certificate: Callable[[ssl.SSLContext], None] | None = field(default=None, repr=False)
    proxies: Mapping[str, str] = field(factory=getproxies, repr=False)

    def make_ssl_context(self) -> ssl.SSLContext:
        """Load the trusted CAs. It costs more than a handshake, so it is done once for all connections.

        Raises:
            ConfigurationError: ``ca_bundle`` does not hold any.
        """
        if self.ssl_context is not None:
            return self.ssl_context
        context = create_urllib3_context()
        place = Path(self.ca_bundle or DEFAULT_CA_BUNDLE_PATH)
        try:
            context.load_verify_locations(**{"capath" if place.is_dir() else "cafile": str(place)})
        except OSError:
            raise ConfigurationError(f"ca_bundle must hold CA certificates, but {place} does not") from None
        if self.load_certificate is not None:
            self.load_certificate(context)
        return context

    def with_certificate(self) -> TransportSettings:
        """Read the client certificate now, and once: a file that is renewed later must not meet the other, older one.

        Raises:
            ConfigurationError: The certificate, or ``ca_bundle``, cannot be used.
        """
        if self.load_certificate is None:
            return self
        return evolve(self, ssl_context=self.make_ssl_context(), load_certificate=None)

    @property
    def trusted(self) -> str:
        """Whose certificates are trusted, for messages."""
        if self.ca_bundle is not None:
            return f"the CAs in ca_bundle, {os.fspath(self.ca_bundle)}"
        if self.ssl_context is not None:
            return "the CAs of ssl_context; ca_bundle is not set"
        return "certifi's CAs; ca_bundle is not set"

    def proxy_for(self, scheme: str, host: str) -> str | None:
        """Return the URL of the proxy by which a host is reached, or None.

        Raises:
            ConfigurationError: The environment names a proxy that cannot be used.
        """
        proxies: dict[str, Any] = dict(self.proxies)
        if is_loopback(host) or proxy_bypass_environment(host, proxies):
            return None
        proxy = select_proxy(f"{scheme}://{host}", proxies)
        return checked_proxy(proxy) if proxy else None


def checked_proxy(proxy: str) -> str:
    """Return the URL of a proxy, with its scheme.

    Raises:
        ConfigurationError: It cannot be used. The message does not show it, because there may be a password in it.
    """
    where = "the proxy URL (HTTPS_PROXY, ALL_PROXY or session.proxies)"
    if any(character.isspace() for character in proxy):
        raise ConfigurationError(f"{where} must not contain blanks")
    url = proxy if "://" in proxy else f"http://{proxy}"
    try:
        parts = parse_url(url)
    except LocationParseError:
        raise ConfigurationError(f"{where} is not a URL") from None
    if parts.scheme not in PROXY_SCHEMES or not parts.host:
        raise ConfigurationError(f"{where} must name a host and begin with one of {', '.join(PROXY_SCHEMES)}")
    if parts.scheme.startswith("socks") and find_spec("socks") is None:
        raise ConfigurationError(f"{where} is a SOCKS proxy: pip install 'requests[socks]'")
    return parts.scheme + url[url.index(":") :]
