"""A session of the application's: its hooks and adapters do as they like, and calls go on or fail in our terms."""

from __future__ import annotations

import io
import socket
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from requests.adapters import BaseAdapter, HTTPAdapter

from auth0_cte import (
    ConfigurationError,
    CustomTokenExchangeError,
    CustomTokenExchangeOptions,
    ExchangeTimeoutError,
    ExchangeTransportError,
    RetryPolicy,
    ServerClient,
)
from tests.raw_server import TOKENS, Arrived, RawServer, reply, send

SECRET = "s3cr3t-c4n4ry"
OPTIONS = CustomTokenExchangeOptions(subject_token=SECRET, subject_token_type="urn:acme:mcp-token")


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as made:
        yield made


@pytest.fixture
def client(raw_server: RawServer, session: requests.Session, new_client: type[ServerClient]) -> Iterator[ServerClient]:
    with new_client(
        raw_server.url, "c", "the-secret", session=session, retry=RetryPolicy(sleep=lambda _: None)
    ) as made:
        yield made


def read_text(response: requests.Response, **_: Any) -> None:
    assert response.text.startswith("{")


def read_parts(response: requests.Response, **_: Any) -> requests.Response:
    assert response.content
    assert list(response.iter_content(7))
    return response


def take_settings(response: requests.Response, *, timeout: Any, verify: Any, stream: Any, **_: Any) -> None:
    assert (True, True) == (verify, stream)
    assert 5.0 == timeout[0]


@pytest.mark.parametrize("hook", [read_text, read_parts, take_settings])
def test_a_hook_may_read_the_reply(
    hook: Callable[..., Any], session: requests.Session, client: ServerClient, raw_server: RawServer
) -> None:
    """A response hook that logs or inspects a reply does not take it from the call."""
    session.hooks["response"].append(hook)
    assert ["issued"] * 2 == [client.custom_token_exchange(OPTIONS).access_token for _ in range(2)]
    assert 1 == raw_server.opened


@pytest.mark.parametrize(("line", "reason"), [("200 All's Well", "All's Well"), ("200", "")])
def test_a_hook_sees_the_reason(
    line: str, reason: str, session: requests.Session, client: ServerClient, raw_server: RawServer
) -> None:
    """The reason phrase is what the server says, or empty."""
    raw_server.scripts = [send(reply('{"access_token": "issued", "token_type": "Bearer"}', line))]
    seen: list[str] = []
    session.hooks["response"].append(lambda response, **_: seen.append(response.reason))
    client.custom_token_exchange(OPTIONS)
    assert reason == seen[-1]


def test_a_hook_may_replace_the_reply(session: requests.Session, client: ServerClient) -> None:
    """What a response hook returns is the reply."""

    def replace(response: requests.Response, **_: Any) -> requests.Response:
        other = requests.Response()
        other.status_code, other.url = response.status_code, response.url
        other.raw = io.BytesIO(response.content.replace(b"issued", b"replaced"))
        return other

    session.hooks["response"].append(replace)
    assert "replaced" == client.custom_token_exchange(OPTIONS).access_token


def test_a_hook_may_return_nothing_that_can_be_read(session: requests.Session, client: ServerClient) -> None:
    """A response without a body is an unusable reply, not a fault of ours."""

    def replace(response: requests.Response, **_: Any) -> requests.Response:
        other = requests.Response()
        other.status_code, other.url = response.status_code, response.url
        return response if response.request.method == "GET" else other

    session.hooks["response"].append(replace)
    with pytest.raises(CustomTokenExchangeError) as caught:
        client.custom_token_exchange(OPTIONS)
    assert ("INVALID_RESPONSE", True) == (caught.value.code, caught.value.may_have_reached_server)


def test_a_hook_may_raise(session: requests.Session, client: ServerClient, raw_server: RawServer) -> None:
    """``raise_for_status`` as a response hook is a failure of ours: sent once, with its status, without secrets."""
    raw_server.scripts = [send(reply('{"error": "invalid_request"}', "400 Bad Request"))]
    session.hooks["response"].append(lambda response, **_: response.raise_for_status())
    with pytest.raises(ExchangeTransportError, match="a response hook raised HTTPError") as caught:
        client.custom_token_exchange(OPTIONS)
    assert (400, True, "send") == (
        caught.value.status_code,
        caught.value.may_have_reached_server,
        caught.value.phase,
    )
    assert 1 == len(raw_server.arrived)
    _assert_no_secret(caught.value)


