"""The head of a reply, read strictly: status line and fields (RFC 9112 sections 4 and 5).

What is refused here is what two readers could understand differently. A lenient reader leaves the rest of such a reply
on the connection, where the next call would take it for its own.
"""

from __future__ import annotations

import re
from http.client import HTTPException, RemoteDisconnected
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from io import BufferedReader

__all__ = ["Head", "RefusedReplyError", "read_head"]

MAX_HEAD_BYTES: Final = 64 * 1024
MAX_FIELDS: Final = 100
MAX_INTERIM_REPLIES: Final = 16
SWITCHING_PROTOCOLS: Final = 101
NO_BODY: Final = frozenset({SWITCHING_PROTOCOLS, 204, 304})

_STATUS_LINE: Final = re.compile(r"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?\r\n").match
# A field, or whatever else up to the end. A value has no control character but the tab, and no line begins with a
# blank: that would continue the line before it (obs-fold).
_FIELDS: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t\x20]*([\t\x20-\x7e\x80-\xff]*)\r\n|((?s:.+))").findall
_LENGTH: Final = re.compile(r"[0-9]{1,18}").fullmatch


class RefusedReplyError(HTTPException):
    """A reply does not follow HTTP, so that nobody knows where it ends."""


class Head(NamedTuple):
    """The head of a final reply.

    Attributes:
        version: 10 or 11.
        status: The status code.
        reason: The reason phrase, which may be empty.
        fields: The fields as they came, repeated ones each by itself.
        length: The length of the body; None when it comes in chunks, or ends with the connection.
        chunked: Whether the body comes in chunks.
        closes: Whether the connection ends with this reply.
    """

    version: int
    status: int
    reason: str
    fields: list[tuple[str, str]]
    length: int | None
    chunked: bool
    closes: bool


def read_head(stream: BufferedReader) -> Head:
    """Read the head of the final reply, and skip the interim replies before it.

    Args:
        stream: Where the reply begins; afterwards, where its body begins.

    Raises:
        RefusedReplyError: The head is not well-formed, or too large, or there are too many interim replies.
        RemoteDisconnected: The connection ended before the reply began.
    """
    for _ in range(MAX_INTERIM_REPLIES + 1):
        block = _read_block(stream).decode("latin-1")
        line = _STATUS_LINE(block)
        if line is None:
            raise RefusedReplyError("its status line is malformed")
        fields = _split(block[line.end() : -2])
        status = int(line[2])
        if status >= 200 or status == SWITCHING_PROTOCOLS:
            return _head(10 + int(line[1]), status, line[3] or "", fields)
    raise RefusedReplyError(f"more than {MAX_INTERIM_REPLIES} interim responses precede it")


def _read_block(stream: BufferedReader) -> bytes:
    end = stream.peek(1).find(b"\r\n\r\n")
    if end >= 0:
        return stream.read(end + 4)
    lines, left = list[bytes](), MAX_HEAD_BYTES
    while not lines or lines[-1] != b"\r\n":
        line = stream.readline(left)
        if not line and not lines:
            raise RemoteDisconnected("the connection was closed without a response")
        if not line.endswith(b"\r\n"):
            raise RefusedReplyError("a line of its head is cut off, is too long or does not end with CR LF")
        lines.append(line)
        left -= len(line)
    return b"".join(lines)


def _split(block: str) -> list[tuple[str, str]]:
    found = _FIELDS(block)
    if found and found[-1][2]:
        raise RefusedReplyError("a header field is malformed")
    if len(found) > MAX_FIELDS:
        raise RefusedReplyError(f"it has more than {MAX_FIELDS} header fields")
    return [(name, value.rstrip("\t ")) for name, value, _ in found]


def _head(version: int, status: int, reason: str, fields: list[tuple[str, str]]) -> Head:
    lengths: set[str] = set()
    codings: list[str] = []
    options: set[str] = set()
    for name, value in fields:
        lowered = name.lower()
        if lowered == "content-length":
            lengths.update(_members(value))
        elif lowered == "transfer-encoding":
            codings.append(value.lower())
        elif lowered == "connection":
            options.update(_members(value.lower()))
    if len(lengths) > 1 or not all(map(_LENGTH, lengths)):
        raise RefusedReplyError("its Content-Length is malformed or contradictory")
    if codings and (codings != ["chunked"] or lengths or version == 10):
        raise RefusedReplyError("its Transfer-Encoding is not chunked, or contradicts its Content-Length or version")
    length = 0 if status in NO_BODY else int(lengths.pop()) if lengths else None
    chunked = bool(codings) and length is None
    closes = "close" in options or (length is None and not chunked) or status == SWITCHING_PROTOCOLS
    if version == 10 and "keep-alive" not in options:
        closes = True
    return Head(version, status, reason, fields, length, chunked, closes)


def _members(value: str) -> list[str]:
    return [member.strip("\t ") for member in value.split(",")]
