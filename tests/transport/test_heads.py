"""What is read of the head of a reply, what is refused, and that nobody reads what was another's."""

from __future__ import annotations

import random
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Self

import pytest
from attrs import define, field

from auth0_cte import TransportError
from auth0_cte.foundation.deadline import Deadline
from auth0_cte.transport.client import Http, HttpRequest, Reply, TransportSettings, UnusableReplyError
from tests.raw_server import wait_until_delivered

MUTATED_HEADS = 10_000
PARTS = 4
"""Parts of that test that can run beside each other."""

BODY = b"hello"
OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = b"Content-Length: 5\r\n"

READ: dict[str, tuple[bytes, int, bytes]] = {
    "usual": (OK + LENGTH + b"\r\n" + BODY, 200, BODY),
    "without-reason": (b"HTTP/1.1 200 \r\n" + LENGTH + b"\r\n" + BODY, 200, BODY),
    "without-reason-and-blank": (b"HTTP/1.1 200\r\n" + LENGTH + b"\r\n" + BODY, 200, BODY),
    "reason-in-latin-1": (b"HTTP/1.1 200 d\xe9j\xe0 vu\r\n" + LENGTH + b"\r\n" + BODY, 200, BODY),
    "http-1.0": (b"HTTP/1.0 200 OK\r\n" + LENGTH + b"\r\n" + BODY, 200, BODY),
    "unknown-status": (b"HTTP/1.1 799 Odd\r\n" + LENGTH + b"\r\n" + BODY, 799, BODY),
    "no-blank-after-colon": (OK + b"Content-Length:5\r\n\r\n" + BODY, 200, BODY),
    "tabs-around-value": (OK + b"Content-Length:\t 5 \t\r\n\r\n" + BODY, 200, BODY),
    "empty-value": (OK + b"X-Empty:\r\n" + LENGTH + b"\r\n" + BODY, 200, BODY),
    "colons-in-value": (OK + b"X: a:b::c\r\n" + LENGTH + b"\r\n" + BODY, 200, BODY),
    "latin-1-value": (OK + b"X: \xfc\r\n" + LENGTH + b"\r\n" + BODY, 200, BODY),
    "name-in-other-case": (OK + b"cOnTeNt-LeNgTh: 5\r\n\r\n" + BODY, 200, BODY),
    "odd-name": (OK + b"!#$%&'*+-.^_`|~1: x\r\n" + LENGTH + b"\r\n" + BODY, 200, BODY),
    "same-length-twice": (OK + LENGTH + LENGTH + b"\r\n" + BODY, 200, BODY),
    "same-length-in-a-list": (OK + b"Content-Length: 5, 5\r\n\r\n" + BODY, 200, BODY),
    "leading-zeros": (OK + b"Content-Length: 0005\r\n\r\n" + BODY, 200, BODY),
    "hundred-fields": (OK + b"X: y\r\n" * 99 + LENGTH + b"\r\n" + BODY, 200, BODY),
    "large-field": (OK + b"X: " + b"y" * 60_000 + b"\r\n" + LENGTH + b"\r\n" + BODY, 200, BODY),
    "chunked": (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 200, BODY),
    "chunked-in-capitals": (OK + b"Transfer-Encoding: CHUNKED\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 200, BODY),
    "chunk-extension": (OK + b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: trailer\r\n\r\n", 200, BODY),
    "no-content": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    "not-modified": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, b""),
    "switching": (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", 101, b""),
    "until-the-end": (OK + b"\r\n" + BODY, 200, BODY),
    "early-hints": (
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n" + OK + LENGTH + b"\r\n" + BODY,
        200,
        BODY,
    ),
    "processing": (b"HTTP/1.1 102 Processing\r\n\r\n" + OK + LENGTH + b"\r\n" + BODY, 200, BODY),
    "several-interim": (b"HTTP/1.1 100 Continue\r\n\r\n" * 16 + OK + LENGTH + b"\r\n" + BODY, 200, BODY),
    "interim-with-length": (
        b"HTTP/1.1 103 Early\r\nContent-Length: 7\r\n\r\n" + OK + LENGTH + b"\r\n" + BODY,
        200,
        BODY,
    ),
}

REFUSED: dict[str, bytes] = {
    "folded": OK + LENGTH + b"X: a\r\n b\r\n\r\n" + BODY,
    "folded-by-tab": OK + LENGTH + b"X: a\r\n\tb\r\n\r\n" + BODY,
    "folded-length": OK + b"Content-Length:\r\n 5\r\n\r\n" + BODY,
    "blank-before-first": OK + b" X: a\r\n" + LENGTH + b"\r\n" + BODY,
    "nul-in-value": OK + b"X: a\x00b\r\n" + LENGTH + b"\r\n" + BODY,
    "bare-cr": OK + b"X: a\rb\r\n" + LENGTH + b"\r\n" + BODY,
    "bare-lf": OK + b"X: a\nY: b\r\n" + LENGTH + b"\r\n" + BODY,
    "lf-alone-ends-lines": b"HTTP/1.1 200 OK\nContent-Length: 5\n\n" + BODY,
    "escape": OK + b"X: \x1b[31m\r\n" + LENGTH + b"\r\n" + BODY,
    "delete": OK + b"X: \x7f\r\n" + LENGTH + b"\r\n" + BODY,
    "nul-in-name": OK + b"X\x00Y: a\r\n" + LENGTH + b"\r\n" + BODY,
    "blank-in-name": OK + b"X Y: a\r\n" + LENGTH + b"\r\n" + BODY,
    "blank-before-colon": OK + b"Content-Length : 5\r\n\r\n" + BODY,
    "no-name": OK + b": a\r\n" + LENGTH + b"\r\n" + BODY,
    "no-colon": OK + b"nothing\r\n" + LENGTH + b"\r\n" + BODY,
    "latin-1-name": OK + b"X\xfc: a\r\n" + LENGTH + b"\r\n" + BODY,
    "parenthesis-in-name": OK + b"X(): a\r\n" + LENGTH + b"\r\n" + BODY,
    "two-lengths": OK + LENGTH + b"Content-Length: 6\r\n\r\n" + BODY,
    "two-lengths-in-a-list": OK + b"Content-Length: 5, 6\r\n\r\n" + BODY,
    "plus": OK + b"Content-Length: +5\r\n\r\n" + BODY,
    "minus": OK + b"Content-Length: -5\r\n\r\n" + BODY,
    "hexadecimal-length": OK + b"Content-Length: 0x5\r\n\r\n" + BODY,
    "underscore": OK + b"Content-Length: 0_5\r\n\r\n" + BODY,
    "fraction": OK + b"Content-Length: 5.0\r\n\r\n" + BODY,
    "empty-length": OK + b"Content-Length: \r\n\r\n" + BODY,
    "length-and-nothing": OK + b"Content-Length: 5,\r\n\r\n" + BODY,
    "superscript-length": OK + b"Content-Length: \xb2\r\n\r\n" + BODY,
    "length-of-400-digits": OK + b"Content-Length: " + b"5" * 400 + b"\r\n\r\n" + BODY,
    "length-and-chunked": OK + LENGTH + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "gzip-and-chunked": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "chunked-twice": OK + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n5\r\nhello\r\n0\r\n\r\n",
    "identity": OK + b"Transfer-Encoding: identity\r\n\r\n" + BODY,
    "xchunked": OK + b"Transfer-Encoding: xchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "chunked-by-http-1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "too-many-fields": OK + b"X: y\r\n" * 100 + LENGTH + b"\r\n" + BODY,
    "too-large": OK + b"X: " + b"y" * 65_536 + b"\r\n" + LENGTH + b"\r\n" + BODY,
    "too-large-by-many": OK + (b"X: " + b"y" * 1000 + b"\r\n") * 66 + LENGTH + b"\r\n" + BODY,
    "http-2": b"HTTP/2 200 OK\r\n" + LENGTH + b"\r\n" + BODY,
    "http-1.10": b"HTTP/1.10 200 OK\r\n" + LENGTH + b"\r\n" + BODY,
    "small-http": b"http/1.1 200 OK\r\n" + LENGTH + b"\r\n" + BODY,
    "blank-before-version": b" HTTP/1.1 200 OK\r\n" + LENGTH + b"\r\n" + BODY,
    "line-before-version": b"\r\nHTTP/1.1 200 OK\r\n" + LENGTH + b"\r\n" + BODY,
    "two-blanks": b"HTTP/1.1  200 OK\r\n" + LENGTH + b"\r\n" + BODY,
    "status-of-two-digits": b"HTTP/1.1 99 OK\r\n" + LENGTH + b"\r\n" + BODY,
    "status-of-four-digits": b"HTTP/1.1 2000 OK\r\n" + LENGTH + b"\r\n" + BODY,
    "status-below-100": b"HTTP/1.1 020 OK\r\n" + LENGTH + b"\r\n" + BODY,
    "signed-status": b"HTTP/1.1 +20 OK\r\n" + LENGTH + b"\r\n" + BODY,
    "no-status": b"HTTP/1.1\r\n" + LENGTH + b"\r\n" + BODY,
    "control-in-reason": b"HTTP/1.1 200 O\x08K\r\n" + LENGTH + b"\r\n" + BODY,
    "no-head": BODY,
    "cut-off": b"HTTP/1.1 200 OK\r\nContent-Le",
    "interim-alone": b"HTTP/1.1 103 Early Hints\r\n\r\n",
    "interim-malformed": b"HTTP/1.1 103 Early\r\nX\r\n\r\n" + OK + LENGTH + b"\r\n" + BODY,
    "too-many-interim": b"HTTP/1.1 100 Continue\r\n\r\n" * 17 + OK + LENGTH + b"\r\n" + BODY,
    "signed-chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n",
    "negative-chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nhello\r\n0\r\n\r\n",
    "prefixed-chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
}


@define
class HeadServer:
    """Sends one after the other what is in ``replies``, one for each request, on a single thread.

    A connection on which nothing comes after a reply is closed. ``asked`` holds the number of the connection and the
    path of each request, in the order in which they came.
    """

    replies: Iterator[bytes]
    patience: float = 0.05
    asked: list[tuple[int, str]] = field(factory=list)
    opened: int = 0
    _listener: socket.socket = field(init=False)
    _thread: threading.Thread = field(init=False)

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _serve(self) -> None:
        with suppress(OSError, StopIteration):
            while True:
                connection, _ = self._listener.accept()
                self.opened += 1
                with connection, suppress(OSError):
                    self._converse(connection)

    def _converse(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(5)
        while request := connection.recv(65_536):
            self.asked.append((self.opened, request.split(b" ", 2)[1].decode()))
            connection.sendall(next(self.replies))
            connection.settimeout(self.patience)


def ask(http: Http, server: HeadServer, path: str = "/") -> Reply:
    return http.send(HttpRequest(method="GET", url=server.url + path, headers={}), Deadline(10))


@pytest.fixture
def http() -> Iterator[Http]:
    made = Http(TransportSettings())
    yield made
    made.close()


@pytest.mark.parametrize(("data", "status", "body"), READ.values(), ids=READ.keys())
def test_a_well_formed_head_is_read_as_written(data: bytes, status: int, body: bytes, http: Http) -> None:
    """Status and body are what the server sent, interim replies before them are skipped."""
    with HeadServer(iter([data])) as server:
        reply = ask(http, server)
    assert (status, body) == (reply.status, reply.body)


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
def test_a_malformed_head_is_refused_and_its_connection_closed(data: bytes, http: Http) -> None:
    """A reply whose end is not clear is an error, and the next call goes over a new connection."""
    good = OK + LENGTH + b"\r\n" + BODY
    with HeadServer(iter([data, good])) as server:
        with pytest.raises(TransportError) as caught:
            ask(http, server, "/first")
        assert BODY == ask(http, server, "/second").body
        assert [(1, "/first"), (2, "/second")] == server.asked
    assert ("response", True) == (caught.value.phase, caught.value.may_have_reached_server)


def test_why_a_reply_was_refused_is_told(http: Http) -> None:
    """The message names the rule that the reply breaks, and the host that sent it."""
    with HeadServer(iter([OK + b"Content-Length: +5\r\n\r\n" + BODY])) as server:
        with pytest.raises(TransportError) as caught:
            ask(http, server)
        host = server.url.removeprefix("http://")
    assert f"{host} sent an invalid response: its Content-Length is malformed or contradictory" == caught.value.message


def test_a_repeated_field_is_one_joined_by_commas(http: Http) -> None:
    """Each name is there once, in any case; values of repeated fields are joined in their order."""
    data = OK + b"DPoP-Nonce: one\r\nX: y\r\ndpop-nonce: two\r\n" + LENGTH + b"\r\n" + BODY
    with HeadServer(iter([data])) as server:
        headers = ask(http, server).headers
    assert "one, two" == headers["DPOP-Nonce"] == headers.get("dpop-nonce")
    assert {"dpop-nonce": "one, two", "x": "y", "content-length": "5"} == {k.lower(): headers[k] for k in headers}
    assert sorted(["dpop-nonce", "x", "content-length"]) == sorted(name.lower() for name in headers)


LEFT_OVER: dict[str, bytes] = {
    "a-second-reply": OK + LENGTH + b"\r\nwrong",
    "a-byte": b"x",
    "line-ends": b"\r\n\r\n",
}


@pytest.mark.parametrize("more", LEFT_OVER.values(), ids=LEFT_OVER.keys())
@pytest.mark.parametrize(
    "whole",
    [
        OK + LENGTH + b"\r\n" + BODY,
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 304 Same\r\n\r\n",
    ],
    ids=["length", "chunked", "no-body"],
)
def test_bytes_after_a_reply_are_nobodys(whole: bytes, more: bytes, http: Http) -> None:
    """What a server sends beyond its reply is not the next call's reply: that goes over a new connection."""
    good = OK + LENGTH + b"\r\nright"
    with HeadServer(iter([whole + more, good, good])) as server:
        ask(http, server, "/first")
        assert b"right" == ask(http, server, "/second").body
        assert b"right" == ask(http, server, "/third").body
        assert [(1, "/first"), (2, "/second"), (2, "/third")] == server.asked


def test_bytes_that_come_later_are_nobodys(http: Http) -> None:
    """An idle connection that receives something is not reused."""
    sent = threading.Event()

    class LateServer(HeadServer):
        def _converse(self, connection: socket.socket) -> None:
            connection.recv(65_536)
            connection.sendall(OK + LENGTH + b"\r\nright")
            if self.opened == 1:
                connection.sendall(OK + LENGTH + b"\r\nwrong")
                wait_until_delivered(connection)
                sent.set()
                connection.settimeout(5)
                connection.recv(1)

    with LateServer(iter([])) as server:
        ask(http, server)
        sent.wait(5)
        assert b"right" == ask(http, server).body
        assert 2 == server.opened


@pytest.mark.parametrize(
    "data",
    [
        OK + b"Content-Encoding: gzip\r\n" + LENGTH + b"\r\n" + BODY,
        OK + b"Content-Length: 50\r\n\r\n" + BODY * 10,
        OK + b"Transfer-Encoding: chunked\r\n\r\n32\r\n" + BODY * 10 + b"\r\n0\r\n\r\n",
    ],
    ids=["encoded", "too-long", "too-long-in-chunks"],
)
def test_a_reply_that_is_not_read_to_its_end_ends_its_connection(data: bytes) -> None:
    """It gives its place in the pool free, and the rest of it is not the next call's reply."""
    good = OK + LENGTH + b"\r\nright"
    http = Http(TransportSettings(pool_size=1))
    with HeadServer(iter([data, data, good])) as server:
        for path in ("/first", "/second"):
            request = HttpRequest(method="GET", url=server.url + path, headers={}, max_reply_bytes=20)
            with pytest.raises(UnusableReplyError):
                http.send(request, Deadline(10))
        assert b"right" == ask(http, server, "/third").body
        assert [(1, "/first"), (2, "/second"), (3, "/third")] == server.asked
    http.close()


def _mutated(number: int, chance: random.Random) -> bytes:
    """Return a reply that names its request in its body, with a few bytes of its head changed."""
    body = b"<%d>" % number * 8
    head = chance.choice(
        [
            b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: %d\r\nX-Y: z\r\n\r\n"
            % len(body),
            b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body),
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n%x\r\n" % len(body),
        ]
    )
    data = bytearray(head)
    for _ in range(chance.choice([0, 1, 1, 1, 2, 4])):
        place = chance.randrange(len(data))
        what = chance.randrange(5)
        if what == 0:
            data[place] = chance.randrange(256)
        elif what == 1:
            del data[place : place + chance.choice([1, 2, 8])]
        elif what == 2:
            data[place:place] = chance.choice(
                [b"\r\n", b"\n", b"\r", b"\x00", b" ", b"\t", b":", b",", b"+", b"1", b"\xff"]
            )
        elif what == 3:
            data[place:place] = data[max(0, place - 20) : place]
        else:
            data[place:place] = chance.choice(
                [
                    b"\r\nContent-Length: 3",
                    b"\r\nTransfer-Encoding: chunked",
                    b"\r\n X",
                    b"\r\n\r\n",
                    b"HTTP/1.1 200 OK\r\n",
                ]
            )
    return bytes(data) + body + (b"\r\n0\r\n\r\n" if b"chunked" in head else b"")


@pytest.mark.parametrize("part", range(PARTS))
def test_mutated_heads_do_no_harm(part: int, http: Http) -> None:
    """Only our own errors leave, no call reads another's body, no connection is reused after a refused reply."""
    chance, count = random.Random(part), MUTATED_HEADS // PARTS
    refused: set[int] = set()
    with HeadServer((_mutated(number, chance) for number in range(count)), patience=0.003) as server:
        for number in range(count):
            try:
                reply = ask(http, server)
            except (TransportError, UnusableReplyError):
                refused.add(len(server.asked) - 1)
            else:
                own = f"{len(server.asked) - 1}".encode()
                assert {own} >= set(re.findall(rb"<(\d+)>", reply.body)), number
    for place in refused:
        assert len(server.asked) <= place + 1 or server.asked[place][0] != server.asked[place + 1][0]
    assert count * 0.3 < len(refused) < count * 0.9
