"""The local tenant on a loopback port."""

from __future__ import annotations

import socket
import ssl
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from auth0_cte import ConfigurationError
from auth0_cte.testing import LocalTenant, TenantServer
from tests.load import load, sized
from tests.testing.test_exchange import TYPE

OPTIONS = {"subject_token": "the-token", "subject_token_type": TYPE, "scope": "openid"}


@pytest.fixture
def tenant() -> LocalTenant:
    made = LocalTenant()
    made.add_user("auth0|jane")

    @made.action(TYPE)
    def exchange(event: Any, api: Any) -> None:
        user_id = f"u-{event.transaction.subject_token}"
        options = {"creationBehavior": "create_if_not_exists", "updateBehavior": "none"}
        api.authentication.setUserByConnection("db", {"user_id": user_id}, options)

    return made


def raw_exchange(server: TenantServer, data: bytes) -> bytes:
    """Send bytes on a connection of its own and return all that comes back."""
    with socket.create_connection(("127.0.0.1", urlsplit(server.url).port or 0)) as connection:
        connection.sendall(data)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_issuer_is_the_address(tenant: LocalTenant) -> None:
    """The issuer is the server's address, with a slash behind."""
    with tenant.serve() as server, requests.Session() as session:
        metadata = session.get(f"{server.url}/.well-known/openid-configuration").json()

    assert f"{server.url}/" == metadata["issuer"]
    assert server.url.startswith("http://127.0.0.1:")


def test_client_over_http(tenant: LocalTenant) -> None:
    """The server's client exchanges and verifies over one connection."""
    with tenant.serve() as server, server.client() as client:
        responses = [client.custom_token_exchange(OPTIONS) for _ in range(5)]
        connections = server.connections

    assert ["auth0|u-the-token"] * 5 == [response.claims["sub"] for response in responses if response.claims]
    assert 1 == connections


def test_client_over_tls(tenant: LocalTenant) -> None:
    """With TLS the client trusts the server's own authority, by a file that goes when the server does."""
    with tenant.serve(tls=True) as server, server.client() as client:
        response = client.custom_token_exchange(OPTIONS)
        bundle = Path(server.ca_bundle or "")
        assert bundle.is_file()

    assert server.url.startswith("https://localhost:")
    assert response.claims is not None
    assert f"{server.url}/" == response.claims["iss"]
    assert not bundle.exists()


def test_plain_server_has_no_ca(tenant: LocalTenant) -> None:
    """Without TLS there is no CA bundle, and the domain is the URL."""
    with tenant.serve() as server:
        assert (None, server.url) == (server.ca_bundle, server.domain)


def test_stranger_to_the_ca(tenant: LocalTenant) -> None:
    """A client that does not trust the authority is turned away by itself, and the server goes on."""
    with tenant.serve(tls=True) as server:
        port = urlsplit(server.url).port or 0
        with socket.create_connection(("127.0.0.1", port)) as connection, pytest.raises(ssl.SSLError):
            ssl.create_default_context().wrap_socket(connection, server_hostname="localhost")
        with server.client() as client:
            assert client.custom_token_exchange(OPTIONS).access_token


