"""The adapter of requests by which direct requests go: our pools, one SSL context, the proxies of the environment.

It must not override ``send``: that is what ``responses`` replaces.
"""

from __future__ import annotations

import threading
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import requests
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPHeaderDict

from auth0_cte.foundation.urls import Url
from auth0_cte.transport.connections import POOL_CLASSES

if TYPE_CHECKING:
    import ssl

    from auth0_cte.transport.settings import TransportSettings

__all__ = ["Adapter"]

MAX_ROUTES: Final = 512
NO_TIME: Final = timedelta(0)


class _Response(requests.Response):
    """A response that makes a cookie jar only if somebody asks for it."""

    def __init__(self, raw: Any, request: Any) -> None:
        # All that the base class sets but the jar, which costs more than everything else.
        self._content, self._content_consumed, self._next = False, False, None
        self.status_code, self.reason, self.raw = raw.status, raw.reason, raw
        headers = raw.headers
        self.headers = headers if isinstance(headers, HTTPHeaderDict) else CaseInsensitiveDict(headers)  # type: ignore[assignment]
        self.url, self.request = request.url, request
        self.encoding, self.history, self.elapsed = None, [], NO_TIME

    @cached_property
    def cookies(self) -> RequestsCookieJar:  # type: ignore[override]
        """An empty jar."""
        return RequestsCookieJar()


class Adapter(HTTPAdapter):
    """Finds a URL's pool once, and makes lean responses.

    Args:
        settings: How to reach servers.
    """

    def __init__(self, settings: TransportSettings) -> None:
        self._settings = settings
        self._routes: dict[str, Any] = {}
        self._lock = threading.Lock()
        super().__init__(pool_connections=MAX_ROUTES, pool_maxsize=settings.pool_size, pool_block=True)
        self.poolmanager.pool_classes_by_scheme = POOL_CLASSES

    def get_connection_with_tls_context(self, request: Any, *_args: Any, **_kwargs: Any) -> Any:
        """Return the pool for the request's URL, the same each time."""
        return self._routes.get(request.url) or self._find_route(request.url)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Do nothing: the one SSL context of all pools verifies, and nothing can switch it off."""

    def request_url(self, request: Any, proxies: Any) -> str:  # noqa: ARG002
        """Return the request target; plain http, which a proxy would want absolute, goes to loopback alone."""
        target: str = request.path_url
        return target

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        """Make the response, without what nobody asks for."""
        return _Response(resp, req)

    def _find_route(self, url: str) -> Any:
        with self._lock:
            if len(self._routes) >= MAX_ROUTES:
                self._routes.pop(next(iter(self._routes)))
            parts = Url.parse(url)
            manager = self._manager(parts.scheme, parts.host)
            context = {"ssl_context": self._ssl_context} if parts.scheme == "https" else None
            pool = manager.connection_from_host(parts.host, parts.effective_port, parts.scheme, pool_kwargs=context)
            self._routes[url] = pool
            return pool

    def _manager(self, scheme: str, host: str) -> Any:
        proxy = self._settings.proxy_for(scheme, host)
        if proxy is None:
            return self.poolmanager
        if proxy.startswith("socks"):
            from auth0_cte.transport.socks import SOCKS_POOL_CLASSES  # PySocks is an extra of requests

            manager = self.proxy_manager_for(proxy)
            manager.pool_classes_by_scheme = SOCKS_POOL_CLASSES
            return manager
        secured = {"proxy_ssl_context": self._ssl_context} if proxy.startswith("https:") else {}
        manager = self.proxy_manager_for(proxy, **secured)
        manager.pool_classes_by_scheme = POOL_CLASSES
        return manager

    @cached_property
    def _ssl_context(self) -> ssl.SSLContext:
        return self._settings.make_ssl_context()

    def close(self) -> None:
        """Close the pooled connections; later requests make new pools."""
        with self._lock:
            self._routes.clear()
        super().close()

    def abandon(self) -> None:
        """Close the sockets in a forked child, where the parent's threads and their locks do not exist any more."""
        for pool in self._routes.values():
            for connection in list(pool.pool.queue) if pool.pool else []:
                if connection is not None:
                    connection.close()
