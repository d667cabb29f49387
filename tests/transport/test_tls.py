"""Whose certificates are trusted, what is told when one is not, and that verification cannot be switched off."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme
import truststore
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from auth0_cte import (
    ConfigurationError,
    CustomTokenExchangeOptions,
    ExchangeTransportError,
    RetryPolicy,
    ServerClient,
)
from tests.raw_server import RawServer

OPTIONS = CustomTokenExchangeOptions(subject_token="s3cr3t-c4n4ry", subject_token_type="urn:acme:mcp-token")
PAST, FUTURE = datetime(2001, 1, 1, tzinfo=UTC), datetime(2199, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def bundle(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture(scope="module")
def strange_bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The CA of somebody else."""
    path = tmp_path_factory.mktemp("ca") / "strange.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def server(authority: trustme.CA) -> Iterator[RawServer]:
    with RawServer(tls=_issued(authority)) as made:
        yield made


def _issued(authority: trustme.CA, host: str = "localhost", **more: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host, **more).configure_cert(context)
    return context


def _self_signed(tmp_path: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, SHA256())
    )
    path = tmp_path / "self-signed.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(certificate.public_bytes(Encoding.PEM) + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


REASONS: dict[str, tuple[Callable[[trustme.CA, Path], ssl.SSLContext], str, str]] = {
    "expired": (lambda ca, _: _issued(ca, not_after=PAST), "the certificate has expired", "clock"),
    "self-signed": (lambda _, path: _self_signed(path), "the certificate is self-signed", "ca_bundle"),
    "wrong-host": (lambda ca, _: _issued(ca, "elsewhere.example"), "the certificate is for another host", "domain"),
    "unknown-ca": (lambda *_: _issued(trustme.CA()), "the certificate was issued by an unknown CA", "ca_bundle"),
}


@pytest.mark.parametrize("by", ["own", "session"])
@pytest.mark.parametrize(("make", "reason", "advice"), REASONS.values(), ids=REASONS.keys())
def test_why_a_certificate_is_not_trusted_is_told(
    make: Callable[[trustme.CA, Path], ssl.SSLContext],
    reason: str,
    advice: str,
    by: str,
    authority: trustme.CA,
    bundle: str,
    tmp_path: Path,
) -> None:
    """Message and hint name the reason and ca_bundle; nothing was sent, and nothing is tried again."""
    naps: list[float] = []
    trust: dict[str, Any] = {"ca_bundle": bundle}
    with RawServer(tls=make(authority, tmp_path)) as server, requests.Session() as session:
        session.verify = bundle
        trust = {"session": session} if by == "session" else {"ca_bundle": bundle}
        with ServerClient(server.url, "c", "s", retry=RetryPolicy(sleep=naps.append), **trust) as client:
            with pytest.raises(ExchangeTransportError) as caught:
                client.custom_token_exchange(OPTIONS)
        assert [] == server.everything
        host = server.url.removeprefix("https://")
    error = caught.value
    assert error.message.startswith(f"TLS with {host} failed: {reason}")
    assert bundle in error.message
    assert "ca_bundle" in error.message + error.hint or by == "session"
    assert advice in error.hint
    assert ("tls", False, False, []) == (error.phase, error.may_have_reached_server, error.is_retryable, naps)


def test_a_client_without_ca_bundle_is_told_of_it(server: RawServer, new_client: type[ServerClient]) -> None:
    """Where certifi's CAs are the trusted ones, the message says that ca_bundle is not set."""
    with new_client(server.url, "c", "s") as client:
        with pytest.raises(ExchangeTransportError, match="certifi's CAs; ca_bundle is not set"):
            client.custom_token_exchange(OPTIONS)


def test_a_port_without_tls_is_told() -> None:
    """A server that answers in plain text is named as what it is."""

    def speak(_number: int, connection: socket.socket) -> socket.socket | None:
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        return connection

    with RawServer(greet=speak) as server:
        with ServerClient(server.url.replace("http:", "https:"), "c", "s") as client:
            with pytest.raises(ExchangeTransportError, match="the port does not speak TLS"):
                client.custom_token_exchange(OPTIONS)


def test_the_sessions_own_verify_counts_before_the_environment(
    server: RawServer, bundle: str, strange_bundle: str, monkeypatch: pytest.MonkeyPatch, new_client: type[ServerClient]
) -> None:
    """A session that trusts one CA goes on trusting that one alone, whatever REQUESTS_CA_BUNDLE names."""
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(variable, bundle)
        with requests.Session() as session:
            session.verify = strange_bundle
            with new_client(server.url, "c", "s", session=session) as client:
                with pytest.raises(ExchangeTransportError, match="unknown CA") as caught:
                    client.custom_token_exchange(OPTIONS)
            assert "tls" == caught.value.phase
            monkeypatch.setenv(variable, strange_bundle)
            session.verify = bundle
            with new_client(server.url, "c", "s", session=session) as client:
                assert "issued" == client.custom_token_exchange(OPTIONS).access_token
        monkeypatch.delenv(variable)


