"""Carriers over the frameworks' own requests and responses: attributes, refusals and warnings."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

import pytest
import starlette.requests
import starlette.responses
from django.http import HttpResponse
from django.test import RequestFactory
from flask import Flask, request
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request, Response

from auth0_cte import ConfigurationError, CookieSettings, ServerClient, SessionError, SessionSettings
from auth0_cte.testing import LocalTenant
from tests.django_project import SECRET, TYPE
from tests.integration.apps import configure_django

LOGIN = {"subject_token": "ada", "subject_token_type": TYPE}
Pair = Callable[[str], tuple[Any, Any]]


def werkzeug_pair(url: str) -> tuple[Any, Any]:
    return Request(EnvironBuilder(base_url=url).get_environ()), Response()


def django_pair(url: str) -> tuple[Any, Any]:
    configure_django()
    scheme, _, host = url.rstrip("/").partition("://")
    return RequestFactory().get("/", HTTP_HOST=host, secure=scheme == "https"), HttpResponse()


def starlette_pair(url: str) -> tuple[Any, Any]:
    scheme, _, host = url.rstrip("/").partition("://")
    scope = {"type": "http", "scheme": scheme, "path": "/", "headers": [(b"host", host.encode())], "query_string": b""}
    return starlette.requests.Request(scope), starlette.responses.PlainTextResponse()


PAIRS: dict[str, Pair] = {"werkzeug": werkzeug_pair, "django": django_pair, "starlette": starlette_pair}


@pytest.fixture(params=PAIRS)
def pair(request: pytest.FixtureRequest) -> Pair:
    return PAIRS[request.param]


@pytest.fixture
def tenant() -> LocalTenant:
    tenant = LocalTenant()
    tenant.accept(TYPE, "auth0|ada")
    tenant.add_user("auth0|ada")
    return tenant


def log_in(client: ServerClient, pair: Pair, url: str) -> str:
    asked, response = pair(url)
    client.login_with_custom_token_exchange(LOGIN, {"request": asked, "response": response})
    return cookie_of(response)


def cookie_of(response: Any) -> str:
    if isinstance(response, HttpResponse):
        (morsel,) = response.cookies.values()
        return str(morsel.OutputString())
    return str(response.headers["Set-Cookie"])


def partitioned() -> SessionSettings:
    return SessionSettings(cookie=CookieSettings(partitioned=True, secure=True, same_site="none"))


@pytest.mark.parametrize(
    ("url", "is_secure"),
    [
        ("http://127.0.0.1:8000/", False),
        ("http://localhost/", False),
        ("http://[::1]:8000/", False),
        ("http://app.example/", True),
        ("https://localhost/", True),
        ("https://app.example/", True),
    ],
)
def test_secure_follows_scheme_and_host(url: str, is_secure: bool, pair: Pair, tenant: LocalTenant) -> None:
    """Secure is left out for plain http on loopback alone: neither the scheme nor the host is enough."""
    with tenant.client(secret=SECRET) as client:
        assert is_secure == ("; secure" in log_in(client, pair, url).lower())


def test_a_secure_cookie_over_plain_http_warns_once(
    pair: Pair, tenant: LocalTenant, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning a client, which names what a test client needs; none on loopback, over https or behind a proxy."""
    caplog.set_level(logging.WARNING, "auth0_cte")
    with tenant.client(secret=SECRET) as client:
        for url in ("http://localhost/", "https://app.example/"):
            log_in(client, pair, url)
        assert [] == caplog.messages
        for _ in range(3):
            log_in(client, pair, "http://app.example/")
        (message,) = caplog.messages
        assert 'base_url="https://testserver"' in message
    with tenant.client(secret=SECRET) as client:
        log_in(client, pair, "http://app.example/")
    assert 2 == len(caplog.messages)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"secure": True},
        {"same_site": "None"},
        {"secure": True, "same_site": "Strict"},
        {"host_prefix": True, "same_site": "None"},
    ],
)
def test_partitioned_cookies_are_asked_for_with_open_eyes(given: dict[str, Any]) -> None:
    """Partitioned requires Secure and SameSite=None, both given: neither is inferred."""
    with pytest.raises(ConfigurationError, match='secure=True and same_site="None"'):
        CookieSettings(partitioned=True, **given)


