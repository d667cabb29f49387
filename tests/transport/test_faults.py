"""Every fault of the network and of the server: how often the token got there, and what the error says."""

from __future__ import annotations

import os
import socket
import ssl
import struct
import threading
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme
from attrs import frozen

from auth0_cte import (
    CustomTokenExchangeError,
    CustomTokenExchangeOptions,
    ExchangeTimeoutError,
    ExchangeTransportError,
    RateLimitError,
    RetryBudget,
    RetryPolicy,
    ServerClient,
    TransportError,
)
from tests.raw_server import TOKENS, Arrived, RawServer, Script, reply, send

TOKEN = "s3cr3t-c4n4ry"
OPTIONS = CustomTokenExchangeOptions(subject_token=TOKEN, subject_token_type="urn:acme:mcp-token")
Greeting = Callable[[int, socket.socket], "socket.socket | None"]


def _rst(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(connection.detach())  # at once: close() would wait for the stream that reads from it


def reset(_request: Arrived, connection: socket.socket) -> None:
    """Break the connection with a RST."""
    _rst(connection)


def close(_request: Arrived, connection: socket.socket) -> None:
    """Close the connection in good order, without a word."""
    connection.shutdown(socket.SHUT_RDWR)


def silence(_request: Arrived, _connection: socket.socket) -> None:
    """Say nothing, for ever."""


def slowly(head: bytes, rest: bytes) -> Script:
    """Answer so much at once, and the rest a byte at a time until the other side has had enough."""
    ended = threading.Event()

    def script(_request: Arrived, connection: socket.socket) -> None:
        connection.sendall(head)
        for index in range(len(rest)):
            ended.wait(0.04)
            connection.sendall(rest[index : index + 1])

    return script


def partly(data: bytes) -> Script:
    """Answer so much, and close."""

    def script(request: Arrived, connection: socket.socket) -> None:
        connection.sendall(data)
        close(request, connection)

    return script


def reset_at_once(number: int, connection: socket.socket) -> socket.socket | None:
    """Serve the first connection, on which discovery is; break all others when something is there, unread."""
    if number == 1:
        return connection
    connection.recv(1, socket.MSG_PEEK)
    _rst(connection)
    return None


def close_at_once(number: int, connection: socket.socket) -> socket.socket | None:
    """Serve the first connection; close all others in good order, unread."""
    if number == 1:
        return connection
    connection.recv(1, socket.MSG_PEEK)
    connection.shutdown(socket.SHUT_RDWR)
    return None


def no_handshake(number: int, connection: socket.socket) -> socket.socket | None:
    """Serve the first connection; on all others, accept and say nothing."""
    return connection if number == 1 else None


def plain_text(number: int, connection: socket.socket) -> socket.socket | None:
    """Serve the first connection; on all others, speak HTTP where TLS should be."""
    if number == 1:
        return connection
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    return None


@frozen(kw_only=True)
class Fault:
    """What happens to the token request, and what must come of it.

    ``reached`` counts the requests with the subject token that the server read, ``retries`` those that were announced.
    """

    script: Script = silence
    greet: Greeting | None = None
    refuse: bool = False
    over: tuple[str, ...] = ("http", "https")
    reached: int
    retries: int = 0
    kind: type[CustomTokenExchangeError] = ExchangeTransportError
    code: str = "TOKEN_EXCHANGE_FAILED"
    status: int | None = None
    retryable: bool = False
    may_have_reached: bool = True
    cause: type[Exception] | None = requests.ConnectionError
    phase: str | None = "response"
    retry_after: float | None = None
    limit: str | None = None
    timeout: float = 9.0


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BODY = b"Content-Length: 400\r\n\r\n"
HTML = "<h1>Bad Gateway</h1>"
FAR = ["x-ratelimit-limit: 4", "x-ratelimit-remaining: 0", "x-ratelimit-reset: 1000002"]
POLICY = ["Retry-After: 1", "Auth0-RateLimit: client;q=10;t=1;r=0"]
NOTHING_SENT: dict[str, object] = {"reached": 0, "may_have_reached": False}
SLOW: dict[str, object] = {"reached": 1, "kind": ExchangeTimeoutError, "cause": requests.ReadTimeout, "timeout": 1.0}
REPLIED: dict[str, object] = {"kind": CustomTokenExchangeError, "cause": None, "phase": None}


def _answers(status: str, body: str, headers: list[str] | None = None, **expected: object) -> Fault:
    script = send(reply(body, status, headers or []))
    return Fault(script=script, **({"status": int(status[:3])} | REPLIED | expected))  # type: ignore[arg-type]


FAULTS: dict[str, Fault] = {
    "refused": Fault(refuse=True, retries=2, retryable=True, phase="connect", **NOTHING_SENT),  # type: ignore[arg-type]
    # Whether it was read, this side cannot know once a byte has left; TLS breaks before one has.
    "reset-before-read": Fault(greet=reset_at_once, over=("http",), reached=0),
    "closed-before-read": Fault(greet=close_at_once, over=("http",), reached=0),
    "reset-in-handshake": Fault(
        greet=reset_at_once,
        over=("https",),
        retries=2,
        retryable=True,
        phase="connect",
        **NOTHING_SENT,  # type: ignore[arg-type]
    ),
    "silence-in-handshake": Fault(
        greet=no_handshake,
        over=("https",),
        retries=2,
        kind=ExchangeTimeoutError,
        retryable=True,
        phase="connect",
        cause=requests.ConnectTimeout,
        **NOTHING_SENT,  # type: ignore[arg-type]
    ),
    "no-tls-on-port": Fault(
        greet=plain_text,
        over=("https",),
        phase="tls",
        cause=requests.exceptions.SSLError,
        **NOTHING_SENT,  # type: ignore[arg-type]
    ),
    "reset-after-request": Fault(script=reset, reached=1),
    "closed-after-request": Fault(script=close, reached=1),
    "silence": Fault(script=silence, reached=1, kind=ExchangeTimeoutError, cause=requests.ReadTimeout),
    "slow-headers": Fault(script=slowly(HEAD, b"X-Slow: " + b"y" * 400), **SLOW),  # type: ignore[arg-type]
    "slow-body": Fault(script=slowly(HEAD + BODY, b" " * 400), status=200, **SLOW),  # type: ignore[arg-type]
    "half-headers": Fault(script=partly(HEAD[:20]), reached=1),
    "half-body": Fault(script=partly(HEAD + BODY + TOKENS.encode()), reached=1, status=200),
    "bad-chunk": Fault(script=partly(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n"), reached=1, status=200),
    "no-http": Fault(script=partly(b"\x16\x03\x01 what is this\r\n\r\n"), reached=1),
    "500": _answers("500 Oops", '{"error": "server_error"}', reached=1, code="server_error"),
    "502-html": _answers("502 Bad Gateway", HTML, reached=1),
    "503": _answers("503 Unavailable", HTML, reached=1, retryable=True),
    "503-with-a-limit": _answers("503 Unavailable", HTML, FAR, reached=1, retryable=True),
    "503-retry-after": _answers(
        "503 Unavailable", HTML, ["Retry-After: 1"], reached=2, retries=1, retryable=True, retry_after=1.0
    ),
    "503-retry-after-date": _answers(
        "503 Unavailable",
        HTML,
        ["Retry-After: Mon, 12 Jan 1970 13:46:45 GMT"],
        reached=2,
        retries=1,
        retryable=True,
        retry_after=5.0,
    ),
    "503-retry-after-too-late": _answers(
        "503 Unavailable", HTML, ["Retry-After: 3600"], reached=1, retryable=True, retry_after=3600.0
    ),
    "504": _answers("504 Gateway Timeout", "", reached=1),
    "400": _answers("400 Bad Request", '{"error": "invalid_request"}', reached=1, code="invalid_request"),
    "307": _answers("307 Elsewhere", "", ["Location: https://localhost/"], reached=1, code="INVALID_RESPONSE"),
    "200-html": _answers("200 OK", HTML, reached=1, code="INVALID_RESPONSE"),
    "429-ip-block": _answers(
        "429 Too Many",
        '{"error": "too_many_attempts"}',
        ["Retry-After: 0"],
        reached=1,
        kind=RateLimitError,
        code="too_many_attempts",
        retry_after=0.0,
        limit="ip_block",
    ),
    "429-tenant": _answers(
        "429 Too Many",
        HTML,
        FAR,
        reached=2,
        retries=1,
        kind=RateLimitError,
        code="too_many_requests",
        retryable=True,
        retry_after=2.0,
        limit="tenant",
    ),
    "429-policy": _answers(
        "429 Too Many",
        '{"error": "too_many_requests"}',
        POLICY,
        reached=2,
        retries=1,
        kind=RateLimitError,
        code="too_many_requests",
        retryable=True,
        retry_after=1.0,
        limit="policy",
    ),
}
CASES = [(name, scheme) for name, fault in FAULTS.items() for scheme in fault.over]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def bundle(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


def _context(authority: trustme.CA) -> ssl.SSLContext:
    return _certificate(authority, "localhost")


@pytest.fixture
def server(request: pytest.FixtureRequest, authority: trustme.CA) -> Iterator[RawServer]:
    """A server on whose second connection the token request comes."""
    tls = _context(authority) if request.param == "https" else None
    with RawServer(tls=tls, discovery_headers=["Connection: close"]) as made:
        yield made


@pytest.mark.parametrize(("name", "server"), CASES, ids=["-".join(case) for case in CASES], indirect=["server"])
def test_a_fault_is_what_it_is_said_to_be(name: str, server: RawServer, bundle: Path) -> None:
    """The token gets to the server as often as is promised, and the error tells what happened."""
    fault = FAULTS[name]
    naps: list[float] = []
    server.scripts = [fault.script]
    server.greet = fault.greet or server.greet
    server.on_discovery = server.stop_listening if fault.refuse else server.on_discovery
    retry = RetryPolicy(sleep=naps.append, budget=RetryBudget())
    with ServerClient(
        server.url,
        "c",
        "s",
        ca_bundle=bundle,
        retry=retry,
        clock=lambda: 1_000_000.0,
        connect_timeout=0.4,
        read_timeout=0.4,
        timeout=fault.timeout,
    ) as client:
        with pytest.raises(CustomTokenExchangeError) as caught:
            client.custom_token_exchange(OPTIONS)
    error = caught.value
    assert [TOKEN in request.body for request in server.arrived] == [True] * fault.reached
    assert fault.retries == len(naps)
    assert (fault.kind, fault.code) == (type(error), error.code)
    assert (fault.retryable, fault.may_have_reached) == (error.is_retryable, error.may_have_reached_server)
    assert (fault.status, fault.retry_after) == (error.status_code, error.retry_after)
    assert fault.phase == getattr(error, "phase", None)
    assert fault.limit == getattr(error, "kind", None)
    assert (fault.cause or type(None)) is type(error.__cause__)
    assert error.hint
    assert TOKEN not in "".join(traceback.format_exception(error)) + repr(vars(error)) + repr(error.__cause__)


CERTIFICATES: dict[str, Callable[[trustme.CA], ssl.SSLContext]] = {
    "unknown-ca": lambda _: _context(trustme.CA()),
    "expired": lambda authority: _certificate(authority, "localhost", not_after=datetime(2001, 1, 1, tzinfo=UTC)),
    "wrong-host": lambda authority: _certificate(authority, "elsewhere.example"),
}


def _certificate(authority: trustme.CA, host: str, **more: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host, **more).configure_cert(context)
    return context


@pytest.mark.parametrize("make", CERTIFICATES.values(), ids=CERTIFICATES.keys())
def test_a_certificate_that_does_not_verify_gets_nothing(
    make: Callable[[trustme.CA], ssl.SSLContext], authority: trustme.CA, bundle: Path
) -> None:
    """When the certificate changed to a wrong one after discovery, no token is sent, and nothing is tried again."""
    naps: list[float] = []
    with RawServer(tls=_context(authority), discovery_headers=["Connection: close"]) as server:
        # The connection of the discovery has its context already.
        server.on_discovery = lambda: setattr(server, "tls", make(authority))
        with ServerClient(server.url, "c", "s", ca_bundle=bundle, retry=RetryPolicy(sleep=naps.append)) as client:
            with pytest.raises(ExchangeTransportError) as caught:
                client.custom_token_exchange(OPTIONS)
        assert [] == server.arrived
    assert ("tls", False, False) == (
        caught.value.phase,
        caught.value.may_have_reached_server,
        caught.value.is_retryable,
    )
    assert isinstance(caught.value.__cause__, requests.exceptions.SSLError)
    assert [] == naps


def test_a_name_that_does_not_resolve_is_tried_again() -> None:
    """Without an address nothing can be sent: two more attempts, and the token is unspent."""
    naps: list[float] = []
    with ServerClient("tenant.invalid", "c", "s", retry=RetryPolicy(sleep=naps.append)) as client:
        with pytest.raises(ExchangeTransportError) as caught:
            client.custom_token_exchange(OPTIONS)
    assert 2 == len(naps)
    assert ("connect", False, True) == (
        caught.value.phase,
        caught.value.may_have_reached_server,
        caught.value.is_retryable,
    )
    assert isinstance(caught.value.__cause__, requests.ConnectionError)


@pytest.mark.parametrize("end", [close, reset], ids=["closed", "reset"])
def test_a_stale_connection_is_replaced_before_the_token_is_written(end: Script, raw_server: RawServer) -> None:
    """A pooled connection that has ended meanwhile is noticed; each token arrives once, on a connection of its own."""

    def answer_and_end(request: Arrived, connection: socket.socket) -> None:
        connection.sendall(reply(TOKENS))
        end(request, connection)

    raw_server.scripts = [answer_and_end]
    with ServerClient(raw_server.url, "c", "s") as client:
        for _ in range(3):
            client.custom_token_exchange(OPTIONS)
            raw_server.wait_for_close()
    assert [1, 2, 3] == [request.connection for request in raw_server.arrived]


def test_a_lost_race_with_the_servers_close_is_ambiguous(raw_server: RawServer) -> None:
    """A kept connection that closes as the request arrives may have carried it: the token is not sent again."""
    raw_server.scripts = [send(reply(TOKENS)), close]
    with ServerClient(raw_server.url, "c", "s") as client:
        client.custom_token_exchange(OPTIONS)
        with pytest.raises(ExchangeTransportError) as caught:
            client.custom_token_exchange(OPTIONS)
    assert [1, 1] == [request.connection for request in raw_server.arrived]
    assert (True, False) == (caught.value.may_have_reached_server, caught.value.is_retryable)


def test_a_fault_that_passes_is_not_noticed(raw_server: RawServer) -> None:
    """What may be tried again and works then is a success; the token arrived as often as the server asked for it."""
    raw_server.scripts = [send(reply("", "429 Too Many", ["Retry-After: 0"])), send(reply(TOKENS))]
    with ServerClient(raw_server.url, "c", "s", retry=RetryPolicy(sleep=lambda _: None)) as client:
        assert "issued" == client.custom_token_exchange(OPTIONS).access_token
    assert 2 == len(raw_server.arrived)


def test_the_retry_budget_is_shared_by_all_clients_of_a_process(raw_server: RawServer) -> None:
    """In an outage retries end for everybody once the allowance is used up, and a success gives a little back."""
    assert RetryPolicy().budget is RetryPolicy().budget
    naps: list[float] = []
    retry = RetryPolicy(sleep=naps.append, budget=RetryBudget(10))
    limited = send(reply("", "429 Too Many"))
    raw_server.scripts = [limited]
    with (
        ServerClient(raw_server.url, "a", "s", retry=retry) as one,
        ServerClient(raw_server.url, "b", "s", retry=retry) as two,
    ):
        for client in (one, two, one):
            with pytest.raises(RateLimitError):
                client.custom_token_exchange(OPTIONS)
        assert (2, 5) == (len(naps), len(raw_server.arrived))
        raw_server.scripts = [*[send(reply(TOKENS))] * 5, limited]
        for _ in range(5):
            one.custom_token_exchange(OPTIONS)
        with pytest.raises(RateLimitError):
            two.custom_token_exchange(OPTIONS)
    assert (3, 12) == (len(naps), len(raw_server.arrived))


def test_a_timeout_costs_the_budget_twice() -> None:
    """A retry after a time-out takes as much of the allowance as two others."""
    naps: list[float] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]  # accepted by the kernel, answered by nobody
        retry = RetryPolicy(sleep=naps.append, budget=RetryBudget(10))
        with ServerClient(f"http://127.0.0.1:{port}", "c", "s", retry=retry, read_timeout=0.1) as client:
            with pytest.raises(ExchangeTimeoutError):
                client.custom_token_exchange(OPTIONS)
    assert 1 == len(naps)
    assert not retry.budget.take(1)


def test_every_failure_of_the_transport_is_one(raw_server: RawServer) -> None:
    """Whatever breaks, it is caught as TransportError, too."""
    raw_server.scripts = [reset]
    with ServerClient(raw_server.url, "c", "s") as client, pytest.raises(TransportError):
        client.custom_token_exchange(OPTIONS)
