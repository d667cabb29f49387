"""A reply as it is read from a connection: never beyond the deadline, and never more of it than belongs to it."""

from __future__ import annotations

import http.client
import io
import re
from collections.abc import ItemsView
from typing import TYPE_CHECKING, Any, Final

from urllib3 import HTTPHeaderDict

from auth0_cte.transport.head import RefusedReplyError, read_head

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

    from auth0_cte.foundation.deadline import Deadline

__all__ = ["Fields", "Response", "ResponseStream"]

BUFFER_BYTES: Final = 16 * 1024
"""As much as a TLS record holds: a reply of the usual size is there at once."""
MAX_CHUNK_LINE: Final = 4096

_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[\t ]*(?:;[^\r\n]*)?\r\n").fullmatch


class _DeadlineReader(io.RawIOBase):
    """Reads from a socket, never beyond the deadline of the call that it was made in."""

    def __init__(self, sock: socket.socket, deadline: Deadline | None) -> None:
        # Not the socket itself: a connection that ends with its reply is closed before the reply is read, and a file
        # made of the socket keeps it open.
        self._raw, self._sock, self._deadline = sock.makefile("rb", buffering=0), sock, deadline
        self._each = sock.gettimeout()
        self._is_muted = False

    def mute(self) -> None:
        """Read nothing more."""
        self._is_muted = True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._is_muted:
            return None
        if self._deadline is not None:
            left = self._deadline.remaining()
            if left <= 0:
                raise TimeoutError("the deadline of the call has passed")
            self._sock.settimeout(left if self._each is None else min(self._each, left))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class ResponseStream(io.BufferedReader):
    """What a connection brings in answer to one request.

    Args:
        sock: The socket.
        deadline: When reading ends, at the latest.

    Attributes:
        is_exhausted: Whether it was closed when all that had been read from the socket was used up.
    """

    is_exhausted: bool = False

    def __init__(self, sock: socket.socket, deadline: Deadline | None) -> None:
        self._reader = _DeadlineReader(sock, deadline)
        super().__init__(self._reader, BUFFER_BYTES)

    def makefile(self, _mode: str) -> ResponseStream:
        """Return the stream: `http.client` makes one of the socket that it is given."""
        return self

    def close(self) -> None:
        """Close the stream."""
        if not self.closed:
            self._reader.mute()
            self.is_exhausted = not self.peek(1)
        super().close()


class Fields(HTTPHeaderDict):
    """The fields of a reply, names in any case: what urllib3, requests and we have in common, made once.

    A repeated field is one whose values are joined by commas, in `items` as well: who looks for a nonce there must not
    take the last of two for the only one.

    Args:
        fields: The fields as they came.
    """

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._container: dict[str, list[str]] = {}
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

    def begin(self) -> None:
        """Read the head of the reply, and skip interim ones."""
        head = read_head(self.fp)
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
