"""The one door to HTTP: the only module that imports requests.

A request template is handed straight to ``HTTPAdapter.send``, which is what makes it fast and what keeps it tight:
no cookie jar, no ``.netrc``, no redirects, no look at the environment after construction. ``responses`` and any mounted
adapter still see every request.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass_environment  # type: ignore[attr-defined]  # not in typeshed

import requests
import urllib3
from attrs import evolve, field, frozen
from requests.adapters import HTTPAdapter
from requests.hooks import dispatch_hook
from requests.structures import CaseInsensitiveDict
from requests.utils import DEFAULT_CA_BUNDLE_PATH, select_proxy
from urllib3.exceptions import ConnectTimeoutError, EmptyPoolError, NewConnectionError
from urllib3.util import Timeout, create_urllib3_context

from auth0_cte.error import ConfigurationError, TransportError, TransportTimeoutError
from auth0_cte.foundation.concurrency import reset_in_child
from auth0_cte.foundation.urls import is_loopback
from auth0_cte.transport.connections import POOL_CLASSES, HandshakeError, RefusedCertificateError, current_call

if TYPE_CHECKING:
    import os
    import ssl
    from collections.abc import Callable, Mapping

    from auth0_cte.foundation.deadline import Deadline

__all__ = ["Http", "InjectedSession", "HttpRequest", "Reply", "TransportSettings", "UnusableReplyError"]

InjectedSession: TypeAlias = requests.Session
"""A session that the application configured; only this package names its type."""

MAX_REPLY_BYTES: Final = 1024 * 1024
MAX_ROUTES: Final = 512


@frozen(kw_only=True, eq=False, repr=False)
class HttpRequest:
    """A request that is ready to go; its repr tells neither headers nor body."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: str | None = field(default=None, repr=False)
    max_reply_bytes: int = MAX_REPLY_BYTES


@frozen(eq=False, repr=False)
class Reply:
    """A whole reply. Header names match in any case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class UnusableReplyError(Exception):
    """A reply came that must not be read: too large, or in an encoding that was not asked for."""

    def __init__(self, message: str, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(message)
        self.status: int = status
        self.headers: Mapping[str, str] = headers


@frozen(kw_only=True, eq=False, repr=False)
class TransportSettings:
    """How to reach the server; the environment's proxies and CA bundle are read once, here.

    Args:
        connect_timeout: Seconds to connect, TLS included.
        read_timeout: Seconds to wait for each part of a reply.
        pool_size: Connections kept and opened at most for a host; as many as threads exchange at once.
        ca_bundle: A file or directory of trusted CA certificates; ``REQUESTS_CA_BUNDLE`` or certifi when None.
        ssl_context: A context to use as it is. It must verify.
        load_certificate: Loads a client certificate into the context that is made here.
    """

    connect_timeout: float = 5.0
    read_timeout: float = 10.0
    pool_size: int = 64
    ca_bundle: str | os.PathLike[str] | None = None
    ssl_context: ssl.SSLContext | None = field(default=None, repr=False)
    load_certificate: Callable[[ssl.SSLContext], None] | None = field(default=None, repr=False)
    proxies: Mapping[str, str] = field(factory=getproxies, repr=False)

    def make_ssl_context(self) -> ssl.SSLContext:
        """Load the trusted CAs. It costs more than a handshake, so it is done once for all connections."""
        if self.ssl_context is not None:
            return self.ssl_context
        context = create_urllib3_context()
        place = Path(self.ca_bundle or DEFAULT_CA_BUNDLE_PATH)
        context.load_verify_locations(**{"capath" if place.is_dir() else "cafile": str(place)})
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
        try:
            context = self.make_ssl_context()
        except OSError:
            raise ConfigurationError(f"ca_bundle holds no CA certificates: {self.ca_bundle!s}") from None
        return evolve(self, ssl_context=context, load_certificate=None)


class _Adapter(HTTPAdapter):
    """Resolves a URL's pool once. It must not override ``send``: that is what ``responses`` replaces."""

    def __init__(self, settings: TransportSettings) -> None:
        self._settings = settings
        self._ssl_context: ssl.SSLContext | None = None
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
        """Make the response without what nobody asks for: a cookie jar above all."""
        response = requests.Response()
        response.status_code, response.reason = resp.status, resp.reason
        response.headers = CaseInsensitiveDict(resp.headers)
        response.raw, response.url, response.request = resp, req.url, req
        return response

    def _find_route(self, url: str) -> Any:
        with self._lock:
            if len(self._routes) >= MAX_ROUTES:
                self._routes.pop(next(iter(self._routes)))
            parts = urlsplit(url)
            port = parts.port or (443 if parts.scheme == "https" else 80)
            manager = self._manager(parts.scheme, parts.hostname or "")
            context = {"ssl_context": self._context()} if parts.scheme == "https" else None
            pool = manager.connection_from_host(parts.hostname, port, parts.scheme, pool_kwargs=context)
            self._routes[url] = pool
            return pool

    def _manager(self, scheme: str, host: str) -> Any:
        proxies = dict(self._settings.proxies)
        if is_loopback(host) or proxy_bypass_environment(host, proxies):
            return self.poolmanager
        proxy = select_proxy(f"{scheme}://{host}", proxies)
        if not proxy:
            return self.poolmanager
        manager = self.proxy_manager_for(proxy if "://" in proxy else f"http://{proxy}")
        manager.pool_classes_by_scheme = POOL_CLASSES
        return manager

    def _context(self) -> ssl.SSLContext:
        if self._ssl_context is None:
            self._ssl_context = self._settings.make_ssl_context()
        return self._ssl_context

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


