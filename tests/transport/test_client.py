"""What really goes over the socket, and what happens when the socket misbehaves."""

from __future__ import annotations

import os
import signal
import socket
import struct
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme

from auth0_cte import (
    ConfigurationError,
    CustomTokenExchangeError,
    CustomTokenExchangeOptions,
    ExchangeTimeoutError,
    ExchangeTransportError,
    RetryBudget,
    RetryPolicy,
    ServerClient,
    TransportError,
    TransportTimeoutError,
)
from auth0_cte.foundation.deadline import waited
from tests.raw_server import TOKENS, Arrived, RawServer, Script, reply, send

SECRET = "s3cr3t-c4n4ry"
OPTIONS = CustomTokenExchangeOptions(subject_token=SECRET, subject_token_type="urn:acme:mcp-token")


def reset(_request: Arrived, connection: socket.socket) -> None:
    """Break the connection with a RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(connection.detach())  # at once: close() would wait for the stream that reads from it


def close(_request: Arrived, connection: socket.socket) -> None:
    """Close the connection in good order, without a word."""
    connection.shutdown(socket.SHUT_RDWR)


def then_close(script: Script) -> Script:
    """Answer, and close."""

    def both(request: Arrived, connection: socket.socket) -> None:
        script(request, connection)
        close(request, connection)

    return both


def drip(data: bytes) -> Script:
    """Answer a byte at a time until the other side has had enough."""

    def script(_request: Arrived, connection: socket.socket) -> None:
        for index in range(len(data)):
            connection.sendall(data[index : index + 1])
            time.sleep(0.05)

    return script


def test_the_request_is_what_the_rfc_says(raw_server: RawServer, raw_client: ServerClient) -> None:
    """The form, its headers and the client's authentication arrive as RFC 8693 and Auth0 want them."""
    raw_client.custom_token_exchange(
        CustomTokenExchangeOptions(
            subject_token="a.b-c_d~e+f/g=",
            subject_token_type="urn:acme:mcp-token",
            audience="https://api.example.com",
            scope=["read:data", "write:data"],
            resource=["https://a.example", "https://b.example"],
            forwarded_for="2001:db8::7",
            authorization_params={"custom": "ä & ö", "flag": True, "many": ["1", 2, False]},
        )
    )
    (arrived,) = raw_server.arrived
    assert (
        "custom=%C3%A4+%26+%C3%B6&flag=true&many=1&many=2&many=false"
        "&grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&client_id=the-client"
        "&subject_token=a.b-c_d~e%2Bf%2Fg%3D&subject_token_type=urn%3Aacme%3Amcp-token"
        "&audience=https%3A%2F%2Fapi.example.com&scope=read%3Adata+write%3Adata"
        "&resource=https%3A%2F%2Fa.example&resource=https%3A%2F%2Fb.example&client_secret=the-secret"
    ) == arrived.body
    assert "application/x-www-form-urlencoded" == arrived.headers["content-type"]
    assert "application/json" == arrived.headers["accept"]
    assert "identity" == arrived.headers["accept-encoding"]
    assert "2001:db8::7" == arrived.headers["auth0-forwarded-for"]
    assert arrived.headers["user-agent"].startswith("auth0-cte/")
    assert "auth0-client" in arrived.headers
    assert not {"authorization", "cookie", "dpop"} & set(arrived.headers)


def test_telemetry_can_be_switched_off(raw_server: RawServer, new_client: type[ServerClient]) -> None:
    """Without telemetry no Auth0-Client header is sent, but the User-Agent that Auth0 insists on is."""
    with new_client(raw_server.url, "c", "s", telemetry=False) as client:
        client.custom_token_exchange(OPTIONS)
    assert "auth0-client" not in raw_server.arrived[0].headers
    assert raw_server.arrived[0].headers["user-agent"]


