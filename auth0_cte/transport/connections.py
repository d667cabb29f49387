"""Pooled connections that keep a call's deadline and are not reused once they are stale.

urllib3's time-outs bound each read; a server that drips a byte at a time passes them for ever. These connections
shrink the socket's time-out before every read, so that the deadline holds for headers and body too.
"""

from __future__ import annotations

import http.client
import io
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

if TYPE_CHECKING:
    import socket

    from auth0_cte.foundation.deadline import Deadline

__all__ = ["POOL_CLASSES", "HandshakeError", "RefusedCertificateError", "current_call"]

MAX_IDLE_SECONDS: Final = 4.0
"""Servers close idle connections after 5 s and more; a POST that loses that race is ambiguous, so it is avoided."""


class _CurrentCall(threading.local):
    """What the running call allows; a connection serves one thread at a time, so a thread-local reaches it."""

    deadline: Deadline | None = None


current_call: Final = _CurrentCall()


class HandshakeError(urllib3.exceptions.SSLError):
    """TLS failed before anything of the request was sent."""


class RefusedCertificateError(HandshakeError):
    """The server did not take the client's certificate, or misses one."""


class _DeadlineReader(io.RawIOBase):
    """Reads from a socket, never beyond the deadline of the call that it was made in."""

    def __init__(self, raw: Any, sock: socket.socket, deadline: Deadline) -> None:
        self._raw, self._sock, self._deadline = raw, sock, deadline
        self._each = sock.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline.remaining()
        if left <= 0:
            raise TimeoutError("the deadline of the call has passed")
        self._sock.settimeout(left if self._each is None else min(self._each, left))
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        if current_call.deadline is not None:
            raw = self.fp.detach()
            self.fp = io.BufferedReader(_DeadlineReader(raw, sock, current_call.deadline))


class _Connection(HTTPConnection):
    response_class = _Response
    _used_at = 0.0
    _held: list[bytes] | None = None
    _is_unproven = False

    @property
    def is_connected(self) -> bool:
        """False also for a connection that idled too long to be trusted with a token."""
        return time.monotonic() - self._used_at < MAX_IDLE_SECONDS and super().is_connected

    def connect(self) -> None:
        """Connect, and tell every failure before the first byte of the request apart from those after it."""
        try:
            super().connect()
            # By TLS 1.3 a client may write before the server has looked at its certificate, and learns only afterwards
            # that the handshake has failed. The server has read nothing then: RFC 8446 section 4.4.2.4.
            self._is_unproven = isinstance(self.sock, ssl.SSLSocket) and self.sock.version() == "TLSv1.3"
        except ssl.SSLError as error:
            raise HandshakeError(error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(self, f"the connection to {self.host} timed out") from error
        except OSError as error:
            raise NewConnectionError(self, f"the connection to {self.host} failed: {error}") from error

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Write headers and body at once: one TLS record and one system call instead of two."""
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

    def getresponse(self) -> Any:
        """Wait for the reply's headers."""
        try:
            response = super().getresponse()
        except ssl.SSLError as error:
            alert = error.reason or ""
            if self._is_unproven and "_ALERT_" in alert and ("CERTIFICATE" in alert or alert.endswith("UNKNOWN_CA")):
                raise RefusedCertificateError(error) from error
            raise
        self._is_unproven = False
        self._used_at = time.monotonic()
        return response


class _SecureConnection(_Connection, HTTPSConnection):
    pass


class _WaitingPool(HTTPConnectionPool):
    ConnectionCls: Any = _Connection

    def urlopen(self, *args: Any, **kwargs: Any) -> Any:
        """Wait for a free connection no longer than the call may last."""
        deadline = current_call.deadline
        if deadline is not None:
            kwargs["pool_timeout"] = deadline.remaining()
        return super().urlopen(*args, **kwargs)


class _SecureWaitingPool(_WaitingPool, HTTPSConnectionPool):
    ConnectionCls: Any = _SecureConnection


POOL_CLASSES: Final[dict[str, type[HTTPConnectionPool]]] = {"http": _WaitingPool, "https": _SecureWaitingPool}
