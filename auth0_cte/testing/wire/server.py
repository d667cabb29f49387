"""The tenant on a port, over plain http or TLS."""

from __future__ import annotations

import contextlib
import shutil
import socket
import socketserver
import ssl
import struct
import sys
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final, cast

from attrs import evolve

from auth0_cte.testing.wire.authority import ServerCertificate
from auth0_cte.testing.wire.messages import Headers, Reply, TenantRequest
from auth0_cte.testing.wire.place import Place

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from auth0_cte.auth_server.server_client import ServerClient
    from auth0_cte.testing.wire.messages import Stream
    from auth0_cte.testing.wire.served import AnswersControl, ServedTenant

__all__ = ["CONTROL_PREFIX", "TenantServer"]

CONTROL_PREFIX: Final = "/_tenant/"
MAX_CONTROL_BODY: Final = 1 << 20

_ABORT: Final = struct.pack("ii", 1, 0)  # SO_LINGER with zero seconds: closing sends a reset
_JOIN_SECONDS: Final = 10.0


class _Handler(BaseHTTPRequestHandler):
    """Speaks HTTP/1.1 on one connection, which stays open between requests."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def _here(self) -> _Server:
        return cast("_Server", self.server)

    def setup(self) -> None:
        # Here and not when accepting: a slow handshake must not keep others waiting.
        if isinstance(self.request, ssl.SSLSocket):
            self.request.do_handshake()
        super().setup()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by the base class
        """Stay quiet; ``tenant.requests`` and ``tenant.logs`` tell more."""

    def _serve(self) -> None:
        length = self.headers.get("content-length", "0")
        if "transfer-encoding" in self.headers or not length.isdecimal():
            self.close_connection = True
            self._write(Reply(status=HTTPStatus.LENGTH_REQUIRED), b"")
            return
        if self._here.control is not None and self.path.startswith(CONTROL_PREFIX):
            self._serve_control(self._here.control, int(length))
            return
        host = self._here.alias_of or self.headers.get("host") or self._here.authority
        reply = self._here.tenant.handle(
            method=self.command,
            base_url=f"{self._here.scheme}://{host}",
            target=self.path,
            headers=Headers(self.headers.items()),
            body=self.rfile.read(int(length)).decode("utf-8", "replace"),
            ip=self.client_address[0],
            client_certificate=self._certificate(),
        )
        self._send(reply)

    def _serve_control(self, control: AnswersControl, length: int) -> None:
        if length > MAX_CONTROL_BODY:
            self.close_connection = True
            self._write(Reply(status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE), b"")
            return
        path, _, query = self.path.partition("?")
        reply = control.answer(
            TenantRequest(
                method=self.command,
                path=path,
                query=query,
                base_url=f"{self._here.scheme}://{self.headers.get('host', '')}",
                ip=self.client_address[0],
                date=time.time(),
                headers=Headers(self.headers.items()),
                body=self.rfile.read(length).decode("utf-8", "replace"),
            )
        )
        if isinstance(reply, Reply):
            self._send(reply)
        else:
            self._stream(reply)

    def _stream(self, stream: Stream) -> None:
        self.close_connection = True
        fields = {**stream.headers, "connection": "close"}
        self.wfile.write(_head(Reply(headers=fields)))
        for chunk in stream.chunks(self._here.closing):
            self.wfile.write(chunk)

    def _certificate(self) -> bytes | None:
        return self.request.getpeercert(binary_form=True) if isinstance(self.request, ssl.SSLSocket) else None

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve  # noqa: N815 - found by name

    def _send(self, reply: Reply) -> None:
        if reply.delay > 0:
            self._here.closing.wait(reply.delay)
        self.close_connection = self.close_connection or reply.fault is not None
        if reply.fault == "reset":
            self._here.abort(self.connection)
        elif reply.fault != "close":
            body = reply.body[: len(reply.body) // 2] if reply.fault == "half_body" else reply.body
            self._write(reply, body)

    def _write(self, reply: Reply, body: bytes) -> None:
        fields = {
            **reply.headers,
            "content-length": str(len(reply.body)),
            "connection": "close" if self.close_connection else "keep-alive",
        }
        head = _head(evolve(reply, headers=fields))
        # In one piece, so that the body does not wait for the acknowledgement of the headers.
        self.wfile.write(head + (b"" if self.command == "HEAD" else body))


def _head(reply: Reply) -> bytes:
    lines = [f"HTTP/1.1 {reply.status} {reply.reason}", *(f"{name}: {value}" for name, value in reply.headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


class _Server(ThreadingHTTPServer):
    """Accepts connections, and keeps track of them so that all can be ended."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(
        self, tenant: ServedTenant, ssl_context: ssl.SSLContext | None, place: Place, alias_of: str | None = None
    ) -> None:
        self.tenant, self.ssl_context, self.alias_of = tenant, ssl_context, alias_of
        self.control = place.control
        self._trusted: set[str] = set()
        self.scheme = "http" if ssl_context is None else "https"
        self.closing = threading.Event()
        self.accepted = 0
        self._lock = threading.Lock()
        self._open: dict[socket.socket, threading.Thread] = {}
        self._aborted: set[socket.socket] = set()
        self._name = place.name or ("127.0.0.1" if ssl_context is None else "localhost")
        self.address_family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
        super().__init__((place.host, place.port), _Handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def authority(self) -> str:
        host = f"[{self._name}]" if ":" in self._name else self._name
        usual = 80 if self.ssl_context is None else 443
        return host if self.port == usual else f"{host}:{self.port}"

    def server_bind(self) -> None:
        # HTTPServer would look up its own name, which can take seconds.
        socketserver.TCPServer.server_bind(self)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if self.ssl_context is not None:
            if self.alias_of is not None:
                self._trust_new_clients(self.ssl_context)
            connection = self.ssl_context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def _trust_new_clients(self, context: ssl.SSLContext) -> None:
        # Applications are registered while the server runs, too.
        for authority in self.tenant.client_authorities - self._trusted:
            context.load_verify_locations(cadata=authority)
            self._trusted.add(authority)

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), daemon=True, name="LocalTenant"
        )
        self.accepted += 1  # before a client can see its reply; only the accepting thread is here
        thread.start()
        # Threads that ended are dropped now, not by themselves: closing the server must be able to wait for
        # the last one.
        self._open = {each: by for each, by in self._open.items() if by.is_alive()} | {request: thread}

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            aborted = request in self._aborted
            self._aborted.discard(request)
        if aborted:
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that goes away, or does not trust the certificate, is not worth a message.
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def abort(self, connection: socket.socket) -> None:
        """Have a connection end with a reset."""
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        with self._lock:
            self._aborted.add(connection)

    def end_connections(self) -> None:
        """End all connections and wait for their threads; nothing may be accepted any more."""
        for connection, thread in self._open.items():
            with contextlib.suppress(OSError):
                # Not SSLSocket.shutdown, which pulls the rug from under a thread that reads.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
            thread.join(_JOIN_SECONDS)


