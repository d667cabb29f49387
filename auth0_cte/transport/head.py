"""The head of a reply, read strictly: status line and fields (RFC 9112 sections 4 and 5).

What is refused here is what two readers could understand differently. A lenient reader leaves the rest of such a reply
on the connection, where the next call would take it for its own.
"""

from __future__ import annotations

import re
from http.client import HTTPException
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_HEAD_BYTES", "Head", "RefusedReplyError", "read_head"]

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
_OPTIONS: Final = re.compile(r"[^,\t\x20]+").findall


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


def read_head(read: Callable[[], bytes]) -> Head:
    """Read the head of the final reply, and skip the interim replies before it.

    Args:
        read: Reads a head, up to the empty line that ends it.

    Raises:
        RefusedReplyError: The head is not well-formed, or there are too many interim replies.
    """
    for _ in range(MAX_INTERIM_REPLIES + 1):
        block = read().decode("latin-1")
        line = _STATUS_LINE(block)
        if line is None:
            raise RefusedReplyError("its status line is malformed")
        found = _FIELDS(block, line.end(), len(block) - 2)
        if found and found[-1][2]:
            raise RefusedReplyError("a header field is malformed")
        if len(found) > MAX_FIELDS:
            raise RefusedReplyError(f"it has more than {MAX_FIELDS} header fields")
        status = int(line[2])
        if status >= 200 or status == SWITCHING_PROTOCOLS:
            fields = [(name, value.rstrip("\t ")) for name, value, _ in found]
            return _framed(10 + int(line[1]), status, line[3] or "", fields)
    raise RefusedReplyError(f"more than {MAX_INTERIM_REPLIES} interim responses precede it")


def _framed(version: int, status: int, reason: str, fields: list[tuple[str, str]]) -> Head:
    lengths: set[str] = set()
    codings: list[str] = []
    options = ""
    for name, value in fields:
        lowered = name.lower()
        if lowered == "content-length":
            lengths.update(value.replace(" ", "").replace("\t", "").split(",") if "," in value else (value,))
        elif lowered == "transfer-encoding":
            codings.append(value.lower())
        elif lowered == "connection":
            options += f"{value.lower()},"
    if len(lengths) > 1 or not all(map(_LENGTH, lengths)):
        raise RefusedReplyError("its Content-Length is malformed or contradictory")
    if codings and (codings != ["chunked"] or lengths or version == 10):
        raise RefusedReplyError("its Transfer-Encoding is not chunked, or contradicts its Content-Length or version")
    length = 0 if status in NO_BODY else int(lengths.pop()) if lengths else None
    chunked = bool(codings) and length is None
    closes = "close" in _OPTIONS(options) or (length is None and not chunked) or status == SWITCHING_PROTOCOLS
    if version == 10 and "keep-alive" not in _OPTIONS(options):
        closes = True
    return Head(version, status, reason, fields, length, chunked, closes)
