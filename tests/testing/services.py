"""A server that Actions ask: a key set, and whatever a test lets it answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar


class Services(ThreadingHTTPServer):
    """Answers GET with its keys, and POST with its document.

    Attributes:
        keys: The key set that it publishes.
        document: The reply to POST: bytes as they are, anything else as JSON.
        status: The status of all replies.
        asked: The path, the Authorization header and the body of each POST.
    """

    daemon_threads = True

    def __init__(self, keys: list[Mapping[str, Any]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.keys = keys
        self.document: Any = None
        self.status = 200
        self.asked: list[tuple[str, str, str]] = []

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, body: str) -> Any:
        """Return the reply to the body of a POST."""
        return self.document


class _Handler(BaseHTTPRequestHandler):
    server: Services  # pyright: ignore[reportIncompatibleVariableOverride]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Stay quiet."""

    def do_GET(self) -> None:
        self._reply({"keys": self.server.keys})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        self.server.asked.append((self.path, self.headers["authorization"], body))
        self._reply(self.server.answer(body))

    def _reply(self, document: Any) -> None:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(self.server.status)
        self.send_header("location", "/elsewhere")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


S = TypeVar("S", bound=Services)


@contextmanager
def serving(services: S) -> Iterator[S]:
    """Serve until the end of the block."""
    with services as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
