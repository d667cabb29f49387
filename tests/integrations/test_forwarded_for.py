"""forwarded_for=True: the address of the request's user, whatever framework and proxies stand between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import starlette.requests
from django.http import HttpRequest
from flask import Flask
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from auth0_cte import ConfigurationError, CustomTokenExchangeError, MfaRequiredError
from auth0_cte.flask import Auth0CTE
from auth0_cte.testing import FakeClock, LocalTenant
from tests.django_project import SECRET, TYPE
from tests.integration.apps import configure_django

OPTIONS = {"subject_token": "ada", "subject_token_type": TYPE, "scope": "offline_access", "forwarded_for": True}
HEADER = "auth0-forwarded-for"
NETWORKS = ["10.0.0.0/8", "fd00::/8"]


def werkzeug_request(peer: str | None, headers: Mapping[str, str]) -> Any:
    environ = EnvironBuilder(headers=headers.items()).get_environ()
    environ["REMOTE_ADDR"] = peer or ""
    return Request(environ)


def django_request(peer: str | None, headers: Mapping[str, str]) -> Any:
    configure_django()
    request = HttpRequest()
    request.META = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    request.META |= {"REMOTE_ADDR": peer or "", "HTTP_HOST": "testserver"}
    return request


def starlette_request(peer: str | None, headers: Mapping[str, str]) -> Any:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    client = None if peer is None else (peer, 1)
    return starlette.requests.Request({"type": "http", "headers": raw, "client": client, "path": "/"})


FRAMEWORKS: dict[str, Callable[[str | None, Mapping[str, str]], Any]] = {
    "werkzeug": werkzeug_request,
    "django": django_request,
    "starlette": starlette_request,
}


@pytest.fixture(params=FRAMEWORKS)
def make_request(request: pytest.FixtureRequest) -> Callable[[str | None, Mapping[str, str]], Any]:
    return FRAMEWORKS[request.param]


def told(tenant: LocalTenant) -> str | None:
    return tenant.token_requests[-1].headers.get(HEADER)


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "expected"),
    [
        ("203.0.113.7", None, [], "203.0.113.7"),
        ("203.0.113.7", "198.51.100.1", [], "203.0.113.7"),
        ("203.0.113.7", "198.51.100.1", NETWORKS, "203.0.113.7"),
        ("10.0.0.1", "198.51.100.1", NETWORKS, "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1, 10.0.0.9", NETWORKS, "198.51.100.1"),
        ("10.0.0.1", "nonsense, 198.51.100.1:4711, 10.0.0.9:80", NETWORKS, "198.51.100.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", NETWORKS, "10.0.0.3"),
        ("10.0.0.1", None, NETWORKS, "10.0.0.1"),
        (None, "6.6.6.6, 198.51.100.1", NETWORKS, "198.51.100.1"),
        ("fd00::1", "[2001:db8::1]:4711, fd00::2", NETWORKS, "2001:db8::1"),
        ("::ffff:10.0.0.1", "::ffff:198.51.100.1", NETWORKS, "198.51.100.1"),
        ("fe80::1%eth0", None, [], "fe80::1"),
    ],
)
def test_the_address_is_the_nearest_that_is_no_proxy(
    peer: str | None,
    forwarded: str | None,
    proxies: list[str],
    expected: str,
    make_request: Callable[[str | None, Mapping[str, str]], Any],
    short_lived: LocalTenant,
) -> None:
    """The peer counts, and with trusted proxies the rightmost hop that is none of them: the rest may be invented."""
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    request = make_request(peer, headers)
    with short_lived.client(trusted_proxies=proxies) as client:
        client.custom_token_exchange(OPTIONS, {"request": request})
    assert expected == told(short_lived)


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies"),
    [
        (None, None, []),
        (None, "198.51.100.1", []),
        (None, None, NETWORKS),
        ("10.0.0.1", "unknown", NETWORKS),
        ("10.0.0.1", "198.51.100.1, _hidden, 10.0.0.2", NETWORKS),
    ],
)
def test_an_address_that_cannot_be_told_is_an_error(
    peer: str | None,
    forwarded: str | None,
    proxies: list[str],
    make_request: Callable[[str | None, Mapping[str, str]], Any],
    short_lived: LocalTenant,
) -> None:
    """Nobody else's address is told for a user's; nothing is sent."""
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    with short_lived.client(trusted_proxies=proxies) as client:
        with pytest.raises(ConfigurationError, match="address cannot be told"):
            client.custom_token_exchange(OPTIONS, {"request": make_request(peer, headers)})
    assert [] == short_lived.token_requests


def test_several_headers_are_one_list(short_lived: LocalTenant) -> None:
    """A proxy may append a header of its own instead of a hop."""
    headers = [(b"x-forwarded-for", b"6.6.6.6"), (b"x-forwarded-for", b"198.51.100.1")]
    request = starlette.requests.Request({"type": "http", "headers": headers, "client": ("10.0.0.1", 1), "path": "/"})
    with short_lived.client(trusted_proxies=NETWORKS) as client:
        client.custom_token_exchange(OPTIONS, {"request": request})
    assert "198.51.100.1" == told(short_lived)


def test_each_call_tells_the_address(short_lived: LocalTenant, clock: FakeClock) -> None:
    """Exchange, login, refresh and the second factor tell it, by the short forms of an integration."""
    app = Flask(__name__)
    auth0 = Auth0CTE(app, client=short_lived.client(secret=SECRET))
    seen: list[str | None] = []

    @app.post("/use")
    def use() -> str:
        auth0.custom_token_exchange(OPTIONS)
        seen.append(told(short_lived))
        auth0.login(OPTIONS)
        seen.append(told(short_lived))
        clock.advance(700)
        auth0.get_access_token(forwarded_for=True)
        seen.append(told(short_lived))
        factor = short_lived.enroll_factor("ada", "otp")
        with pytest.raises(MfaRequiredError) as caught:
            auth0.login(OPTIONS)
        auth0.resume_login(str(caught.value.pending_login), otp=factor.code(), forwarded_for=True)
        seen.append(told(short_lived))
        return "used"

    reply = app.test_client().post("/use", environ_base={"REMOTE_ADDR": "203.0.113.7"})
    assert "used" == reply.text
    assert ["203.0.113.7"] * 4 == seen


def test_without_a_request_it_is_an_error(short_lived: LocalTenant) -> None:
    """A script has no request to take the address from; nothing is sent, and no cache is asked."""
    with short_lived.client(secret=SECRET) as client:
        for call in (
            lambda: client.custom_token_exchange(OPTIONS),
            lambda: client.login_with_custom_token_exchange(OPTIONS, {"cookies": {}}),
            lambda: client.mfa.verify({"mfa_token": "x", "otp": "1", "forwarded_for": True}),
        ):
            with pytest.raises(ConfigurationError, match="requires a request"):
                call()
        with pytest.raises(CustomTokenExchangeError, match="forwarded_for"):
            client.mfa.verify({"mfa_token": "x", "otp": "1", "forwarded_for": "nonsense"})
    assert [] == short_lived.token_requests


@pytest.mark.parametrize("networks", ["10.0.0.0/8", ["nonsense"], ["10.0.0.1/8"], 5])
def test_networks_are_checked_at_construction(networks: Any, short_lived: LocalTenant) -> None:
    """A text, no network, and a network with host bits are refused."""
    with pytest.raises(ConfigurationError, match="trusted_proxies"):
        short_lived.client(trusted_proxies=networks)
