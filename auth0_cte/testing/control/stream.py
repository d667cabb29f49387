"""Journals as lists, and as streams: server-sent events, or a line of JSON for each entry."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import parse_qs

from auth0_cte.testing.wire.messages import RefusalError, Reply, Stream, json_reply

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Mapping

    from auth0_cte.testing.journal import Journal
    from auth0_cte.testing.wire.messages import TenantRequest

__all__ = ["serve_journal"]

T = TypeVar("T")

_STREAMS: Final = ("text/event-stream", "application/x-ndjson")
_WAIT_SECONDS: Final = 0.2
_ALIVE_SECONDS: Final = 15.0


def serve_journal(
    name: str, journal: Journal[T], show: Callable[[T], Mapping[str, Any]], request: TenantRequest
) -> Reply | Stream:
    """Answer with the entries of a journal after a position; as a stream when ``Accept`` asks for one.

    Args:
        name: What the entries are called.
        journal: The journal.
        show: Makes JSON of an entry.
        request: The request: ``?after=`` or ``Last-Event-ID`` is the position.

    Raises:
        RefusalError: The position is not a number.
    """
    position = _position(request)
    wanted = request.headers.get("accept", "")
    kind = next((each for each in _STREAMS if each in wanted), None)
    if kind is None:
        entries, position = journal.follow(position)
        return json_reply({name: [show(entry) for entry in entries], "next": position})

    def chunks(closing: threading.Event) -> Iterator[bytes]:
        at, written = position, time.monotonic()
        yield b": \n\n" if kind == _STREAMS[0] else b"\n"
        while not closing.is_set():
            entries, at = journal.follow(at, _WAIT_SECONDS)
            first = at - len(entries)
            for number, entry in enumerate(entries, first + 1):
                text = json.dumps(show(entry), default=str)
                yield (f"id: {number}\ndata: {text}\n\n" if kind == _STREAMS[0] else f"{text}\n").encode()
            if entries:
                written = time.monotonic()
            elif time.monotonic() - written > _ALIVE_SECONDS:  # finds out whether somebody still reads
                written = time.monotonic()
                yield b": \n\n" if kind == _STREAMS[0] else b"\n"

    return Stream(headers={"content-type": kind}, chunks=chunks)


def _position(request: TenantRequest) -> int:
    given = parse_qs(request.query).get("after", [request.headers.get("last-event-id", "0")])[-1]
    if not given.isascii() or not given.isdecimal() or len(given) > 15:
        raise RefusalError(400, "invalid_request", "after must be a number from 0.")
    return int(given)