def test_partitioned_cookies_are_set_and_deleted_by_werkzeug(tenant: LocalTenant) -> None:
    """The attribute is there when the cookie is set, and when it is deleted: another partition's is another cookie."""
    with tenant.client(secret=SECRET, session_settings=partitioned()) as client:
        line = log_in(client, werkzeug_pair, "https://app.example/")
        asked, response = werkzeug_pair("https://app.example/")
        asked.cookies = {"_a0_session_0": line.partition("=")[2].partition(";")[0]}
        client.logout(None, {"request": asked, "response": response})
    for each in (line, cookie_of(response)):
        assert {"Secure", "SameSite=None", "Partitioned", "HttpOnly"} <= set(each.split("; "))
    assert "Max-Age=0" in cookie_of(response)


@pytest.mark.parametrize("framework", ["django", "starlette"])
def test_partitioned_cookies_are_refused_where_they_cannot_be_set(framework: str, tenant: LocalTenant) -> None:
    """Where the framework, or Python for it, does not know the attribute, no token is spent."""
    if framework == "starlette" and sys.version_info >= (3, 14):
        pytest.skip("Python knows the attribute")
    with tenant.client(secret=SECRET, session_settings=partitioned()) as client:
        with pytest.raises(ConfigurationError, match="partitioned=True"):
            log_in(client, PAIRS[framework], "https://app.example/")
    assert [] == tenant.token_requests


def test_same_site_is_read_in_any_case() -> None:
    """The attribute is sent as browsers spell it; a word that is none is refused."""
    assert "Lax" == CookieSettings(same_site="lax").same_site
    with pytest.raises(ConfigurationError, match="Lax, Strict, None"):
        CookieSettings(same_site="off")


def test_store_options_that_are_a_request_are_told(pair: Pair, tenant: LocalTenant) -> None:
    """A request in the place of the dict is named, and so are a response for a request and the reverse."""
    asked, response = pair("https://app.example/")
    with tenant.client(secret=SECRET) as client:
        with pytest.raises(ConfigurationError, match=r"store_options must be a dict, not a .*Request"):
            client.get_user(asked)
        for wrong in ({"request": response}, {"request": response, "response": asked}, {"request": "request"}):
            with pytest.raises(ConfigurationError, match=r'store_options\["request"\] must be a request'):
                client.get_user(wrong)
        with pytest.raises(ConfigurationError, match=r'store_options\["response"\] must be a response'):
            client.get_user({"request": asked, "response": asked})


def test_a_proxy_of_flask_is_told_by_what_it_stands_for(tenant: LocalTenant) -> None:
    """The message names the class of the request, not of Werkzeug's proxy."""
    with tenant.client(secret=SECRET) as client, Flask(__name__).test_request_context():
        with pytest.raises(ConfigurationError, match="not a Request"):
            client.get_user(request)  # type: ignore[arg-type]


def test_a_login_without_a_response_is_refused(pair: Pair, tenant: LocalTenant) -> None:
    """No response, no cookie: refused before the token is spent."""
    with tenant.client(secret=SECRET) as client, pytest.raises(SessionError) as caught:
        client.login_with_custom_token_exchange(LOGIN, {"request": pair("https://app.example/")[0]})
    assert ("RESPONSE_MISSING", []) == (caught.value.code, tenant.token_requests)


def test_a_host_that_django_refuses_spends_nothing(tenant: LocalTenant) -> None:
    """DisallowedHost comes before the exchange, not after it."""
    from django.core.exceptions import DisallowedHost

    with tenant.client(secret=SECRET) as client, pytest.raises(DisallowedHost):
        log_in(client, django_pair, "https://stranger.example/")
    assert [] == tenant.token_requests


@pytest.mark.parametrize("header", ["X-Forwarded-Proto", "X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"])
def test_behind_a_proxy_cookies_are_secure(header: str, tenant: LocalTenant) -> None:
    """A proxy may end TLS and pass no Host: whatever it says it forwards, cookies are Secure."""
    builder = EnvironBuilder(base_url="http://127.0.0.1:8000/", headers=[(header, "for=203.0.113.7")])
    asked, response = Request(builder.get_environ()), Response()
    with tenant.client(secret=SECRET) as client:
        client.login_with_custom_token_exchange(LOGIN, {"request": asked, "response": response})
    assert "; secure" in cookie_of(response).lower()
