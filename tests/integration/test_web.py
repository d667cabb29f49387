"""Sessions in applications of Flask, Django and FastAPI, over real HTTP from browser to tenant."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.integration.browser import Browser, set_cookies
from tests.integration.conftest import Site


def chunks(browser: Browser) -> list[str]:
    return sorted(name for name in browser.cookies if name.startswith("_a0_session_"))


def test_the_life_of_a_session(any_site: Site, any_browser: Browser) -> None:
    """A user logs in, is known, has an access token that is renewed when it expires, logs out, and is gone."""
    site, browser = any_site, any_browser
    assert browser.who() is None
    assert {"before": None, "sub": "auth0|ada"} == browser.ask("login", user="auth0|ada", scope="email offline_access")
    assert "ada@example.com" == browser.ask("me")["user"]["email"]
    first = browser.ask("token")["access_token"]
    assert first == browser.ask("token")["access_token"]
    assert 0 == site.refreshes()
    site.clock.advance(600)
    second = browser.ask("token")["access_token"]
    assert first != second
    assert second == browser.ask("token")["access_token"]
    assert 1 == site.refreshes()
    site.clock.advance(600)
    assert second != browser.ask("token")["access_token"]
    assert 2 == site.refreshes()
    assert "auth0|ada" == browser.who()
    _log_out(site, browser)
    assert browser.who() is None
    assert {"code": "MISSING_SESSION"} == browser.visit("token").json()


def _log_out(site: Site, browser: Browser) -> None:
    response = browser.visit("logout", return_to=f"{site.url}/me")
    assert 302 == response.status_code
    target = urlsplit(response.headers["location"])
    assert f"{site.tenant_url}/v2/logout" == f"{target.scheme}://{target.netloc}{target.path}"
    assert {"client_id": [site.tenant.client_id], "returnTo": [f"{site.url}/me"]} == parse_qs(target.query)
    assert [] == chunks(browser)
    at_tenant = browser.session.get(response.headers["location"], timeout=20, allow_redirects=False)
    assert (302, f"{site.url}/me") == (at_tenant.status_code, at_tenant.headers["location"])


def test_the_attributes_of_the_cookies(any_site: Site, any_browser: Browser) -> None:
    """On plain loopback http the cookie is HttpOnly, SameSite=Lax, for / and this host, and the response not kept."""
    response = any_browser.visit("login", user="auth0|ada")
    (cookie,) = set_cookies(response)
    assert "_a0_session_0" == cookie.key
    assert (True, "lax", "/") == (cookie["httponly"], cookie["samesite"].lower(), cookie["path"])
    assert ("", "", "259200") == (cookie["secure"], cookie["domain"], cookie["max-age"])
    assert "no-store" in response.headers["cache-control"]
    assert "cookie" in response.headers["vary"].lower()


def test_cookies_off_loopback_are_secure(site: Site, browser: Browser) -> None:
    """Under any other host name the cookie is Secure, and so is the one that deletes it."""
    for response in (
        browser.visit("login", {"Host": "app.example"}, user="auth0|ada"),
        browser.visit("logout", {"Host": "app.example", "Cookie": "_a0_session_0=x"}),
    ):
        (cookie,) = set_cookies(response)
        assert (True, True, "/", "") == (cookie["secure"], cookie["httponly"], cookie["path"], cookie["domain"])


@pytest.mark.parametrize(
    "header",
    [
        *("Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Anything", "X-Real-IP"),
        *("Via", "CF-Connecting-IP", "True-Client-IP", "X-Original-Host", "Front-End-Https"),
    ],
)
def test_cookies_behind_a_proxy_are_secure(header: str, site: Site, browser: Browser) -> None:
    """A forwarding header says that the browser is elsewhere, whatever Host and scheme look like."""
    (cookie,) = set_cookies(browser.visit("login", {header: "x"}, user="auth0|ada"))
    assert cookie["secure"] is True


def test_a_deleted_cookie_has_expired_long_ago(any_site: Site, any_browser: Browser) -> None:
    """Expires is in 1970 beside Max-Age=0, for browsers whose clock is wrong."""
    any_browser.ask("login", user="auth0|ada")
    (cookie,) = set_cookies(any_browser.visit("logout"))
    assert ("0", "Thu, 01 Jan 1970 00:00:00 GMT") == (cookie["max-age"], cookie["expires"])


def test_a_page_that_only_reads_is_that_users(any_site: Site, any_browser: Browser) -> None:
    """Reading the user of a fresh session sets no cookies, and keeps the page out of shared caches."""
    any_browser.ask("login", user="auth0|ada")
    response = any_browser.visit("session")
    assert ([], "private", "Cookie") == (
        set_cookies(response),
        response.headers.get("cache-control"),
        response.headers.get("vary"),
    )


def test_a_large_session_is_chunked_and_shrinks(site: Site, browser: Browser) -> None:
    """A session beyond one cookie takes two, survives a refresh, and leaves no stale chunk when it shrinks."""
    browser.ask("login", user="auth0|big", scope="profile offline_access")
    assert ["_a0_session_0", "_a0_session_1"] == chunks(browser)
    assert all(len(name) + len(value) <= 4096 for name, value in browser.cookies.items())
    assert "x" * 1100 == browser.ask("me")["user"]["name"]
    first = browser.ask("token")["access_token"]
    site.clock.advance(600)
    assert first != browser.ask("token")["access_token"]
    assert "x" * 1100 == browser.ask("me")["user"]["name"]
    response = browser.visit("login", user="auth0|ada")
    assert ["_a0_session_0"] == chunks(browser)
    (stale,) = [cookie for cookie in set_cookies(response) if cookie.key == "_a0_session_1"]
    assert ("", "0", "/") == (stale.value, stale["max-age"], stale["path"])
    assert "auth0|ada" == browser.who()


def test_logging_out_of_a_large_session_deletes_all_of_it(site: Site, browser: Browser) -> None:
    """Every chunk goes."""
    browser.ask("login", user="auth0|big", scope="profile")
    response = browser.visit("logout")
    assert ["_a0_session_0", "_a0_session_1"] == sorted(cookie.key for cookie in set_cookies(response))
    assert [] == chunks(browser)


def test_a_login_as_another_leaves_nothing_of_the_first(any_site: Site, any_browser: Browser) -> None:
    """User, claims, tokens and refresh token are the second user's; the first's cookie opens nothing."""
    browser = any_browser
    browser.ask("login", user="auth0|ada", scope="email offline_access")
    first, before = browser.cookies, browser.ask("session")["session"]
    assert {"before": "auth0|ada", "sub": "auth0|eve"} == browser.ask("login", user="auth0|eve")
    after = browser.ask("session")["session"]
    assert ("auth0|eve", None, None) == (after["user"]["sub"], after["user"].get("email"), after["refresh_token"])
    assert 1 == len(after["access_tokens"])
    assert before["access_tokens"] != after["access_tokens"]
    assert before["user"]["sid"] != after["user"]["sid"]
    with Browser(any_site.url) as thief:
        thief.session.cookies.update(first)
        assert thief.who() is None


def test_two_logins_in_one_response_leave_one_cookie_of_a_name(any_site: Site, any_browser: Browser) -> None:
    """The last write of a cookie is the only one in the response, whatever came before it."""
    users = ("auth0|big", "auth0|ada", "auth0|eve")
    for first in users:
        for second in users:
            response = any_browser.visit("switch", first=first, second=second, scope="profile")
            assert {"sub": second} == response.json()
            names = Counter(cookie.key for cookie in set_cookies(response))
            assert {1} == set(names.values())
            assert second == any_browser.who()


def test_a_tampered_cookie_is_nobody(any_site: Site, any_browser: Browser) -> None:
    """A changed, cut or foreign cookie makes a visitor anonymous, and logging in heals it."""
    any_browser.ask("login", user="auth0|ada")
    (value,) = any_browser.cookies.values()
    middle = len(value) // 2
    changed = value[:middle] + ("A" if value[middle] != "A" else "B") + value[middle + 1 :]
    with Browser(any_site.url) as visitor:
        for tampered in (changed, value[:-1], value + "A", value[1:], "x", "a.b.c.d.e", value.upper(), "%00", '"'):
            visitor.session.cookies.set("_a0_session_0", tampered)
            assert visitor.who() is None
            visitor.session.cookies.clear()
        visitor.session.cookies.set("_a0_session_0", changed, domain="127.0.0.1", path="/")
        assert {"before": None, "sub": "auth0|eve"} == visitor.ask("login", user="auth0|eve")
        assert "auth0|eve" == visitor.who()
    assert "auth0|ada" == any_browser.who()


def test_a_login_without_a_response_spends_nothing(any_site: Site, any_browser: Browser) -> None:
    """A view that forgets the response is told so before the subject token leaves the application."""
    response = any_browser.visit("login_without_response", user="auth0|ada")
    assert (500, {"code": "RESPONSE_MISSING"}) == (response.status_code, response.json())
    assert [] == any_site.tenant.token_requests


def test_a_revoked_refresh_token_ends_the_session(any_site: Site, any_browser: Browser) -> None:
    """When the tenant refuses the refresh, the browser loses its cookies and is asked to log in."""
    any_browser.ask("login", user="auth0|ada", scope="offline_access")
    any_site.tenant.revoke_refresh_tokens("auth0|ada")
    any_site.clock.advance(600)
    response = any_browser.visit("token")
    assert (401, {"code": "invalid_grant"}) == (response.status_code, response.json())
    assert [] == chunks(any_browser)
    assert any_browser.who() is None


def test_requests_that_a_browser_sends_together_make_one_refresh(any_site: Site, any_browser: Browser) -> None:
    """Eight requests with the same expired session get the same new token, at the price of one."""
    any_browser.ask("login", user="auth0|ada", scope="offline_access")
    any_site.clock.advance(600)
    header = {"Cookie": "; ".join(f"{name}={value}" for name, value in any_browser.cookies.items())}
    barrier = Barrier(8)

    def request(_: int) -> str:
        barrier.wait(20)
        response = requests.get(f"{any_site.url}/token", headers=header, timeout=20)
        return str(response.json().get("access_token", response.text))

    with ThreadPoolExecutor(8) as pool:
        tokens = set(pool.map(request, range(8)))
    assert 1 == len(tokens)
    assert 1 == any_site.refreshes()


def test_users_in_parallel_stay_apart(any_site: Site) -> None:
    """Sixteen browsers that log in and read at the same time see themselves, always."""
    for number in range(16):
        any_site.tenant.add_user(f"auth0|{number}")

    def use(number: int) -> set[str | None]:
        with Browser(any_site.url) as browser:
            seen = {browser.ask("login", user=f"auth0|{number}")["sub"]}
            return seen | {browser.who() for _ in range(3)}

    with ThreadPoolExecutor(16) as pool:
        seen = list(pool.map(use, range(16)))
    assert [{f"auth0|{number}"} for number in range(16)] == seen