def test_netrc_is_never_used(
    raw_server: RawServer,
    raw_client: ServerClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    new_client: type[ServerClient],
) -> None:
    """A .netrc entry for the host does not become an Authorization header."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login mallory password hunter2\ndefault login mallory password hunter2\n")
    monkeypatch.setenv("NETRC", str(netrc))
    raw_client.custom_token_exchange(OPTIONS)
    with requests.Session() as session, new_client(raw_server.url, "c", "s", session=session) as client:
        client.custom_token_exchange(OPTIONS)
    assert [False, False] == ["authorization" in request.headers for request in raw_server.arrived]


def test_a_proxy_is_not_used_for_loopback(
    raw_server: RawServer, monkeypatch: pytest.MonkeyPatch, new_client: type[ServerClient]
) -> None:
    """The environment's proxy sees nothing of what goes to this machine itself."""
    with RawServer() as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        with new_client(raw_server.url, "c", "s") as client:
            client.custom_token_exchange(OPTIONS)
        assert 0 == proxy.opened
    assert 1 == len(raw_server.arrived)


def test_the_environments_proxy_is_used_for_others_and_read_once(
    monkeypatch: pytest.MonkeyPatch, new_client: type[ServerClient]
) -> None:
    """A tenant elsewhere is reached through the proxy of the environment at construction, by CONNECT."""
    with RawServer(scripts=[send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")]) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        client = new_client("tenant.auth0.com", "c", "s", retry=RetryPolicy(sleep=lambda _: None))
        monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
        with pytest.raises(ExchangeTransportError) as caught:
            client.custom_token_exchange(OPTIONS)
        assert {("CONNECT", "tenant.auth0.com:443")} == {(item.method, item.path) for item in proxy.everything}
    assert not caught.value.may_have_reached_server


def test_no_proxy_is_honoured(monkeypatch: pytest.MonkeyPatch, new_client: type[ServerClient]) -> None:
    """A host that no_proxy names is not asked of the proxy."""
    with RawServer() as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", ".invalid")
        client = new_client("tenant.invalid", "c", "s", retry=RetryPolicy(sleep=lambda _: None))
        with pytest.raises(ExchangeTransportError, match="could not resolve the name of tenant"):
            client.custom_token_exchange(OPTIONS)
        assert 0 == proxy.opened


@pytest.mark.parametrize("own_session", [False, True])
def test_cookies_are_neither_kept_nor_sent(
    raw_server: RawServer, own_session: bool, new_client: type[ServerClient]
) -> None:
    """A cookie that the server sets for one user's exchange does not travel with the next one's."""
    raw_server.scripts = [send(reply(TOKENS, headers=["Set-Cookie: did=user-a; Path=/"]))]
    session = requests.Session() if own_session else None
    if session is not None:
        session.cookies.set("mine", "1")
        session.headers["Cookie"] = "mine=2"
    with new_client(raw_server.url, "c", "s", session=session) as client:
        for _ in range(3):
            client.custom_token_exchange(OPTIONS)
    if session is not None:
        session.close()
    assert 3 == len(raw_server.arrived)
    assert not any("cookie" in request.headers for request in raw_server.everything)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
@pytest.mark.parametrize("own_session", [False, True])
def test_a_redirect_to_another_host_is_not_followed(
    raw_server: RawServer, own_session: bool, status: str, new_client: type[ServerClient]
) -> None:
    """The client secret and the token are not posted to wherever a redirect points."""
    with RawServer() as elsewhere:
        raw_server.scripts = [send(reply("{}", status, [f"Location: {elsewhere.url}/oauth/token"]))]
        session = requests.Session() if own_session else None
        with new_client(raw_server.url, "c", "s", session=session) as client:
            with pytest.raises(CustomTokenExchangeError) as caught:
                client.custom_token_exchange(OPTIONS)
        if session is not None:
            session.close()
        assert 0 == elsewhere.opened
    assert "INVALID_RESPONSE" == caught.value.code
    assert 1 == len(raw_server.arrived)


def test_an_injected_session_brings_its_adapters_and_hooks(
    raw_server: RawServer, new_client: type[ServerClient]
) -> None:
    """A session of the caller's is sent through, so that its hooks and adapters see the traffic."""
    seen: list[str] = []
    with requests.Session() as session, new_client(raw_server.url, "c", "s", session=session) as client:
        session.hooks["response"].append(lambda response, **_: seen.append(response.url))
        client.custom_token_exchange(OPTIONS)
    assert f"{raw_server.url}/oauth/token" in seen


def test_verification_cannot_be_switched_off_by_a_session(
    raw_server: RawServer, new_client: type[ServerClient]
) -> None:
    """A session with verify=False is refused, at construction and later."""
    with requests.Session() as session:
        client = new_client(raw_server.url, "c", "s", session=session)
        session.verify = False
        with pytest.raises(ConfigurationError, match="verification"):
            client.custom_token_exchange(OPTIONS)
        with pytest.raises(ConfigurationError, match="verification"):
            new_client(raw_server.url, "c", "s", session=session)
    assert 0 == len(raw_server.arrived)


FAULTS: dict[str, tuple[Script, type[CustomTokenExchangeError], str]] = {
    "reset-after-request": (reset, ExchangeTransportError, "TOKEN_EXCHANGE_FAILED"),
    "closed-without-reply": (close, ExchangeTransportError, "TOKEN_EXCHANGE_FAILED"),
    "garbage": (
        then_close(send(b"\x16\x03\x01 what is this\r\n\r\n")),
        ExchangeTransportError,
        "TOKEN_EXCHANGE_FAILED",
    ),
    "half-body": (
        then_close(send(reply(TOKENS)[:-10])),
        ExchangeTransportError,
        "TOKEN_EXCHANGE_FAILED",
    ),
    "two-lengths": (
        send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\n{}"),
        ExchangeTransportError,
        "TOKEN_EXCHANGE_FAILED",
    ),
    "bad-chunk": (
        then_close(send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n")),
        ExchangeTransportError,
        "TOKEN_EXCHANGE_FAILED",
    ),
    "no-length-cut": (
        then_close(send(b'HTTP/1.1 200 OK\r\n\r\n{"access_token": "x')),
        CustomTokenExchangeError,
        "INVALID_RESPONSE",
    ),
    "endless-headers": (
        then_close(send(b"HTTP/1.1 200 OK\r\n", *[b"X-Y: z\r\n"] * 200, b"\r\n{}")),
        ExchangeTransportError,
        "TOKEN_EXCHANGE_FAILED",
    ),
    "long-header": (
        then_close(send(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n{}")),
        ExchangeTransportError,
        "TOKEN_EXCHANGE_FAILED",
    ),
    "endless-chunks": (
        send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[b"10000\r\n" + b" " * 65536 + b"\r\n"] * 20),
        CustomTokenExchangeError,
        "INVALID_RESPONSE",
    ),
    "declared-length-too-large": (
        send(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", b" " * (1024 * 1024 + 1)),
        CustomTokenExchangeError,
        "INVALID_RESPONSE",
    ),
}


@pytest.mark.parametrize(("script", "kind", "code"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_after_the_request_is_ambiguous_and_not_repeated(
    script: Script, kind: type[CustomTokenExchangeError], code: str, raw_server: RawServer, raw_client: ServerClient
) -> None:
    """Whatever breaks once the token is on its way, it is sent once, and the error says that it may have arrived."""
    raw_server.scripts = [script]
    with pytest.raises(CustomTokenExchangeError) as caught:
        raw_client.custom_token_exchange(OPTIONS)
    error = caught.value
    assert kind is type(error)
    assert code == error.code
    assert error.may_have_reached_server
    assert not error.is_retryable
    assert 1 == len(raw_server.arrived)
    if isinstance(error, TransportError):
        assert isinstance(error.__cause__, requests.RequestException)
    assert SECRET not in "".join(traceback.format_exception(error)) + repr(error.__cause__) + repr(vars(error))


def test_a_causes_request_is_stripped(raw_server: RawServer, raw_client: ServerClient) -> None:
    """The exception of requests that is chained holds neither request nor response nor frames."""
    raw_server.scripts = [reset]
    with pytest.raises(ExchangeTransportError) as caught:
        raw_client.custom_token_exchange(OPTIONS)
    cause = caught.value.__cause__
    assert isinstance(cause, requests.ConnectionError)
    assert (None, None, None, None) == (cause.request, cause.response, cause.__traceback__, cause.__context__)
    assert all(isinstance(argument, str) for argument in cause.args)


def test_a_refused_connection_is_retried_and_never_reached_the_server(new_client: type[ServerClient]) -> None:
    """Nothing was sent, so two more attempts are made, and the error says that the token is unspent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    naps: list[float] = []
    client = new_client(f"http://127.0.0.1:{port}", "c", "s", retry=RetryPolicy(sleep=naps.append))
    with pytest.raises(ExchangeTransportError) as caught:
        client.custom_token_exchange(OPTIONS)
    assert 2 == len(naps)
    assert ("TOKEN_EXCHANGE_FAILED", False, True) == (
        caught.value.code,
        caught.value.may_have_reached_server,
        caught.value.is_retryable,
    )
    assert isinstance(caught.value, TransportError)


def test_a_connection_refused_at_the_post_is_retried(new_client: type[ServerClient]) -> None:
    """When the server is gone between discovery and exchange and comes back, the token is sent once, in the end."""
    with ExitStack() as stack:
        revived: list[RawServer] = []

        def revive(_seconds: float) -> None:
            revived.append(stack.enter_context(RawServer(port=port)))

        with RawServer() as server:
            port = int(server.url.rpartition(":")[2])
            client = stack.enter_context(new_client(server.url, "c", "s", retry=RetryPolicy(sleep=revive)))
            client.custom_token_exchange(OPTIONS)
            client.close()
        client.custom_token_exchange(OPTIONS)
        client.close()
        assert [1] == [len(each.arrived) for each in revived]


def test_a_connection_that_the_server_closed_is_replaced(raw_server: RawServer, raw_client: ServerClient) -> None:
    """A stale pooled connection is noticed before anything is written to it."""
    raw_server.scripts = [then_close(send(reply(TOKENS)))]
    for _ in range(3):
        raw_client.custom_token_exchange(OPTIONS)
        raw_server.wait_for_close()
    assert [1, 2, 3] == [request.connection for request in raw_server.arrived]


def test_connections_are_reused(raw_server: RawServer, raw_client: ServerClient) -> None:
    """Exchanges in a row share one connection."""
    for _ in range(20):
        raw_client.custom_token_exchange(OPTIONS)
    assert 1 == raw_server.opened


@pytest.mark.parametrize(
    "part", [reply(TOKENS), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 99]
)
def test_a_dripping_server_cannot_pass_the_deadline(
    part: bytes, raw_server: RawServer, new_client: type[ServerClient]
) -> None:
    """Bytes that keep coming do not extend the total deadline, in headers or in the body."""
    raw_server.scripts = [drip(part)]
    with new_client(raw_server.url, "c", "s", timeout=0.6) as client, pytest.raises(ExchangeTimeoutError) as caught:
        client.custom_token_exchange(OPTIONS)
    assert isinstance(caught.value, TransportTimeoutError)
    assert caught.value.may_have_reached_server
    assert 1 == len(raw_server.arrived)


def test_silence_ends_with_the_read_timeout(raw_server: RawServer, new_client: type[ServerClient]) -> None:
    """A server that accepts and says nothing is given up, and not asked again."""
    raw_server.scripts = [lambda *_: None]
    with new_client(raw_server.url, "c", "s", read_timeout=0.2) as client:
        with pytest.raises(ExchangeTimeoutError) as caught:
            client.custom_token_exchange(OPTIONS)
    assert ("TOKEN_EXCHANGE_FAILED", "response") == (caught.value.code, caught.value.phase)
    assert isinstance(caught.value.__cause__, requests.ReadTimeout)
    assert 1 == len(raw_server.arrived)


def test_waiting_for_a_connection_ends_with_the_deadline(raw_server: RawServer) -> None:
    """With all connections busy the token is not sent late, but not at all, and the error says what to raise."""
    busy, done = threading.Event(), threading.Event()

    def hold(_request: Arrived, connection: socket.socket) -> None:
        busy.set()
        done.wait(10)
        connection.sendall(reply(TOKENS))

    raw_server.scripts = [hold]
    with ServerClient(raw_server.url, "c", "s", timeout=3, pool_size=1) as client:
        first = threading.Thread(target=client.custom_token_exchange, args=(OPTIONS,))
        first.start()
        busy.wait(5)
        waited.set(2.8)  # the second call has a fifth of a second left of its three
        with pytest.raises(ExchangeTimeoutError, match="pool_size") as caught:
            client.custom_token_exchange(OPTIONS)
        waited.set(0)
        done.set()
        first.join(10)
    assert not caught.value.may_have_reached_server
    assert 1 == len(raw_server.arrived)


@pytest.mark.parametrize(
    ("answer", "waits"),
    [
        (reply('{"error": "too_many_requests"}', "429 Too Many", ["Retry-After: 2"]), 2.0),
        (reply("", "429 Too Many"), 0.0),
        (reply("", "503 Unavailable", ["Retry-After: 1"]), 1.0),
    ],
)
def test_a_server_that_asks_to_come_back_is_asked_once_more(
    answer: bytes, waits: float, raw_server: RawServer, new_client: type[ServerClient]
) -> None:
    """A rate limit and a 503 with Retry-After are retried once, after at least the time that was asked for."""
    naps: list[float] = []
    raw_server.scripts = [send(answer), send(reply(TOKENS))]
    with new_client(raw_server.url, "c", "s", retry=RetryPolicy(sleep=naps.append)) as client:
        assert "issued" == client.custom_token_exchange(OPTIONS).access_token
    assert 2 == len(raw_server.arrived)
    assert 1 == len(naps)
    assert waits <= naps[0] <= waits + 1


@pytest.mark.parametrize(
    "answer",
    [
        reply('{"error": "too_many_attempts"}', "429 Too Many", ["Retry-After: 0"]),
        reply('{"error": "too_many_requests"}', "429 Too Many", ["Retry-After: 3600"]),
        reply("", "503 Unavailable"),
        reply("", "500 Oops"),
        reply("", "502 Bad Gateway"),
        reply("", "504 Gateway Timeout"),
        reply('{"error": "invalid_request"}', "400 Bad Request", ["Retry-After: 0"]),
        reply('{"error": "access_denied"}', "401 Unauthorized"),
    ],
)
def test_other_refusals_are_final(answer: bytes, raw_server: RawServer, raw_client: ServerClient) -> None:
    """A blocked address, a wait beyond the deadline, server errors and refusals are not tried again."""
    raw_server.scripts = [send(answer)]
    with pytest.raises(CustomTokenExchangeError):
        raw_client.custom_token_exchange(OPTIONS)
    assert 1 == len(raw_server.arrived)


@pytest.mark.parametrize("script", [reset, send(reply("", "500 Oops")), send(reply("", "504 Late"))])
def test_a_reusable_token_may_be_sent_again(
    script: Script, raw_server: RawServer, new_client: type[ServerClient]
) -> None:
    """Who declares subject tokens reusable gets one retry after ambiguous failures as well."""
    raw_server.scripts = [script, send(reply(TOKENS))]
    retry = RetryPolicy(subject_token_reusable=True, sleep=lambda _: None)
    with new_client(raw_server.url, "c", "s", retry=retry) as client:
        assert "issued" == client.custom_token_exchange(OPTIONS).access_token
    assert 2 == len(raw_server.arrived)


def test_an_empty_budget_stops_retries(raw_server: RawServer, new_client: type[ServerClient]) -> None:
    """When the process-wide allowance is used up, the first failure is final."""
    raw_server.scripts = [send(reply("", "429 Too Many"))]
    retry = RetryPolicy(budget=RetryBudget(4), sleep=lambda _: None)
    with new_client(raw_server.url, "c", "s", retry=retry) as client, pytest.raises(CustomTokenExchangeError):
        client.custom_token_exchange(OPTIONS)
    assert 1 == len(raw_server.arrived)


def test_a_tls_failure_is_not_retried(new_client: type[ServerClient]) -> None:
    """A server that speaks no TLS where it should is an error at once, with nothing sent."""
    naps: list[float] = []
    with _PlainServer() as server:
        domain = server.url.replace("http://", "https://")
        with new_client(domain, "c", "s", retry=RetryPolicy(sleep=naps.append)) as client:
            with pytest.raises(ExchangeTransportError, match="TLS") as caught:
                client.custom_token_exchange(OPTIONS)
    assert not caught.value.may_have_reached_server
    assert not caught.value.is_retryable
    assert [] == naps


def test_an_untrusted_certificate_is_refused(tmp_path: Path, new_client: type[ServerClient]) -> None:
    """A certificate of an unknown CA fails the handshake; naming the CA in ca_bundle mends it."""
    authority = trustme.CA()
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    with _TLSServer(authority) as server:
        domain = server.url.replace("http://127.0.0.1", "https://localhost")
        with new_client(domain, "c", "s") as client, pytest.raises(ExchangeTransportError, match="TLS"):
            client.custom_token_exchange(OPTIONS)
        with new_client(domain, "c", "s", ca_bundle=bundle) as client, pytest.raises(CustomTokenExchangeError) as e:
            client.custom_token_exchange(OPTIONS)
        assert not isinstance(e.value, TransportError)  # past TLS; the plain server calls itself http


class _PlainServer(RawServer):
    def serve(self, connection: socket.socket, number: int) -> None:
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        super().serve(connection, number)


class _TLSServer(RawServer):
    def __init__(self, authority: trustme.CA) -> None:
        import ssl

        super().__init__()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        self._context = context

    def serve(self, connection: socket.socket, number: int) -> None:
        try:
            with self._context.wrap_socket(connection, server_side=True) as secured:
                super().serve(secured, number)
        except OSError:
            return


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_opens_its_own_connections(raw_server: RawServer) -> None:
    """After a fork parent and child never share a connection, and both work."""
    with ServerClient(raw_server.url, "c", "s") as client:  # no event loop goes on after a fork
        client.custom_token_exchange(OPTIONS)
        pid = os.fork()
        if pid == 0:
            try:
                client.custom_token_exchange(OPTIONS)
                os._exit(0)
            finally:
                os._exit(1)
        assert 0 == os.waitpid(pid, 0)[1]
        client.custom_token_exchange(OPTIONS)
    assert [1, 2, 1] == [request.connection for request in raw_server.arrived]


@pytest.fixture
def _interruptible() -> Iterator[None]:
    """Let SIGINT interrupt, which a process that was started in the background (``nohup``, ``&``) may ignore."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, usual)


@pytest.mark.usefixtures("_interruptible")
def test_an_interrupt_is_not_swallowed(raw_server: RawServer) -> None:
    """Ctrl-C during an exchange is a KeyboardInterrupt, and the client serves on."""

    def interrupt(_request: Arrived, _connection: socket.socket) -> None:
        # No reply follows: the wait for it is interrupted.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    raw_server.scripts = [interrupt, send(reply(TOKENS))]
    with ServerClient(raw_server.url, "c", "s") as client:  # in the main thread, where interrupts arrive
        with pytest.raises(KeyboardInterrupt):
            client.custom_token_exchange(OPTIONS)
        assert "issued" == client.custom_token_exchange(OPTIONS).access_token


def test_values_and_secrets_do_not_reach_the_log(
    raw_server: RawServer, raw_client: ServerClient, caplog: pytest.LogCaptureFixture
) -> None:
    """At level DEBUG of every logger there is no token and no secret."""
    caplog.set_level(1)
    options: Any = {
        "subject_token": SECRET,
        "subject_token_type": "x",
        "authorization_params": {"Client_Secret": SECRET},
    }
    raw_client.custom_token_exchange(options)
    raw_server.scripts = [send(reply('{"error": "invalid_request"}', "400 Bad Request"))]
    with pytest.raises(CustomTokenExchangeError):
        raw_client.custom_token_exchange(options)
    assert "client_secret" in caplog.text
    assert SECRET not in caplog.text
    assert "the-secret" not in caplog.text
    assert "issued" not in caplog.text
