"""Which reply is whose, how long one is waited for, and how long it may be: over the wire, by whole calls."""

from __future__ import annotations

import json
import logging
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs

import pytest
from freezegun import freeze_time

from auth0_cte import (
    CustomTokenExchangeError,
    CustomTokenExchangeOptions,
    ExchangeDiscoveryError,
    ExchangeTimeoutError,
    RetryPolicy,
    ServerClient,
)
from auth0_cte.jose import SigningKey
from tests.exchanges import shown_by
from tests.raw_server import TOKENS, Arrived, RawServer, Script, reply, send, wait_until_delivered

SECRET = "s3cr3t-c4n4ry"
OPTIONS = CustomTokenExchangeOptions(subject_token=SECRET, subject_token_type="urn:acme:mcp-token")
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n"
MIB = 1024 * 1024


class EarlyServer(RawServer):
    """Sends an interim reply before each reply, and counts them."""

    interim = 0

    def _answer(self, request: Arrived, connection: socket.socket) -> None:
        self.interim += 1
        connection.sendall(EARLY_HINTS)
        super()._answer(request, connection)


def _tokens_of(request: Arrived) -> str:
    """Answer with tokens that name the subject token which they were given for."""
    (subject,) = parse_qs(request.body)["subject_token"]
    return json.dumps({"access_token": f"for-{subject}", "token_type": "Bearer"})


def exchange(client: ServerClient, subject: str) -> str:
    options = CustomTokenExchangeOptions(subject_token=subject, subject_token_type="urn:acme:mcp-token")
    return client.custom_token_exchange(options).access_token


def test_interim_replies_are_skipped_wherever_they_come(new_client: type[ServerClient]) -> None:
    """Before discovery, keys, tokens and authenticators: every call succeeds, over one connection."""
    key = SigningKey.generate("ES256")

    def answer(request: Arrived, connection: socket.socket) -> None:
        now = int(time.time())
        claims = {"iss": server.url + "/", "sub": "ada", "aud": "c", "iat": now, "exp": now + 60}
        bodies: dict[str, Any] = {
            "/jwks": {"keys": [key.public_jwk()]},
            "/oauth/token": {"access_token": "issued", "id_token": key.sign(claims, header={"typ": "JWT"})},
            "/mfa/authenticators": [{"id": "otp|1", "authenticator_type": "otp", "active": True}],
            "/mfa/challenge": {"challenge_type": "otp"},
        }
        connection.sendall(reply(json.dumps(bodies[request.path])))

    with EarlyServer(scripts=[answer]) as server, new_client(server.url, "c", "s") as client:
        response = client.custom_token_exchange(OPTIONS)
        assert (None, "ada") == (response.id_token_error, (response.claims or {})["sub"])
        assert ["otp|1"] == [each.id for each in client.list_mfa_authenticators("mfa-token")]
        assert "otp" == client.challenge_mfa("mfa-token", authenticator_id="otp|1", challenge_type="otp").challenge_type
        paths = [request.path for request in server.everything]
        assert ["/oauth/token", "/jwks", "/mfa/authenticators", "/mfa/challenge"] == paths[1:]
        assert (5, 1) == (server.interim, server.opened)


def test_nobody_gets_anothers_tokens() -> None:
    """However many exchange at the same time, with interim replies: each gets what its own subject token brought."""

    def answer(request: Arrived, connection: socket.socket) -> None:
        connection.sendall(EARLY_HINTS + reply(_tokens_of(request)))

    with RawServer(scripts=[answer]) as server, ServerClient(server.url, "c", "s") as client:
        subjects = [f"user-{number}" for number in range(200)]
        with ThreadPoolExecutor(16) as threads:
            results = list(threads.map(lambda subject: exchange(client, subject), subjects))
    assert [f"for-{subject}" for subject in subjects] == results


@pytest.mark.parametrize("pause", [0.0, 0.05])
def test_a_second_reply_is_never_anybodys(pause: float) -> None:
    """A server that answers a request twice, at once or a moment later, does not make the next caller another user."""
    twice = threading.Event()

    def answer(request: Arrived, connection: socket.socket) -> None:
        connection.sendall(reply(_tokens_of(request)))
        time.sleep(pause)
        connection.sendall(reply(_tokens_of(request)))
        wait_until_delivered(connection)
        twice.set()

    with RawServer(scripts=[answer]) as server, ServerClient(server.url, "c", "s") as client:
        for number in range(3):
            assert f"for-user-{number}" == exchange(client, f"user-{number}")
            assert twice.wait(5)
            twice.clear()


