"""A reply as it is read from a connection: never beyond the deadline, and never more of it than belongs to it."""

from __future__ import annotations

import http.client
import re
import threading
import time
from collections.abc import ItemsView
from typing import TYPE_CHECKING, Any, Final

from urllib3 import HTTPHeaderDict

from auth0_cte.transport.head import MAX_HEAD_BYTES, RefusedReplyError, read_head

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

__all__ = ["Fields", "Response", "Wire", "current_call"]

RECEIVED_AT_ONCE: Final = 16 * 1024
"""As much as a TLS record holds: a reply of the usual size is there at once."""
MAX_CHUNK_LINE: Final = 4096

_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[\t ]*(?:;[^\r\n]*)?\r\n").fullmatch


class _CurrentCall(threading.local):
    """What the running call allows; a connection serves one thread at a time, so a thread-local reaches it.

    Attributes:
        ends_at: When the call ends, by ``time.monotonic``.
    """

    ends_at: float = float("inf")


current_call: Final = _CurrentCall()


class Wire:
    """What a connection brings in answer to one request.

    `http.client` reads it as the file that it makes of a socket. Unlike such a file it ends with the call, and knows
    whether anything came that nobody asked for.

    Args:
        sock: The socket; its time-out bounds each wait.

    Attributes:
        is_exhausted: Whether it was closed when all that had been received was used up.
    """

    def __init__(self, sock: socket.socket) -> None:
        # A connection that ends with its reply is closed before the reply is read; a file made of it keeps it open.
        self._file = sock.makefile("rb", buffering=0)
        self._socket, self._each = sock, sock.gettimeout()
        self._ahead = bytearray()  # received, and not used yet
        self.is_exhausted: bool = False

    def makefile(self, _mode: str) -> Wire:
        """Return itself."""
        return self

    def read_head(self) -> bytes:
        """Read up to the empty line after a head.

        Raises:
            RefusedReplyError: It is too large, is cut off, or has lines that do not end as they must.
            RemoteDisconnected: Nothing came.
        """
        ahead, seen = self._ahead, 0
        while (end := ahead.find(b"\r\n\r\n", seen)) < 0:
            seen = max(0, len(ahead) - 3)
            if len(ahead) > MAX_HEAD_BYTES or b"\n\n" in ahead or not self._receive():
                break
        if not ahead:
            raise http.client.RemoteDisconnected("the connection was closed without a response")
        if not 0 <= end <= MAX_HEAD_BYTES - 4:
            raise RefusedReplyError("its head is cut off, is too long or has lines that do not end with CR LF")
        head = bytes(ahead[: end + 4])
        del ahead[: end + 4]
        return head

    def read(self, count: int) -> bytes:
        """Read so many bytes, or fewer where the connection ends."""
        ahead = self._ahead
        while len(ahead) < count and self._receive():
            pass
        taken = bytes(ahead[:count])
        del ahead[:count]
        return taken

    def readline(self, limit: int) -> bytes:
        """Read up to the end of a line, or so many bytes."""
        seen = 0
        while (end := self._ahead.find(b"\n", seen, limit)) < 0:
            seen = len(self._ahead)
            if seen >= limit or not self._receive():
                return self.read(min(limit, len(self._ahead)))
        return self.read(end + 1)

    def _receive(self) -> bool:
        left = current_call.ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline of the call has passed")
        self._socket.settimeout(left if self._each is None else min(self._each, left))
        received = self._file.read(RECEIVED_AT_ONCE) or b""
        self._ahead += received
        return bool(received)

    def close(self) -> None:
        """Let the socket be closed when the connection is."""
        self.is_exhausted = not self._ahead
        self._file.close()

    def flush(self) -> None:
        """Do nothing: nothing is written."""


class Fields(HTTPHeaderDict):
    """The fields of a reply, names in any case: what urllib3, requests and we have in common, made once.

    A repeated field is one whose values are joined by commas, in `items` as well: who looks for a nonce there must not
    take the last of two for the only one.

    Args:
        fields: The fields as they came.
    """

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._container = {}
        for name, value in fields:
            self._container.setdefault(name.lower(), [name]).append(value)

    def items(self) -> ItemsView[str, str]:  # type: ignore[override]  # of urllib3, a view that repeats them
        """Return names and values, each name once."""
        return ItemsView(self)


class Response(http.client.HTTPResponse):
    """A response whose head and chunks are read strictly.

    Attributes:
        fields: The fields, once it has begun.
    """

    fields: Fields
    version: int
    reason: str
    chunked: bool
    chunk_left: int | None
    code: int
    status: int
    length: int | None
    will_close: bool
    headers: http.client.HTTPMessage
    msg: http.client.HTTPMessage

    def begin(self) -> None:
        """Read the head of the reply, and skip interim ones."""
        wire: Any = self.fp
        head = read_head(wire.read_head)
        self.version, self.reason, self.chunked, self.chunk_left = head.version, head.reason, head.chunked, None
        self.code = self.status = head.status
        self.length, self.will_close = head.length, head.closes
        self.fields = Fields(head.fields)
        self.headers = self.msg = http.client.HTTPMessage()
        for name, value in head.fields:
            self.msg.set_raw(name, value)

    def _read_next_chunk_size(self) -> int:
        # int(), by which http.client reads it, takes signs, underscores and "0x" as well.
        line = _CHUNK_LINE(self.fp.readline(MAX_CHUNK_LINE))
        if line is None:
            raise RefusedReplyError("the size of a chunk is malformed")
        return int(line[1], 16)
