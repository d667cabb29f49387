"""What servers on loopback sockets have in common: a thread for each connection, and an end to all of them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from attrs import define, field


@define
class Listener:
    """Listens on a loopback port from its making on, and serves connections from when it is entered.

    ``opened`` counts connections.
    """

    port: int = field(kw_only=True, default=0)
    opened: int = field(init=False, default=0)
    _listener: socket.socket = field(init=False)
    _threads: list[threading.Thread] = field(init=False, factory=list)
    _sockets: list[socket.socket] = field(init=False, factory=list)

    def __attrs_post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self.port = int(self._listener.getsockname()[1])

    def serve(self, connection: socket.socket, number: int) -> None:
        """Serve a connection; ``number`` counts from 1."""
        raise NotImplementedError

    def start(self, work: Callable[..., None], *arguments: object) -> None:
        """Do something in a thread that is waited for in the end."""
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def close_later(self, connection: socket.socket) -> socket.socket:
        """Have a socket closed in the end."""
        self._sockets.append(connection)
        return connection

    def wait_for_close(self) -> None:
        """Wait until the newest connection has ended: its FIN or RST is at the peer by then."""
        self._threads[-1].join(10)

    def stop_listening(self) -> None:
        """Refuse connections from now on."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def __enter__(self) -> Self:
        self.start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_listening()
        for connection in self._sockets:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(10)
        for connection in self._sockets:
            connection.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.opened += 1
                self.start(self._serve, self.close_later(connection), self.opened)

    def _serve(self, connection: socket.socket, number: int) -> None:
        with suppress(OSError, ValueError):
            self.serve(connection, number)