class Http:
    """Sends requests; one instance serves all threads and survives a fork.

    Args:
        settings: How to reach the server.
        session: A session whose adapters, proxies, certificates and hooks are used as they are; its cookies,
            headers, ``auth`` and redirects are not.
    """

    def __init__(self, settings: TransportSettings, session: requests.Session | None = None) -> None:
        self._settings, self._session = settings.with_certificate(), session
        self._adapter = _Adapter(self._settings)
        if session is not None and session.verify is False:
            raise ConfigurationError("session.verify is False, but TLS verification cannot be switched off")
        reset_in_child(self)

    def _after_fork_in_child(self) -> None:
        self._adapter.abandon()
        self._adapter = _Adapter(self._settings)

    def close(self) -> None:
        """Close the pooled connections; a later request opens new ones."""
        self._adapter.close()

    def send(self, request: HttpRequest, deadline: Deadline) -> Reply:
        """Send a request, once, and read its whole reply.

        Args:
            request: What to send.
            deadline: When to give up, at the latest.

        Raises:
            TransportError: No whole reply came; ``may_have_reached_server`` tells whether it can be sent again.
            UnusableReplyError: A reply came that must not be read.
        """
        left = deadline.remaining()
        if left <= 0:
            raise TransportTimeoutError(
                "the deadline of the call has passed", phase="connect", may_have_reached_server=False
            )
        settings = self._settings
        timeout = Timeout(connect=min(settings.connect_timeout, left), read=min(settings.read_timeout, left))
        current_call.deadline = deadline
        response: requests.Response | None = None
        try:
            response = self._transmit(_prepare(request), timeout)
            return Reply(response.status_code, response.headers, _read(response, request.max_reply_bytes))
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            failure = _failure(error, response)
            cause = _without_secrets(error)
        finally:
            current_call.deadline = None
        raise failure from cause

    def _transmit(self, prepared: requests.PreparedRequest, timeout: Timeout) -> requests.Response:
        session = self._session
        if session is None:
            return self._adapter.send(prepared, stream=True, timeout=timeout)  # type: ignore[arg-type]  # a Timeout serves
        settings = session.merge_environment_settings(prepared.url or "", {}, True, None, None)
        if settings["verify"] is False:
            raise ConfigurationError("session.verify is False, but TLS verification cannot be switched off")
        # Not through Session.send, which keeps cookies and reads the bodies of redirects to the end.
        adapter = session.get_adapter(prepared.url or "")
        settings["stream"] = True
        response = adapter.send(prepared, timeout=timeout, **settings)  # type: ignore[arg-type]
        return dispatch_hook("response", session.hooks, response)


def _prepare(request: HttpRequest) -> requests.PreparedRequest:
    # By hand: Request.prepare would look up .netrc, merge cookies and parse the URL anew for every call.
    prepared = requests.PreparedRequest()
    prepared.method, prepared.url, prepared.body = request.method, request.url, request.body
    prepared.headers = CaseInsensitiveDict(request.headers)
    if request.body is not None:
        prepared.headers["Content-Length"] = str(len(request.body))
    return prepared


def _read(response: requests.Response, limit: int) -> bytes:
    raw = response.raw
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raw.close()
        raise UnusableReplyError(f"the reply is encoded ({encoding[:20]})", response.status_code, response.headers)
    body: bytes = raw.read(limit + 1, decode_content=False)
    # A second, empty read is what makes urllib3 notice a body that ended before its declared length.
    if len(body) > limit or raw.read(1, decode_content=False):
        raw.close()
        raise UnusableReplyError(f"the reply is longer than {limit} bytes", response.status_code, response.headers)
    raw.release_conn()
    response._content = body  # noqa: SLF001 - so that whoever records the response can read it
    return body


def _failure(error: Exception, response: requests.Response | None) -> TransportError:
    reason = _reason(error)
    status = None if response is None else response.status_code
    if isinstance(reason, EmptyPoolError):
        return TransportTimeoutError(
            "no connection became free in time; raise pool_size", phase="connect", may_have_reached_server=False
        )
    # In this order: urllib3 derives NewConnectionError from ConnectTimeoutError.
    if isinstance(reason, NewConnectionError) or isinstance(error, requests.exceptions.ProxyError):
        return TransportError("the server could not be connected to", phase="connect", may_have_reached_server=False)
    if isinstance(error, requests.ConnectTimeout) or isinstance(reason, ConnectTimeoutError):
        return TransportTimeoutError("connecting timed out", phase="connect", may_have_reached_server=False)
    if isinstance(reason, RefusedCertificateError):
        message = "TLS failed: the server refused the client certificate, or misses one"
        return TransportError(message, phase="tls", may_have_reached_server=False)
    if isinstance(reason, HandshakeError):
        return TransportError("TLS failed", phase="tls", may_have_reached_server=False)
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError | TimeoutError):
        return TransportTimeoutError("the reply did not come in time", status_code=status)
    return TransportError("the connection broke before the whole reply had come", status_code=status)


def _reason(error: Exception) -> object:
    inner = error.args[0] if isinstance(error, requests.RequestException) and error.args else error
    return getattr(inner, "reason", inner)


def _without_secrets(error: Exception) -> Exception:
    """Strip a cause of whatever holds the request: attributes, arguments, and the frames of its tracebacks."""
    if isinstance(error, requests.RequestException):
        error.request = error.response = None
    if isinstance(error, urllib3.exceptions.HTTPError):  # requests translates these only while it reads content itself
        timed_out = isinstance(error, urllib3.exceptions.TimeoutError)
        error = (requests.ReadTimeout if timed_out else requests.ConnectionError)(str(error))
    error.args = tuple(str(argument) for argument in error.args)
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