def test_a_refused_reply_is_not_left_for_the_next_caller() -> None:
    """After a reply that was refused, too long or encoded, the next caller gets its own."""
    broken = [
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 5\r\n\r\nhello",
        reply(" " * (MIB + 1)),
        reply("{}", headers=["Content-Encoding: gzip"]),
    ]

    def answer(request: Arrived, connection: socket.socket) -> None:
        good = reply(_tokens_of(request))
        connection.sendall(broken.pop() + good if len(server.arrived) % 2 else good)

    with RawServer(scripts=[answer]) as server, ServerClient(server.url, "c", "s", pool_size=1) as client:
        for number in range(3):
            with pytest.raises(CustomTokenExchangeError):
                exchange(client, f"user-{number}a")
            assert f"for-user-{number}b" == exchange(client, f"user-{number}b")


def _endless(first: bytes, part: bytes) -> Script:
    def script(_request: Arrived, connection: socket.socket) -> None:
        connection.sendall(first)
        while True:
            connection.sendall(part)

    return script


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
FLOODS: dict[str, Script] = {
    "chunk-extensions": _endless(CHUNKED, b"1;" + b"x" * 4000 + b"\r\n \r\n"),
    "trailers": _endless(CHUNKED + b"0\r\n", b"X: y\r\n"),
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS.keys())
def test_a_flood_is_given_up_at_the_deadline(flood: Script, raw_server: RawServer) -> None:
    """Bytes that never pause, and bring nothing that a limit counts, end with the call."""
    raw_server.scripts = [flood]
    began = time.monotonic()
    with ServerClient(raw_server.url, "c", "s", timeout=0.7) as client:
        with pytest.raises(CustomTokenExchangeError) as caught:
            client.custom_token_exchange(OPTIONS)
    assert time.monotonic() - began < 10
    assert caught.value.may_have_reached_server