def test_tls_without_trustme(tenant: LocalTenant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without trustme the error says what to install."""
    monkeypatch.setitem(sys.modules, "trustme", None)

    with pytest.raises(ConfigurationError, match=r"pip install 'auth0-cte\[testing\]'"):
        tenant.serve(tls=True)


def test_connections_are_counted(tenant: LocalTenant) -> None:
    """Every connection counts once, however many requests it carries."""
    with tenant.serve() as server:
        for _ in range(2):
            with requests.Session() as session:
                for _ in range(3):
                    session.get(f"{server.url}/.well-known/jwks.json").raise_for_status()
        assert 2 == server.connections


def test_closing_twice(tenant: LocalTenant) -> None:
    """A second close does nothing."""
    server = tenant.serve()
    server.close()
    server.close()

    with pytest.raises(ConnectionRefusedError):
        raw_exchange(server, b"")


def test_closing_ends_open_connections(tenant: LocalTenant) -> None:
    """Closing ends idle connections, and no thread stays behind."""
    before = threading.active_count()
    server = tenant.serve()
    with socket.create_connection(("127.0.0.1", urlsplit(server.url).port or 0)) as connection:
        connection.sendall(b"GET /.well-known/jwks.json HTTP/1.1\r\nHost: x\r\nUser-Agent: x\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
        server.close()
        while connection.recv(65536):
            pass

    assert before == threading.active_count()


def test_closing_does_not_wait_for_delays(tenant: LocalTenant) -> None:
    """A scripted delay ends when the server is closed."""
    tenant.fail_next(delay=3600, path="/slow")
    server = tenant.serve()
    with socket.create_connection(("127.0.0.1", urlsplit(server.url).port or 0)) as connection:
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        while not tenant.requests:
            pass
        server.close()

    assert "/slow" == tenant.requests[-1].path


def test_tenant_closes_its_servers() -> None:
    """At the end of a tenant's with block its servers are closed."""
    with LocalTenant() as tenant:
        server = tenant.serve()

    with pytest.raises(ConnectionRefusedError):
        raw_exchange(server, b"")


@load
def test_many_threads(tenant: LocalTenant) -> None:
    """Sixteen threads with many exchanges each all get their own user."""
    count = sized(200, 40)
    with tenant.serve() as server, server.client(pool_size=16) as client, ThreadPoolExecutor(16) as pool:

        def work(thread: int) -> set[str]:
            options = {**OPTIONS, "subject_token": str(thread)}
            responses = [client.custom_token_exchange(options) for _ in range(count)]
            return {response.claims["sub"] for response in responses if response.claims}

        subjects = list(pool.map(work, range(16)))
        connections = server.connections

    assert [{f"auth0|u-{thread}"} for thread in range(16)] == subjects
    assert 16 * count == len(tenant.logs) == len(tenant.token_requests)
    assert connections <= 16


def test_close_fault(tenant: LocalTenant) -> None:
    """The close fault ends the connection without a byte."""
    tenant.fail_next(fault="close", path="/x")
    with tenant.serve() as server:
        assert b"" == raw_exchange(server, b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")


def test_reset_fault(tenant: LocalTenant) -> None:
    """The reset fault resets the connection."""
    tenant.fail_next(fault="reset", path="/x")
    with tenant.serve() as server, pytest.raises(ConnectionResetError):
        raw_exchange(server, b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")


def test_half_body_fault(tenant: LocalTenant) -> None:
    """The half-body fault promises the whole body and ends in the middle."""
    tenant.fail_next(200, body="0123456789", fault="half_body", path="/x")
    with tenant.serve() as server:
        reply = raw_exchange(server, b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")

    head, _, body = reply.partition(b"\r\n\r\n")
    assert (b"01234", True) == (body, b"content-length: 10" in head)


def test_head_has_no_body(tenant: LocalTenant) -> None:
    """HEAD tells the length and sends nothing."""
    with tenant.serve() as server:
        reply = raw_exchange(server, b"HEAD /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    assert (b"", b"HTTP/1.1 404 Not Found") == (reply.partition(b"\r\n\r\n")[2], reply.split(b"\r\n")[0])


@pytest.mark.parametrize("header", [b"Transfer-Encoding: chunked", b"Content-Length: many"])
def test_bodies_without_a_length(tenant: LocalTenant, header: bytes) -> None:
    """A body whose length is not told is refused, and the connection ends."""
    with tenant.serve() as server:
        reply = raw_exchange(server, b"POST /oauth/token HTTP/1.1\r\nHost: x\r\n" + header + b"\r\n\r\n")

    assert b"HTTP/1.1 411 Length Required" == reply.split(b"\r\n")[0]


def test_address_of_the_peer(tenant: LocalTenant) -> None:
    """The address in requests and logs is the connection's."""
    with tenant.serve() as server, server.client() as client:
        client.custom_token_exchange(OPTIONS)

    assert ("127.0.0.1", "127.0.0.1") == (tenant.requests[-1].ip, tenant.logs[-1].ip)


def test_id_tokens_of_all_addresses_are_the_tenants(tenant: LocalTenant) -> None:
    """An ID token that was issued in process is an actor token over the wire, too."""
    tenant.accept(TYPE, "auth0|jane")
    actor = {
        "actor_token": tenant.id_token("auth0|jane"),
        "actor_token_type": "urn:ietf:params:oauth:token-type:id_token",
    }
    with tenant.serve() as server, server.client() as client:
        assert client.custom_token_exchange({**OPTIONS, **actor}).access_token
