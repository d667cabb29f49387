"""Proxies of the environment and of a session: by CONNECT, by CONNECT over TLS, by SOCKS."""

from __future__ import annotations

import base64
import ssl
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import trustme
from attrs import frozen

from auth0_cte import (
    ConfigurationError,
    CustomTokenExchangeOptions,
    ExchangeTimeoutError,
    ExchangeTransportError,
    RetryPolicy,
    ServerClient,
)
from tests.raw_server import TOKENS, RawServer, reply, send
from tests.services import free_port
from tests.transport.proxies import SocksServer, Tunnel

HOST = "tenant.example"
ISSUER = f"https://{HOST}/"
OPTIONS = CustomTokenExchangeOptions(subject_token="s3cr3t-c4n4ry", subject_token_type="urn:acme:mcp-token")
PASSWORD = "pr0xy-p4ssw0rd"


@frozen
class Place:
    """A tenant that only a proxy leads to, and who vouches for it."""

    server: RawServer
    authority: trustme.CA
    bundle: Path

    @property
    def port(self) -> int:
        return int(self.server.url.rpartition(":")[2])

    def context(self, host: str = "localhost") -> ssl.SSLContext:
        return _context(self.authority, host)


def _context(authority: trustme.CA, host: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    return context


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def place(authority: trustme.CA, tmp_path: Path) -> Iterator[Place]:
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    metadata: dict[str, object] = {"issuer": ISSUER, "token_endpoint": f"{ISSUER}oauth/token", "jwks_uri": None}
    with RawServer(tls=_context(authority, HOST), metadata=metadata) as server:
        yield Place(server, authority, bundle)


@pytest.fixture(params=["environment", "session"])
def by(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def connect(
    place: Place,
    proxy: str,
    monkeypatch: pytest.MonkeyPatch,
    by: str = "environment",
    new_client: type[ServerClient] = ServerClient,
    *,
    variable: str = "all_proxy",
    timeout: float = 15.0,
) -> ServerClient:
    """Make a client that reaches the tenant by a proxy of the environment, or of a session."""
    retry = RetryPolicy(sleep=lambda _: None)
    if by == "environment":
        monkeypatch.setenv(variable, proxy)
        return new_client(HOST, "c", "s", ca_bundle=place.bundle, retry=retry, timeout=timeout)
    session = requests.Session()
    session.verify, session.proxies = str(place.bundle), {"https": proxy}
    return new_client(HOST, "c", "s", session=session, retry=retry, timeout=timeout)


def test_a_proxy_leads_to_the_tenant(
    by: str, place: Place, monkeypatch: pytest.MonkeyPatch, new_client: type[ServerClient]
) -> None:
    """By CONNECT, with the user name and the password of the URL, and over one connection."""
    with Tunnel(place.port) as proxy:
        url = proxy.url.replace("//", f"//ada:{PASSWORD}@")
        with connect(place, url, monkeypatch, by, new_client) as client:
            for _ in range(3):
                assert "issued" == client.custom_token_exchange(OPTIONS).access_token
    ((where, headers),) = proxy.asked
    credentials = base64.b64encode(f"ada:{PASSWORD}".encode()).decode().lower()
    assert f"{HOST}:443" == where
    assert f"proxy-authorization: basic {credentials}" in headers
    assert not any("proxy-authorization" in request.headers for request in place.server.everything)
    assert 1 == place.server.opened


def test_a_proxy_is_asked_anew_when_its_connection_ended(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that the tenant closes between two calls is replaced by a tunnel of its own."""
    place.server.scripts = [send(reply(TOKENS, headers=["Connection: close"]))]
    once = RetryPolicy(unsent_retries=0)
    with Tunnel(place.port) as proxy:
        monkeypatch.setenv("all_proxy", proxy.url)
        with ServerClient(HOST, "c", "s", ca_bundle=place.bundle, retry=once) as client:
            for _ in range(3):
                assert "issued" == client.custom_token_exchange(OPTIONS).access_token
    assert [f"{HOST}:443"] * 3 == [where for where, _ in proxy.asked]


def test_a_proxy_that_speaks_tls_is_trusted_by_ca_bundle(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """An https:// proxy is verified with the CAs of ca_bundle, and TLS with the tenant goes within it."""
    with Tunnel(place.port, tls=place.context()) as proxy:
        with connect(place, proxy.url, monkeypatch) as client:
            for _ in range(3):
                assert "issued" == client.custom_token_exchange(OPTIONS).access_token
    assert [f"{HOST}:443"] == [where for where, _ in proxy.asked]
    assert 1 == place.server.opened


@pytest.mark.parametrize("in_one_record", [True, False])
def test_a_second_reply_within_two_layers_of_tls_is_nobodys(
    in_one_record: bool, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes after a reply end the connection through an https:// proxy, too."""
    right, wrong = reply(TOKENS), reply(TOKENS.replace("issued", "wrong"))
    first, *more = [right + wrong] if in_one_record else [right, wrong]
    place.server.scripts = [send(first, *more), send(reply(TOKENS))]
    with Tunnel(place.port, tls=place.context(), pause=0.05) as proxy:
        with connect(place, proxy.url, monkeypatch) as client:
            for _ in range(2):
                assert "issued" == client.custom_token_exchange(OPTIONS).access_token
                time.sleep(0.1)  # for what comes after the reply to get through the proxy
    assert [1, 2] == [request.connection for request in place.server.arrived]


def test_a_proxy_with_an_untrusted_certificate_is_named(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is the proxy's certificate that does not verify, the error says so, and nothing was sent."""
    with Tunnel(place.port, tls=_context(trustme.CA(), "localhost")) as proxy:
        with connect(place, proxy.url, monkeypatch) as client:
            with pytest.raises(ExchangeTransportError, match=r"the proxy before .* unknown CA .*ca_bundle") as caught:
                client.custom_token_exchange(OPTIONS)
    assert ("tls", False, []) == (caught.value.phase, caught.value.may_have_reached_server, proxy.asked)


def test_a_proxy_may_say_nothing_until_the_deadline(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that takes the connection and does not answer is given up in time, with nothing sent."""
    with Tunnel(place.port, refusal=lambda _: b"") as proxy:
        with connect(place, proxy.url, monkeypatch, timeout=0.5) as client:
            with pytest.raises(ExchangeTransportError) as caught:
                client.custom_token_exchange(OPTIONS)
    assert not caught.value.may_have_reached_server


@pytest.mark.parametrize(
    ("status", "phrase", "phase"),
    [(407, "Proxy Authentication Required", "proxy"), (403, "Forbidden", "proxy"), (502, "Bad Gateway", "connect")],
)
def test_what_a_proxy_refuses_is_told(
    status: int,
    phrase: str,
    phase: str,
    by: str,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    new_client: type[ServerClient],
) -> None:
    """The status of the refusal is in message and attribute, nothing was sent, and no password is shown."""
    refusal = f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode()
    with Tunnel(place.port, refusal=lambda _: refusal) as proxy:
        url = proxy.url.replace("//", f"//ada:{PASSWORD}@")
        with connect(place, url, monkeypatch, by, new_client) as client:
            with pytest.raises(ExchangeTransportError) as caught:
                client.custom_token_exchange(OPTIONS)
    error = caught.value
    assert f"the proxy before {HOST} refused the connection: {status} {phrase}" == error.message
    assert (status, False, phase) == (error.status_code, error.may_have_reached_server, error.phase)
    assert (phase == "connect") == error.is_retryable
    assert "proxy" in error.hint
    assert PASSWORD not in repr(error) + str(error.__cause__) + error.hint


def test_a_refusal_at_the_exchange_says_that_nothing_was_sent(
    by: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy led to the discovery and refuses the next connection: the subject token is not spent."""
    refusal = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
    place.server.discovery_headers = ["Connection: close"]
    with Tunnel(place.port, refusal=lambda number: refusal if number > 1 else None) as proxy:
        with connect(place, proxy.url, monkeypatch, by) as client:
            with pytest.raises(ExchangeTransportError, match="503") as caught:
                client.custom_token_exchange(OPTIONS)
    assert (["GET"], 4) == ([request.method for request in place.server.everything], proxy.opened)
    assert (False, True) == (caught.value.may_have_reached_server, caught.value.is_retryable)


def test_a_proxy_that_is_not_there_is_told(by: str, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the proxy, not the tenant, as what could not be connected to."""
    with Tunnel(place.port) as proxy:
        url = proxy.url
    with connect(place, url, monkeypatch, by) as client:
        with pytest.raises(ExchangeTransportError, match=f"could not connect to the proxy before {HOST}") as caught:
            client.custom_token_exchange(OPTIONS)
    assert not caught.value.may_have_reached_server


@pytest.mark.parametrize("variable", ["all_proxy", "ALL_PROXY", "https_proxy"])
def test_a_socks_proxy_leads_to_the_tenant(
    variable: str, place: Place, monkeypatch: pytest.MonkeyPatch, new_client: type[ServerClient]
) -> None:
    """socks5h:// works, the host's name is resolved by the proxy, and the connection is reused."""
    with SocksServer(place.port) as proxy:
        with connect(place, proxy.url, monkeypatch, new_client=new_client, variable=variable) as client:
            for _ in range(3):
                assert "issued" == client.custom_token_exchange(OPTIONS).access_token
    assert [(f"{HOST}:443", ["kind 3"])] == proxy.asked
    assert 1 == place.server.opened


def test_a_socks_proxy_of_a_session_leads_to_the_tenant(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session's own SOCKS proxy is used as it is."""
    with SocksServer(place.port) as proxy, connect(place, proxy.url, monkeypatch, "session") as client:
        assert "issued" == client.custom_token_exchange(OPTIONS).access_token
    assert [(f"{HOST}:443", ["kind 3"])] == proxy.asked


def test_a_socks_proxy_may_want_a_password(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """User name and password of the URL are sent; with a wrong one nothing of the request is."""
    with SocksServer(place.port, user=("ada", PASSWORD)) as proxy:
        url = proxy.url.replace("//", f"//ada:{PASSWORD}@")
        with connect(place, url, monkeypatch) as client:
            assert "issued" == client.custom_token_exchange(OPTIONS).access_token
        with connect(place, url.replace(PASSWORD, "wrong"), monkeypatch) as client:
            with pytest.raises(
                ExchangeTransportError, match=f"the proxy before {HOST} refused the connection: 407"
            ) as caught:
                client.custom_token_exchange(OPTIONS)
    assert ("proxy", 407) == (caught.value.phase, caught.value.status_code)
    assert not caught.value.may_have_reached_server


def test_a_socks_proxy_that_is_not_there(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the proxy that could not be connected to, not the tenant."""
    with connect(place, f"socks5h://127.0.0.1:{free_port()}", monkeypatch) as client:
        with pytest.raises(ExchangeTransportError, match=f"could not connect to the proxy before {HOST}") as caught:
            client.custom_token_exchange(OPTIONS)
    assert (False, "connect") == (caught.value.may_have_reached_server, caught.value.phase)


def test_a_socks_proxy_may_refuse(by: str, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the proxy cannot reach the tenant, nothing was sent."""
    with SocksServer(place.port, answer=4) as proxy, connect(place, proxy.url, monkeypatch, by) as client:
        with pytest.raises(ExchangeTransportError, match=f"could not connect to {HOST}") as caught:
            client.custom_token_exchange(OPTIONS)
    assert (False, True) == (caught.value.may_have_reached_server, caught.value.is_retryable)


def test_the_deadline_holds_through_a_socks_proxy(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenant behind it that says nothing is given up at the deadline."""
    place.server.scripts = [lambda *_: None]
    with SocksServer(place.port) as proxy, connect(place, proxy.url, monkeypatch, timeout=0.6) as client:
        with pytest.raises(ExchangeTimeoutError) as caught:
            client.custom_token_exchange(OPTIONS)
    assert caught.value.may_have_reached_server


def test_socks_without_its_package_says_what_to_install(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without PySocks the error is one of configuration, and names the extra."""
    monkeypatch.setitem(sys.modules, "socks", None)
    with connect(place, "socks5h://localhost:1", monkeypatch) as client:
        with pytest.raises(ConfigurationError, match=r"pip install 'requests\[socks\]'"):
            client.custom_token_exchange(OPTIONS)


@pytest.mark.parametrize(
    "proxy",
    [
        "http://proxy.example:8080 ",
        " http://proxy.example:8080",
        f"http://ada:{PASSWORD}@proxy .example:8080",
        f"http://a da:{PASSWORD}@proxy.example:8080",
        "http://proxy.example:8080\n",
        "proxy\t.example",
        f"http://ada:{PASSWORD}@proxy.example:port",
        f"ftp://ada:{PASSWORD}@proxy.example",
        "socks://proxy.example",
        "http://",
        f"http://ada:{PASSWORD}@[::1",
    ],
)
def test_a_proxy_url_that_cannot_be_one_is_a_configuration_error(
    proxy: str, by: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blanks, unknown schemes and other slips are told before anything is sent, without the password in the URL."""
    with connect(place, proxy, monkeypatch, by) as client:
        with pytest.raises(ConfigurationError, match="the proxy URL") as caught:
            client.custom_token_exchange(OPTIONS)
    assert PASSWORD not in caught.value.message
