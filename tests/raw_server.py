"""A server on a loopback socket that answers with whatever bytes a test wants, and remembers what it was sent."""

from __future__ import annotations

import fcntl
import json
import socket
import ssl
import termios
import time
from collections.abc import Callable, Iterable

from attrs import define, field

from tests.listener import Listener

Script = Callable[["Arrived", socket.socket], None]


@define
class Arrived:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: str
    connection: int = 0


def reply(body: str | bytes, status: str = "200 OK", headers: Iterable[str] = ()) -> bytes:
    """Put a whole HTTP reply together."""
    data = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(data)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + data


def send(*chunks: bytes) -> Script:
    """Answer with these bytes."""

    def script(_request: Arrived, connection: socket.socket) -> None:
        for chunk in chunks:
            connection.sendall(chunk)

    return script


def wait_until_delivered(connection: socket.socket) -> None:
    """Wait until the other side's system has all that was sent: on a busy machine even loopback takes a moment."""
    unacknowledged = bytearray(4)
    while True:
        fcntl.ioctl(connection, termios.TIOCOUTQ, unacknowledged)
        if not any(unacknowledged):
            return
        time.sleep(0.001)


TOKENS = json.dumps({"access_token": "issued", "token_type": "Bearer", "expires_in": 60})


@define
class RawServer(Listener):
    """Answers discovery by itself, and everything else with the scripts in ``scripts``, the last one repeated.

    With ``tls`` it is ``https://localhost``. ``greet`` is given the number of each new connection and its socket, and
    returns the socket to serve, or None when it has done with it. ``on_discovery`` is called before the reply, whose
    ``discovery_headers`` may end the connection. ``arrived`` holds the requests to the token endpoint, ``everything``
    all of them.
    """

    scripts: list[Script] = field(factory=lambda: [send(reply(TOKENS))])
    metadata: dict[str, object] = field(factory=dict)
    tls: ssl.SSLContext | None = None
    greet: Callable[[int, socket.socket], socket.socket | None] = lambda _number, connection: connection
    on_discovery: Callable[[], None] = lambda: None
    discovery_headers: list[str] = field(factory=list)
    everything: list[Arrived] = field(factory=list)

    @property
    def url(self) -> str:
        place = "http://127.0.0.1" if self.tls is None else "https://localhost"
        return f"{place}:{self.port}"

    @property
    def arrived(self) -> list[Arrived]:
        return [request for request in self.everything if request.path == "/oauth/token"]

    def serve(self, connection: socket.socket, number: int) -> None:
        greeted = self.greet(number, connection)
        if greeted is None:
            return
        if self.tls is None:
            self._converse(greeted, number)
            return
        with self.tls.wrap_socket(greeted, server_side=True) as secured:
            self._converse(secured, number)

    def _converse(self, connection: socket.socket, number: int) -> None:
        with connection.makefile("rb") as stream:
            while True:
                request = _read(stream, number)
                if request is None:
                    return
                self.everything.append(request)
                self._answer(request, connection)

    def _answer(self, request: Arrived, connection: socket.socket) -> None:
        if request.path == "/.well-known/openid-configuration":
            issuer = self.url + "/"
            document = {"issuer": issuer, "token_endpoint": issuer + "oauth/token", "jwks_uri": issuer + "jwks"}
            self.on_discovery()
            connection.sendall(reply(json.dumps(document | self.metadata), headers=self.discovery_headers))
            return
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        script(request, connection)


def _read(stream: object, number: int) -> Arrived | None:
    line = stream.readline().decode("latin-1")  # type: ignore[attr-defined]
    if not line.strip():
        return None
    method, path, _ = line.split(" ", 2)
    headers = {}
    while (line := stream.readline().decode("latin-1").strip()) != "":  # type: ignore[attr-defined]
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    body = stream.read(int(headers.get("content-length", "0"))).decode("latin-1")  # type: ignore[attr-defined]
    return Arrived(method, path, headers, body, number)