def test_interim_replies_without_end_are_given_up(raw_server: RawServer) -> None:
    """A server that goes on to say 100 Continue slowly is left at the deadline, a quick one at once."""

    def slowly(_request: Arrived, connection: socket.socket) -> None:
        while True:
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            time.sleep(0.1)

    raw_server.scripts = [slowly, _endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n")]
    with ServerClient(raw_server.url, "c", "s", timeout=0.5) as client:
        with pytest.raises(ExchangeTimeoutError):
            client.custom_token_exchange(OPTIONS)
        with pytest.raises(CustomTokenExchangeError, match="more than 16 interim responses"):
            client.custom_token_exchange(OPTIONS)
    assert 2 == len(raw_server.arrived)


@pytest.mark.parametrize(("idle", "connections"), [(3.9, [1, 1]), (4.1, [1, 2])])
def test_an_idle_connection_is_trusted_for_four_seconds(
    idle: float, connections: list[int], raw_server: RawServer
) -> None:
    """Before servers close idle connections, a token is not written to one."""
    with freeze_time("2026-01-01") as time_stands, ServerClient(raw_server.url, "c", "s") as client:
        client.custom_token_exchange(OPTIONS)
        time_stands.tick(idle)
        client.custom_token_exchange(OPTIONS)
    assert connections == [request.connection for request in raw_server.arrived]


def test_tokens_may_be_as_long_as_the_limit(raw_server: RawServer) -> None:
    """A reply of exactly 1 MiB is read, one of a byte more is refused, by length and by chunks."""
    for extra, fits in ((0, True), (1, False)):
        body = TOKENS.encode() + b" " * (MIB - len(TOKENS) + extra)
        chunked = CHUNKED + b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
        raw_server.scripts = [send(reply(body)), send(chunked)]
        with ServerClient(raw_server.url, "c", "s") as client:
            for _ in range(2):
                if fits:
                    assert "issued" == client.custom_token_exchange(OPTIONS).access_token
                else:
                    with pytest.raises(CustomTokenExchangeError, match=f"longer than {MIB} bytes"):
                        client.custom_token_exchange(OPTIONS)


@pytest.mark.parametrize(("extra", "fits"), [(0, True), (1, False)])
def test_configuration_may_be_as_long_as_the_limit(extra: int, fits: bool) -> None:
    """The tenant's configuration may have 1 MiB, and not a byte more."""

    class LongServer(RawServer):
        def _answer(self, request: Arrived, connection: socket.socket) -> None:
            if request.path == "/oauth/token":
                connection.sendall(reply(TOKENS))
                return
            text = json.dumps({"issuer": f"{self.url}/", "token_endpoint": f"{self.url}/oauth/token"})
            connection.sendall(reply(text + " " * (MIB - len(text) + extra)))

    with LongServer() as server, ServerClient(server.url, "c", "s") as client:
        if fits:
            assert "issued" == client.custom_token_exchange(OPTIONS).access_token
        else:
            with pytest.raises(ExchangeDiscoveryError, match=f"longer than {MIB} bytes"):
                client.custom_token_exchange(OPTIONS)


@pytest.mark.parametrize(("extra", "fits"), [(0, True), (1, False)])
def test_a_key_set_may_be_as_long_as_the_limit(extra: int, fits: bool) -> None:
    """A key set may have 256 KiB, and not a byte more."""
    key = SigningKey.generate("ES256")

    def answer(request: Arrived, connection: socket.socket) -> None:
        now = int(time.time())
        claims = {"iss": server.url + "/", "sub": "ada", "aud": "c", "iat": now, "exp": now + 60}
        tokens = {"access_token": "issued", "id_token": key.sign(claims, header={"typ": "JWT"})}
        keys = json.dumps({"keys": [key.public_jwk()]})
        long = keys + " " * (256 * 1024 - len(keys) + extra)
        connection.sendall(reply(long if request.path == "/jwks" else json.dumps(tokens)))

    with RawServer(scripts=[answer]) as server, ServerClient(server.url, "c", "s") as client:
        response = client.custom_token_exchange(OPTIONS)
    assert fits == (response.id_token_error is None)


def test_each_request_is_told_at_level_debug(
    raw_server: RawServer, new_client: type[ServerClient], caplog: pytest.LogCaptureFixture
) -> None:
    """Method, host, path, status, duration and attempt; no query, no body, no header."""
    caplog.set_level(logging.DEBUG, logger="auth0_cte.transport")
    raw_server.metadata = {"token_endpoint": f"{raw_server.url}/oauth/token?tenant={SECRET}"}
    raw_server.scripts = [send(reply("", "429 Too Many")), send(reply(TOKENS))]
    host = raw_server.url.removeprefix("http://")
    with new_client(raw_server.url, "c", "the-secret", retry=RetryPolicy(sleep=lambda _: None)) as client:
        client.custom_token_exchange(OPTIONS)
    told = [record for record in caplog.records if record.name == "auth0_cte.transport"]
    assert [
        f"GET {host}/.well-known/openid-configuration: 200 in … ms, attempt 1",
        f"POST {host}/oauth/token: 429 in … ms, attempt 1",
        f"POST {host}/oauth/token: 200 in … ms, attempt 2",
    ] == [re.sub(r"in \d+ ms", "in … ms", record.getMessage()) for record in told]
    assert {logging.DEBUG} == {record.levelno for record in told}


def test_a_failed_request_is_told_at_level_debug(raw_server: RawServer, caplog: pytest.LogCaptureFixture) -> None:
    """How a request failed stands where its status would."""
    caplog.set_level(logging.DEBUG, logger="auth0_cte.transport")
    raw_server.scripts = [send(b"no http\r\n\r\n"), send(reply(" " * (MIB + 1)))]
    with ServerClient(raw_server.url, "c", "the-secret") as client:
        for _ in range(2):
            with pytest.raises(CustomTokenExchangeError):
                client.custom_token_exchange(OPTIONS)
    host = raw_server.url.removeprefix("http://")
    told = [re.sub(r"in \d+ ms", "in … ms", record.getMessage()) for record in caplog.records]
    malformed = f"no reply ({host} sent an invalid response: its status line is malformed)"
    assert [
        f"POST {host}/oauth/token: {malformed} in … ms, attempt 1",
        f"POST {host}/oauth/token: 200 (the reply is longer than {MIB} bytes) in … ms, attempt 1",
    ] == told[-2:]


@pytest.mark.parametrize(
    "script",
    [
        send(b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n"),
        send(reply(TOKENS, headers=["Content-Encoding: gzip"])),
        send(reply("", "500 Oops")),
    ],
    ids=["refused", "unusable", "500"],
)
def test_no_frame_of_ours_holds_the_token(
    script: Script, raw_server: RawServer, new_client: type[ServerClient]
) -> None:
    """Of an error, its cause and its context an error tracker collects no variable with a secret."""
    raw_server.scripts = [script]
    with new_client(raw_server.url, "c", "the-s3cr3t") as client:
        with pytest.raises(CustomTokenExchangeError) as caught:
            client.custom_token_exchange(OPTIONS)
    assert SECRET not in shown_by(caught.value)
    assert "the-s3cr3t" not in shown_by(caught.value)