class _Running:
    """A server and the thread that it accepts in."""

    def __init__(self, server: _Server) -> None:
        self._server = server
        self._thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True, name="LocalTenant"
        )
        self._thread.start()

    def close(self) -> None:
        self._server.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.end_connections()
        self._server.server_close()


class TenantServer:
    """A tenant that listens on a port, until `close` or the end of a ``with`` block.

    Args:
        tenant: The tenant.
        tls: Whether to speak TLS, with a certificate of an authority that exists for this server alone.
        mutual_tls: Whether to speak TLS, and to listen on a second port that asks for client certificates.
        place: Where it listens; any free port of the loopback interface when None.

    Attributes:
        ca_bundle: The path of the authority's certificate (PEM), or None without TLS.
        control_token: The bearer token of the control API, or None when it needs none.

    Raises:
        ConfigurationError: TLS is asked for, and trustme is not installed.
    """

    def __init__(
        self, tenant: ServedTenant, *, tls: bool = False, mutual_tls: bool = False, place: Place | None = None
    ) -> None:
        self._tenant, here = tenant, place or Place()
        certificate = ServerCertificate.make(here.names) if tls or mutual_tls else None
        self._directory = None if certificate is None else certificate.directory
        self.ca_bundle: str | None = None if certificate is None else certificate.ca_bundle
        self.control_token: str | None = None
        try:
            self._server = _Server(tenant, None if certificate is None else certificate.context, here)
        except OSError:
            self._remove_directory()
            raise
        self._running = [_Running(self._server)]
        if mutual_tls and certificate is not None:
            alias = _Server(tenant, certificate.asking, evolve(here, port=0, control=None), self._server.authority)
            self._running.append(_Running(alias))
            tenant.mtls_aliases[self.url] = f"https://{alias.authority}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<TenantServer {self.url}>"

    @property
    def url(self) -> str:
        """Where the tenant is reached: scheme, host and port, without a trailing slash."""
        return f"{self._server.scheme}://{self._server.authority}"

    @property
    def domain(self) -> str:
        """What to pass to ``ServerClient`` as ``domain``."""
        return self.url

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._server.port

    @property
    def connections(self) -> int:
        """How many connections were accepted so far."""
        return self._server.accepted

    def client(self, **overrides: Any) -> ServerClient:
        """Make a client of the tenant's default application that talks to this server.

        Args:
            **overrides: Arguments of ``ServerClient`` that differ from the usual.
        """
        trusted = {} if self.ca_bundle is None else {"ca_bundle": self.ca_bundle}
        return self._tenant.make_client({"domain": self.domain, **trusted, **overrides})

    def close(self) -> None:
        """Stop listening, end all connections and wait for their threads. A second call does nothing."""
        if self._server.closing.is_set():
            return
        for running in self._running:
            running.close()
        self._remove_directory()

    def _remove_directory(self) -> None:
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
