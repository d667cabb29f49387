"""Test tools and tracers that people have around the library see its requests, with and without ``session=``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import requests_mock
import responses
import vcr  # type: ignore[import-untyped]
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from auth0_cte import (
    CustomTokenExchangeOptions,
    ExchangeTransportError,
    RetryPolicy,
    ServerClient,
)
from tests.conftest import DOMAIN, ISSUER, TOKEN_ENDPOINT
from tests.raw_server import TOKENS, RawServer, reply, send

SECRET = "s3cr3t-c4n4ry"
OPTIONS = CustomTokenExchangeOptions(subject_token=SECRET, subject_token_type="urn:acme:mcp-token")
CONFIGURATION = f"{ISSUER}.well-known/openid-configuration"
METADATA = {"issuer": ISSUER, "token_endpoint": TOKEN_ENDPOINT}


@pytest.fixture(params=["own", "session"])
def session(request: pytest.FixtureRequest) -> Iterator[requests.Session | None]:
    """No session, and then one of the application's."""
    if request.param == "own":
        yield None
        return
    with requests.Session() as made:
        yield made


@pytest.fixture
def naps() -> list[float]:
    return []


@pytest.fixture
def client(session: requests.Session | None, naps: list[float]) -> Iterator[ServerClient]:
    with ServerClient(DOMAIN, "c", "s", session=session, retry=RetryPolicy(sleep=naps.append)) as made:
        yield made


def test_responses_answers(session: requests.Session | None, new_client: type[ServerClient]) -> None:
    """`responses` answers discovery and exchange, and records both."""
    with responses.RequestsMock() as mock:
        mock.get(CONFIGURATION, json=METADATA)
        mock.post(TOKEN_ENDPOINT, json={"access_token": "mocked"})
        with new_client(DOMAIN, "c", "s", session=session) as client:
            assert "mocked" == client.custom_token_exchange(OPTIONS).access_token
        assert [CONFIGURATION, TOKEN_ENDPOINT] == [call.request.url for call in mock.calls]
        assert "application/json" == mock.calls[1].request.headers["accept"]
        assert f"subject_token={SECRET}" in str(mock.calls[1].request.body)


def test_responses_tells_what_is_not_mocked(client: ServerClient, naps: list[float]) -> None:
    """An unmocked discovery names its URL and method, at once, and nothing of a request's content."""
    with responses.RequestsMock(), pytest.raises(ExchangeTransportError) as caught:
        client.custom_token_exchange(OPTIONS)
    assert (
        f"GET {CONFIGURATION} failed: a test tool, an adapter or a response hook raised ConnectionError"
    ) == caught.value.message
    assert "Connection refused by Responses" in str(caught.value.__cause__)
    assert ("send", [], None) == (caught.value.phase, naps, caught.value.__cause__.__traceback__)  # type: ignore[union-attr]


def test_requests_mock_answers(session: requests.Session | None, new_client: type[ServerClient]) -> None:
    """requests-mock, which replaces ``Session.send``, answers discovery and exchange, and records both."""
    with requests_mock.Mocker() as mock:
        mock.get(CONFIGURATION, json=METADATA)
        mock.post(TOKEN_ENDPOINT, json={"access_token": "mocked"})
        with new_client(DOMAIN, "c", "s", session=session) as client:
            assert "mocked" == client.custom_token_exchange(OPTIONS).access_token
        assert [CONFIGURATION, TOKEN_ENDPOINT] == [each.url for each in mock.request_history]
        assert "application/json" == mock.request_history[1].headers["accept"]


def test_requests_mock_tells_what_is_not_mocked(client: ServerClient) -> None:
    """An unmocked request names its URL and method."""
    with requests_mock.Mocker(), pytest.raises(ExchangeTransportError, match=f"GET {CONFIGURATION} failed") as caught:
        client.custom_token_exchange(OPTIONS)
    assert f"No mock address: GET {CONFIGURATION}" == str(caught.value.__cause__)


def test_requests_mock_lets_real_requests_through(raw_server: RawServer) -> None:
    """What requests-mock is told to let through reaches the server, and the pool of the client is used."""
    with requests_mock.Mocker(real_http=True) as mock, ServerClient(raw_server.url, "c", "s") as client:
        mock.get("https://elsewhere.example/", text="")
        for _ in range(2):
            assert "issued" == client.custom_token_exchange(OPTIONS).access_token
    assert (2, 1) == (len(raw_server.arrived), raw_server.opened)


def test_requests_mock_of_one_session_answers() -> None:
    """A mocker for the session that the client was given answers, too."""
    with requests.Session() as session, requests_mock.Mocker(session=session) as mock:
        mock.get(CONFIGURATION, json=METADATA)
        mock.post(TOKEN_ENDPOINT, json={"access_token": "mocked"})
        with ServerClient(DOMAIN, "c", "s", session=session) as client:
            assert "mocked" == client.custom_token_exchange(OPTIONS).access_token