def test_a_session_that_says_nothing_follows_the_environment(
    server: RawServer, bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With verify=True the CAs of REQUESTS_CA_BUNDLE are trusted, as requests has it."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    with requests.Session() as session, ServerClient(server.url, "c", "s", session=session) as client:
        assert "issued" == client.custom_token_exchange(OPTIONS).access_token


def test_the_sessions_own_certificate_is_presented(
    authority: trustme.CA, bundle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``session.cert`` is what a server that wants a certificate sees."""
    seen: list[Any] = []
    context = _issued(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(bundle)
    own = tmp_path / "client.pem"
    authority.issue_cert("client.example").private_key_and_cert_chain_pem.write_to_path(str(own))

    class AskingServer(RawServer):
        def _converse(self, connection: socket.socket, number: int) -> None:
            seen.append(connection.getpeercert())  # type: ignore[attr-defined]  # of TLS
            super()._converse(connection, number)

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    with AskingServer(tls=context) as server, requests.Session() as session:
        session.verify, session.cert = bundle, str(own)
        with ServerClient(server.url, "c", "s", session=session) as client:
            assert "issued" == client.custom_token_exchange(OPTIONS).access_token
    assert "client.example" in str(seen[0])


@pytest.mark.parametrize("off", [False, 0, 0.0, "", None])
def test_a_session_that_does_not_verify_is_refused(
    off: Any, server: RawServer, bundle: str, new_client: type[ServerClient]
) -> None:
    """Whatever switches verification off in requests is refused, at construction and when it is set later."""
    with requests.Session() as session:
        session.verify = bundle
        with new_client(server.url, "c", "s", session=session) as client:
            session.verify = off
            with pytest.raises(ConfigurationError, match="cannot be switched off"):
                client.custom_token_exchange(OPTIONS)
        with pytest.raises(ConfigurationError, match="cannot be switched off"):
            new_client(server.url, "c", "s", session=session)
    assert [] == server.everything


def test_a_session_that_verifies_with_a_missing_file_is_refused(server: RawServer, tmp_path: Path) -> None:
    """A bundle that does not exist is told where it is given."""
    with requests.Session() as session:
        session.verify = str(tmp_path / "missing.pem")
        with pytest.raises(ConfigurationError, match=r"missing\.pem"):
            ServerClient(server.url, "c", "s", session=session)


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_the_environment_names_the_trusted_cas(
    variable: str, server: RawServer, bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of the usual variables is read."""
    monkeypatch.setenv(variable, bundle)
    with ServerClient(server.url, "c", "s") as client:
        assert "issued" == client.custom_token_exchange(OPTIONS).access_token


def test_requests_variables_count_before_openssls(
    server: RawServer, bundle: str, strange_bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSL_CERT_FILE is read where REQUESTS_CA_BUNDLE is not set; what is given as argument counts before both."""
    monkeypatch.setenv("SSL_CERT_FILE", bundle)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", strange_bundle)
    with ServerClient(server.url, "c", "s") as client:
        with pytest.raises(ExchangeTransportError, match="unknown CA"):
            client.custom_token_exchange(OPTIONS)
    with ServerClient(server.url, "c", "s", ca_bundle=bundle) as client:
        assert "issued" == client.custom_token_exchange(OPTIONS).access_token


def test_a_variable_that_names_no_file_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The error names the variable."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    with pytest.raises(ConfigurationError, match=r"SSL_CERT_FILE names .*missing\.pem"):
        ServerClient("tenant.auth0.com", "c", "s")


def test_a_bundle_without_certificates_is_told(tmp_path: Path) -> None:
    """A file that holds no CA is an error of configuration, and nothing is sent."""
    empty = tmp_path / "empty.pem"
    empty.write_text("no certificates here")
    with ServerClient("localhost:1", "c", "s", ca_bundle=empty) as client:
        with pytest.raises(ConfigurationError, match=r"ca_bundle must hold CA certificates, but .*empty\.pem does not"):
            client.custom_token_exchange(OPTIONS)


def test_the_trust_store_of_the_system_can_be_used(
    server: RawServer, bundle: str, strange_bundle: str, monkeypatch: pytest.MonkeyPatch, new_client: type[ServerClient]
) -> None:
    """A context of truststore verifies with the CAs of the operating system, which SSL_CERT_FILE replaces on Linux."""
    monkeypatch.setenv("SSL_CERT_FILE", bundle)
    context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with new_client(server.url, "c", "s", ssl_context=context) as client:
        assert "issued" == client.custom_token_exchange(OPTIONS).access_token
    monkeypatch.setenv("SSL_CERT_FILE", strange_bundle)
    context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with new_client(server.url, "c", "s", ssl_context=context) as client:
        with pytest.raises(ExchangeTransportError, match=r"TLS with .* failed") as caught:
            client.custom_token_exchange(OPTIONS)
    assert ("tls", False) == (caught.value.phase, caught.value.may_have_reached_server)


def test_an_alert_after_the_request_was_read_is_ambiguous(authority: trustme.CA, bundle: str) -> None:
    """Only an alert about the client's certificate says that nothing was read; any other may come after the token."""
    read: list[bytes] = []

    def break_records(connection: socket.socket, context: ssl.SSLContext) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        layer = context.wrap_bio(incoming, outgoing, server_side=True)

        def until_done(step: Callable[[], Any]) -> Any:
            while True:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    connection.sendall(outgoing.read())
                    incoming.write(connection.recv(65_536))

        until_done(layer.do_handshake)
        connection.sendall(outgoing.read())
        read.append(until_done(lambda: layer.read(65_536)))
        incoming.write(b"\x17\x03\x03\x00\x20" + b"\x00" * 32)  # no client's record: OpenSSL answers with an alert
        with suppress(ssl.SSLError):
            layer.read(1)
        connection.sendall(outgoing.read())

    context = _issued(authority)
    with RawServer(tls=context, discovery_headers=["Connection: close"]) as server:
        server.greet = lambda number, connection: connection if number == 1 else break_records(connection, context)
        with ServerClient(server.url, "c", "s", ca_bundle=bundle) as client:
            with pytest.raises(ExchangeTransportError) as caught:
                client.custom_token_exchange(OPTIONS)
    assert b"s3cr3t-c4n4ry" in read[0]
    assert (True, False, "response") == (
        caught.value.may_have_reached_server,
        caught.value.is_retryable,
        caught.value.phase,
    )
    assert "alert" in caught.value.message
