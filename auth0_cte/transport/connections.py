"""Pooled connections that keep a call's deadline, and are not reused once stale or when they hold unread bytes.

urllib3's time-outs bound each read; a server that drips a byte at a time passes them for ever. These connections
shrink the socket's time-out before every read, so that the deadline holds for headers and body too.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

import urllib3.connection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.response import HTTPResponse

from auth0_cte.transport.addresses import connect
from auth0_cte.transport.replies import Response, Wire, current_call

if TYPE_CHECKING:
    from urllib3.connection import HTTPConnection, HTTPSConnection

__all__ = [
    "POOL_CLASSES",
    "Connection",
    "HandshakeError",
    "RefusedCertificateError",
    "WaitingPool",
    "current_call",
    "genuine",
]

MAX_IDLE_SECONDS: Final = 4.0
"""Servers close idle connections after 5 s and more; a POST that loses that race is ambiguous, so it is avoided."""
LEAST_SECONDS: Final = 0.001
"""A time-out of 0 means that a socket does not wait at all."""

C = TypeVar("C")


def genuine(connection_class: type[C]) -> type[C]:
    """Return urllib3's own class for one that VCR derived from it: this may be imported while a cassette is in use."""
    return next(each for each in connection_class.__mro__ if each.__module__.startswith("urllib3."))


if not TYPE_CHECKING:
    HTTPConnection = genuine(urllib3.connection.HTTPConnection)
    HTTPSConnection = genuine(urllib3.connection.HTTPSConnection)


class HandshakeError(urllib3.exceptions.SSLError):
    """TLS failed before anything of the request was sent."""


class RefusedCertificateError(HandshakeError):
    """The server refused the client's certificate, or requires one."""


class Connection(HTTPConnection):
    """What all connections have in common, whichever way they reach the server."""

    timeout: Any
    _used_at = 0.0
    _connects_until = 0.0
    _held: list[bytes] | None = None
    _wire: Wire | None = None
    _is_unproven = False

    @property
    def is_connected(self) -> bool:
        """False also for one that idled for long, whose last reply was not read to its end, or that holds more."""
        if time.monotonic() - self._used_at >= MAX_IDLE_SECONDS or not super().is_connected:
            return False
        if self._wire is None or not self._wire.is_exhausted:
            return False
        # Bytes that were decrypted already are not there to be read for the operating system.
        sock: Any = self.sock
        return not (sock.pending() if isinstance(sock, ssl.SSLSocket) else _holds_plaintext(sock))

    def connect(self) -> None:
        """Connect, and tell every failure before the first byte of the request apart from those after it."""
        now = time.monotonic()
        seconds: Any = self.timeout
        self.timeout = seconds = max(LEAST_SECONDS, min(seconds, current_call.ends_at - now))
        self._connects_until = now + seconds
        try:
            super().connect()
        except ssl.SSLError as error:
            raise HandshakeError(error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(self, f"the connection to {self.host} timed out") from error
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except OSError as error:
            raise NewConnectionError(self, f"the connection to {self.host} failed: {error}") from error
        # By TLS 1.3 a client may write before the server has looked at its certificate, and learns only afterwards
        # that the handshake has failed. The server has read nothing then: RFC 8446 section 4.4.2.4.
        version = getattr(self.sock, "version", None)
        self._is_unproven = version is not None and version() == "TLSv1.3"

    def _tunnel(self) -> None:
        super()._tunnel()
        self.sock.settimeout(max(LEAST_SECONDS, self._connects_until - time.monotonic()))

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Write headers and body at once: one TLS record and one system call instead of two."""
        self.timeout = max(LEAST_SECONDS, min(self.timeout, current_call.ends_at - time.monotonic()))
        held: list[bytes] = []
        self._held = held
        try:
            super().request(*args, **kwargs)
        finally:
            self._held = None
        try:
            super().send(b"".join(held))
        except ssl.SSLEOFError:
            if not self._is_unproven:
                raise
            # The reason is still to be read, by getresponse.

    def send(self, data: Any) -> None:
        """Hold what `request` wants written, and write everything else."""
        if self._held is None:
            super().send(data)
        else:
            self._held.append(data)

    def response_class(self, sock: socket.socket, *args: Any, **kwargs: Any) -> Response:  # type: ignore[override]
        """Make the response that `http.client` reads next."""
        self._wire = Wire(sock)
        return Response(self._wire, *args, **kwargs)  # type: ignore[arg-type]  # makefile is all that is asked of it

    def getresponse(self) -> Any:
        """Wait for the reply's head.

        As urllib3 does it, but that the fields are not read, checked and copied again.
        """
        options, self._response_options = self._response_options, None
        if options is None:
            raise http.client.ResponseNotReady
        self.sock.settimeout(self.timeout)
        try:
            response: Any = super(HTTPConnection, self).getresponse()  # http.client's
        except ssl.SSLError as error:
            alert = error.reason or ""
            if self._is_unproven and "_ALERT_" in alert and ("CERTIFICATE" in alert or alert.endswith("UNKNOWN_CA")):
                raise RefusedCertificateError(error) from error
            raise
        self._is_unproven = False
        self._used_at = time.monotonic()
        return HTTPResponse(
            body=response,
            headers=response.fields,
            status=response.status,
            version=response.version,
            version_string=f"HTTP/1.{response.version - 10}",
            reason=response.reason,
            preload_content=options.preload_content,
            decode_content=options.decode_content,
            original_response=response,
            enforce_content_length=options.enforce_content_length,
            request_method=options.request_method,
            request_url=options.request_url,
        )


def _holds_plaintext(sock: Any) -> bool:
    outer = getattr(sock, "socket", None)  # of TLS within TLS, through an https:// proxy
    return outer is not None and (sock.sslobj.pending() > 0 or sock.incoming.pending > 0 or outer.pending() > 0)


class DirectConnection(Connection):
    """A connection to the server itself, or to the http:// or https:// proxy before it."""

    def _new_conn(self) -> socket.socket:
        seconds = self._connects_until - time.monotonic()
        return connect(self._dns_host, self.port, seconds, self.socket_options or ())


class SecureConnection(DirectConnection, HTTPSConnection):  # pyright: ignore[reportIncompatibleVariableOverride]
    """The same with TLS."""


class WaitingPool(HTTPConnectionPool):
    """A pool in which a call waits for a connection no longer than it may last."""

    @property
    def ConnectionCls(self) -> Any:  # type: ignore[override]  # noqa: N802 - urllib3's name
        """The class of the connections: ours, unless a test tool put its own in the place of urllib3's."""
        return chosen(HTTPConnectionPool, HTTPConnection, DirectConnection)

    def urlopen(self, *args: Any, **kwargs: Any) -> Any:
        """Send a request."""
        kwargs["pool_timeout"] = max(0.0, current_call.ends_at - time.monotonic())
        return super().urlopen(*args, **kwargs)


class SecureWaitingPool(WaitingPool, HTTPSConnectionPool):
    """The same with TLS."""

    @property
    def ConnectionCls(self) -> Any:  # type: ignore[override]  # noqa: N802
        """The class of the connections."""
        return chosen(HTTPSConnectionPool, HTTPSConnection, SecureConnection)


def chosen(pool_class: Any, theirs: type, ours: type) -> Any:
    """Return the connection class that a test tool gave to urllib3's own pools, or ours."""
    current = pool_class.ConnectionCls
    return ours if current is theirs else current


POOL_CLASSES: Final[dict[str, type[HTTPConnectionPool]]] = {"http": WaitingPool, "https": SecureWaitingPool}