def test_vcr_records_and_replays(raw_server: RawServer, session: requests.Session | None, tmp_path: Path) -> None:
    """What VCR recorded is replayed without the server, also by a client that was connected before."""
    raw_server.scripts = [send(reply(TOKENS)), send(reply(TOKENS.replace("issued", "recorded")))]
    cassette = str(tmp_path / "exchange.yaml")
    with ServerClient(raw_server.url, "c", "s", session=session) as client:
        client.custom_token_exchange(OPTIONS)
    with ServerClient(raw_server.url, "c", "s", session=session) as client:
        with vcr.use_cassette(cassette, record_mode="once"):
            assert "recorded" == client.custom_token_exchange(OPTIONS).access_token
        raw_server.scripts = [send(reply("", "500 Not Now"))]
        with vcr.use_cassette(cassette, record_mode="none", allow_playback_repeats=True) as played:
            assert "recorded" == client.custom_token_exchange(OPTIONS).access_token
            assert 1 == played.play_count
        raw_server.scripts = [send(reply(TOKENS))]
        assert "issued" == client.custom_token_exchange(OPTIONS).access_token
    assert 3 == len(raw_server.arrived)


def test_vcr_replays_https(session: requests.Session | None, tmp_path: Path) -> None:
    """A cassette for a tenant is replayed: no name is looked up and nothing is sent."""
    cassette = tmp_path / "tenant.yaml"
    cassette.write_text(
        f"""
version: 1
interactions:
- request: {{method: GET, uri: "{CONFIGURATION}", body: null, headers: {{}}}}
  response:
    status: {{code: 200, message: OK}}
    headers: {{Content-Type: [application/json], DPoP-Nonce: [one, two]}}
    body: {{string: '{{"issuer": "{ISSUER}", "token_endpoint": "{TOKEN_ENDPOINT}"}}'}}
- request: {{method: POST, uri: "{TOKEN_ENDPOINT}", body: null, headers: {{}}}}
  response:
    status: {{code: 200, message: OK}}
    headers: {{Content-Type: [application/json]}}
    body: {{string: '{{"access_token": "replayed"}}'}}
"""
    )
    with vcr.use_cassette(str(cassette), record_mode="none"), ServerClient(DOMAIN, "c", "s", session=session) as client:
        assert "replayed" == client.custom_token_exchange(OPTIONS).access_token


def test_vcr_tells_what_is_not_recorded(client: ServerClient, tmp_path: Path) -> None:
    """A request that is not on the cassette is an error of ours that names it."""
    with vcr.use_cassette(str(tmp_path / "empty.yaml"), record_mode="none"):
        with pytest.raises(ExchangeTransportError, match=f"GET {CONFIGURATION} failed: .* CannotOverwrite") as caught:
            client.custom_token_exchange(OPTIONS)
    assert caught.value.__cause__ is not None
    assert caught.value.__cause__.__traceback__ is None


def test_the_library_may_be_imported_while_a_cassette_is_in_use(raw_server: RawServer, tmp_path: Path) -> None:
    """Its connections are real ones afterwards."""
    program = """
import sys, vcr
with vcr.use_cassette(sys.argv[2]):
    from auth0_cte import ServerClient
client = ServerClient(sys.argv[1], "c", "s")
given = {"subject_token": "token", "subject_token_type": "urn:acme:mcp-token"}
print(client.custom_token_exchange(given).access_token)
"""
    command = [sys.executable, "-c", program, raw_server.url, str(tmp_path / "cassette.yaml")]
    assert "issued\n" == subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


INSTRUMENTORS: dict[str, Any] = {"requests": RequestsInstrumentor, "urllib3": URLLib3Instrumentor}


@pytest.mark.parametrize("name", INSTRUMENTORS)
def test_opentelemetry_sees_requests(name: str, raw_server: RawServer, session: requests.Session | None) -> None:
    """The instrumentations of requests and of urllib3 make a span of each request, and send its trace along."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentor = INSTRUMENTORS[name]()
    instrumentor.instrument(tracer_provider=provider)
    try:
        with ServerClient(raw_server.url, "c", "s", session=session) as client:
            client.custom_token_exchange(OPTIONS)
    finally:
        instrumentor.uninstrument()
    assert ["GET", "POST"] == [span.name for span in exporter.get_finished_spans()]
    assert [True, True] == ["traceparent" in request.headers for request in raw_server.everything]
    assert SECRET not in "".join(span.to_json() for span in exporter.get_finished_spans())


@pytest.mark.parametrize("status", ["302 Found", "307 Temporary"])
def test_a_replaced_send_neither_follows_redirects_nor_keeps_cookies(
    status: str, raw_server: RawServer, session: requests.Session | None
) -> None:
    """What goes through somebody's ``Session.send`` is sent as everything else is."""
    with RawServer() as elsewhere, requests_mock.Mocker(real_http=True):
        raw_server.scripts = [
            send(reply("{}", status, [f"Location: {elsewhere.url}/oauth/token", "Set-Cookie: a=b; Path=/"])),
            send(reply(TOKENS)),
        ]
        with ServerClient(raw_server.url, "c", "s", session=session) as client:
            with pytest.raises(Exception, match=status[:3]):
                client.custom_token_exchange(OPTIONS)
            client.custom_token_exchange(OPTIONS)
        assert 0 == elsewhere.opened
    assert not any("cookie" in request.headers for request in raw_server.everything)
    assert session is None or [] == list(session.cookies)
