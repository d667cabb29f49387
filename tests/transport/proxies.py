"""Proxies on loopback sockets: one that takes CONNECT, in plain text or with TLS, and a SOCKS5 server."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress

from attrs import define, field

from tests.listener import Listener


@define
class Tunnel(Listener):
    """A proxy that leads every connection to one port of this machine, whatever host was asked for.

    Args:
        target: The port.
        tls: Its own certificate, for a proxy that is spoken to by TLS.
        refusal: A whole reply to CONNECT instead of the connection; called with the number of the connection.
        pause: Seconds to wait before it hands a reply on, so that what comes meanwhile goes together.

    ``asked`` holds the place and the header lines of each CONNECT, in lower case.
    """

    target: int
    tls: ssl.SSLContext | None = None
    refusal: Callable[[int], bytes | None] = lambda _number: None
    pause: float = 0.0
    asked: list[tuple[str, list[str]]] = field(factory=list)

    scheme = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme if self.tls is None else 'https'}://localhost:{self.port}"

    def serve(self, connection: socket.socket, number: int) -> None:
        client = connection if self.tls is None else self.tls.wrap_socket(connection, server_side=True)
        self.close_later(client)
        if self._greet(client, number):
            server = self.close_later(socket.create_connection(("127.0.0.1", self.target)))
            self.start(_pump, client, server, 0.0)
            _pump(server, client, self.pause)

    def _greet(self, client: socket.socket, number: int) -> bool:
        head = b""
        while b"\r\n\r\n" not in head:
            part = client.recv(4096)
            if not part:
                return False
            head += part
        request, *headers = head.decode("latin-1").strip().lower().split("\r\n")
        self.asked.append((request.split(" ")[1], headers))
        refusal = self.refusal(number)
        client.sendall(refusal or b"HTTP/1.1 200 Connection Established\r\n\r\n")
        if refusal is not None:
            client.shutdown(socket.SHUT_WR)
        return refusal is None


@define
class SocksServer(Tunnel):
    """The same by SOCKS5 (RFC 1928), for host names.

    Args:
        user: The user name and the password that it wants (RFC 1929), or None for no authentication.
        answer: Its answer to a request; 0 is success.
    """

    user: tuple[str, str] | None = None
    answer: int = 0

    scheme = "socks5h"

    def _greet(self, client: socket.socket, number: int) -> bool:
        methods = client.recv(256)[2:]
        wanted = 0 if self.user is None else 2
        if wanted not in methods:
            client.sendall(b"\x05\xff")
            return False
        client.sendall(bytes([5, wanted]))
        if self.user is not None and not self._is_user(client):
            return False
        request = client.recv(512)
        host, port = request[5 : 5 + request[4]].decode(), int.from_bytes(request[-2:], "big")
        self.asked.append((f"{host}:{port}", [f"kind {request[3]}"]))
        client.sendall(bytes([5, self.answer, 0, 1, 0, 0, 0, 0, 0, 0]))
        return self.answer == 0

    def _is_user(self, client: socket.socket) -> bool:
        given = client.recv(512)
        name, rest = given[2 : 2 + given[1]].decode(), given[2 + given[1] :]
        is_right = (name, rest[1:].decode()) == self.user
        client.sendall(bytes([1, 0 if is_right else 1]))
        return is_right


def _pump(source: socket.socket, sink: socket.socket, pause: float) -> None:
    with suppress(OSError):
        while not pause or source.recv(1, socket.MSG_PEEK):
            time.sleep(pause)
            data = source.recv(65_536)
            if not data:
                break
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
