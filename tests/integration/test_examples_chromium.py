"""The example applications in Chromium: what it keeps, sends back and shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.integration.browser import TIMEOUT, chromium
from tests.integration.servers import PREFORK, run_example, serving

expect.set_options(timeout=TIMEOUT * 1000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module", params=PREFORK)
def app_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each example as ``python -m`` runs it, with nothing configured."""
    with serving(run_example(f"{request.param}_app")) as url:
        yield url


@pytest.fixture
def page(browser: Browser, app_url: str) -> Iterator[Page]:
    """A page of a browser that has never been anywhere."""
    context = browser.new_context()
    context.set_default_timeout(TIMEOUT * 1000)
    page = context.new_page()
    page.goto(app_url)
    yield page
    context.close()


def log_in(page: Page, user: str, more: int = 0) -> None:
    page.get_by_label("Name in the legacy system").fill(user)
    page.get_by_label("Bytes to add to the profile").fill(str(more))
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading")).to_have_text(f"Hello, {user}")


def session_cookies(page: Page) -> dict[str, Mapping[str, Any]]:
    cookies = page.context.cookies()
    return {cookie.get("name", ""): cookie for cookie in cookies if cookie.get("name", "").startswith("_a0_session")}


def test_a_user_logs_in_stays_and_logs_out(page: Page, app_url: str) -> None:
    """Through the form, over a reload and another page, out by way of the tenant, and not back by the back button."""
    visited: list[str] = []
    page.on("request", lambda request: visited.append(request.url))
    log_in(page, "Ada <b>Lovelace</b>")
    page.reload()
    expect(page.get_by_role("heading")).to_have_text("Hello, Ada <b>Lovelace</b>")
    page.get_by_role("link", name="what the session knows").click()
    expect(page.locator("body")).to_contain_text("oauth2|legacy|Ada <b>Lovelace</b>")
    page.go_back()
    expect(page.get_by_role("heading")).to_have_text("Hello, Ada <b>Lovelace</b>")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading")).to_have_text("Nobody is logged in")
    assert f"{app_url}/" == page.url
    assert 1 == sum("/v2/logout?client_id=local-client&returnTo=" in url for url in visited)
    assert {} == session_cookies(page)
    page.go_back()
    expect(page.get_by_role("heading")).to_have_text("Nobody is logged in")
    reply = page.goto(f"{app_url}/me")
    assert reply is not None
    assert 401 == reply.status


def test_the_cookie_is_kept_as_promised(page: Page) -> None:
    """HttpOnly, SameSite=Lax, for every path of this host, for three days, and without Secure only here."""
    log_in(page, "Ada")
    (cookie,) = session_cookies(page).values()
    assert ("_a0_session_0", "127.0.0.1", "/") == (cookie["name"], cookie["domain"], cookie["path"])
    assert (True, "Lax", False) == (cookie["httpOnly"], cookie["sameSite"], cookie["secure"])
    now = page.evaluate("Date.now() / 1000")
    assert now + 3 * 24 * 3600 - 600 < cookie["expires"] <= now + 3 * 24 * 3600
    assert "_a0_session" not in page.evaluate("document.cookie")


def test_a_large_session_takes_several_cookies_and_leaves_none(page: Page) -> None:
    """Chromium drops cookies over 4096 bytes, so a larger session comes in parts; a smaller one removes the rest."""
    log_in(page, "Grace", more=1100)
    parts = session_cookies(page)
    assert ["_a0_session_0", "_a0_session_1"] == sorted(parts)
    sizes = [len(name) + len(part["value"]) for name, part in parts.items()]
    assert max(sizes) <= 4096 < sum(sizes)
    page.reload()
    expect(page.get_by_role("heading")).to_have_text("Hello, Grace")
    log_in(page, "Ada")
    assert ["_a0_session_0"] == list(session_cookies(page))
    log_in(page, "Grace", more=1100)
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading")).to_have_text("Nobody is logged in")
    assert {} == session_cookies(page)