class OddError(Exception):
    """Nothing that requests or urllib3 know."""


class OddAdapter(BaseAdapter):
    """Raises, with what it was given on itself."""

    def send(self, request: requests.PreparedRequest, *_args: Any, **_settings: Any) -> Any:
        if request.method == "GET":
            return HTTPAdapter().send(request)
        body = request.body
        raise OddError(f"odd, {type(body)}")

    def close(self) -> None:
        pass


def test_an_adapter_may_raise_anything(session: requests.Session, client: ServerClient, raw_server: RawServer) -> None:
    """An adapter's own exception is a failure of ours, with the exception as its cause and none of the frames."""
    session.mount(raw_server.url, OddAdapter())
    with pytest.raises(ExchangeTransportError, match=r"POST .*/oauth/token failed: .* raised OddError") as caught:
        client.custom_token_exchange(OPTIONS)
    assert isinstance(caught.value.__cause__, OddError)
    assert caught.value.may_have_reached_server
    _assert_no_secret(caught.value)


def _assert_no_secret(error: BaseException) -> None:
    trace = traceback.TracebackException.from_exception(error, capture_locals=True)
    assert SECRET not in "".join(str(frame.locals) for frame in trace.stack if "auth0_cte" in frame.filename)
    assert error.__cause__ is not None
    assert SECRET not in repr(error.__cause__) + repr(vars(error.__cause__)) + repr(vars(error))
    assert (None, None) == (error.__cause__.__traceback__, error.__cause__.__context__)


class MemoryAdapter(BaseAdapter):
    """Answers from memory, with a body that no connection brought."""

    def __init__(self, answers: dict[str, bytes]) -> None:
        super().__init__()
        self._answers = answers

    def send(self, request: requests.PreparedRequest, *_args: Any, **_settings: Any) -> requests.Response:
        response = requests.Response()
        response.status_code, response.request, response.url = 200, request, request.url or ""
        response.raw = io.BytesIO(self._answers[request.path_url])
        return response

    def close(self) -> None:
        pass


def test_an_adapter_may_answer_from_memory(session: requests.Session, new_client: type[ServerClient]) -> None:
    """A body is all that is wanted of an adapter's reply; that it is too long is noticed as well."""
    issuer = "https://tenant.example/"
    metadata = f'{{"issuer": "{issuer}", "token_endpoint": "{issuer}oauth/token"}}'.encode()
    answers = {"/.well-known/openid-configuration": metadata, "/oauth/token": TOKENS.encode()}
    session.mount("https://tenant.example", MemoryAdapter(answers))
    with new_client("tenant.example", "c", "s", session=session) as client:
        assert "issued" == client.custom_token_exchange(OPTIONS).access_token
        answers["/oauth/token"] = TOKENS.encode() + b" " * (1024 * 1024)
        with pytest.raises(CustomTokenExchangeError, match="longer than"):
            client.custom_token_exchange(OPTIONS)


def test_a_session_without_an_adapter_is_told(session: requests.Session, new_client: type[ServerClient]) -> None:
    """A session that cannot send to the tenant is an error of configuration."""
    session.adapters.clear()
    with new_client("tenant.example", "c", "s", session=session) as client:
        with pytest.raises(ConfigurationError, match="session has no adapter"):
            client.custom_token_exchange(OPTIONS)


def test_a_dripping_body_cannot_pass_the_deadline(
    session: requests.Session, raw_server: RawServer, new_client: type[ServerClient]
) -> None:
    """The deadline is looked at between the parts of a body, however short the time between them is."""

    def drip(_request: Arrived, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n")
        for _ in range(400):
            connection.sendall(b" ")
            time.sleep(0.05)

    raw_server.scripts = [drip]
    with new_client(raw_server.url, "c", "s", session=session, timeout=0.5) as client:
        with pytest.raises(ExchangeTimeoutError) as caught:
            client.custom_token_exchange(OPTIONS)
    assert (200, True) == (caught.value.status_code, caught.value.may_have_reached_server)
    assert 1 == len(raw_server.arrived)
