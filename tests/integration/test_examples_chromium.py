"""The example applications in Chromium: what it keeps, sends back and shows."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from auth0_cte.examples.tenant import make_tenant
from auth0_cte.testing import LocalTenant
from tests.integration.browser import TIMEOUT, chromium
from tests.integration.servers import PREFORK, run_example, serving

expect.set_options(timeout=TIMEOUT * 1000)
_numbers = itertools.count()


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


@pytest.fixture(scope="module")
def tenant() -> LocalTenant:
    return make_tenant()


@pytest.fixture(scope="module", params=PREFORK)
def protected_url(request: pytest.FixtureRequest, tenant: LocalTenant) -> Iterator[str]:
    """Each example on a tenant whose users' telephones the test can read."""
    secret = "a-secret-of-more-than-thirty-two-bytes"
    with pytest.MonkeyPatch.context() as patch, tenant.serve() as server:
        patch.setenv("LEGACY_SECRET", secret)
        own = {"AUTH0_DOMAIN": server.domain, "AUTH0_SECRET": secret, "LEGACY_SECRET": secret}
        own |= {"AUTH0_CLIENT_ID": tenant.client_id, "AUTH0_CLIENT_SECRET": tenant.client_secret}
        with serving(run_example(f"{request.param}_app"), **own) as url:
            yield url


@pytest.fixture
def new_page(browser: Browser, protected_url: str) -> Iterator[Callable[[], Page]]:
    """Make pages, each of a browser of its own, at a login that wants a second factor."""
    with ExitStack() as stack:

        def new() -> Page:
            context = browser.new_context()
            stack.callback(context.close)
            context.set_default_timeout(TIMEOUT * 1000)
            page = context.new_page()
            page.goto(protected_url)
            return page

        yield new


def begin(page: Page, user: str) -> None:
    page.get_by_label("Name in the legacy system").fill(user)
    page.get_by_label("Ask for a second factor").check()
    page.get_by_role("button", name="Log in").click()


def answer(page: Page, label: str, code: str) -> None:
    page.get_by_label(label).fill(code)
    page.get_by_role("button", name="Continue").click()


def new_user() -> str:
    return f"user-{next(_numbers)}"


def test_an_authenticator_application_is_enrolled(new_page: Callable[[], Page], tenant: LocalTenant) -> None:
    """A user without any factor reads the QR code, corrects a wrong code, and logs in; later by the recovery code."""
    user, page = new_user(), new_page()
    begin(page, user)
    page.get_by_role("button", name="Use an authenticator app").click()
    expect(page.get_by_role("heading")).to_have_text("Type the code")
    expect(page.locator(".qr svg")).to_be_visible()
    otp, recovery = tenant.factors.of(f"oauth2|legacy|{user}")
    expect(page.get_by_text(otp.secret)).to_be_visible()
    expect(page.locator(".recovery")).to_have_text(recovery.code())
    answer(page, "Code of the authenticator app", "000000")
    expect(page.get_by_role("alert")).to_have_text("That code is wrong. Try again.")
    used = otp.code()
    answer(page, "Code of the authenticator app", used)
    expect(page.get_by_role("heading")).to_have_text(f"Hello, {user}")
    assert ["_a0_session_0"] == list(session_cookies(page))
    page.get_by_role("button", name="Log out").click()
    begin(page, user)
    page.get_by_role("button", name="Use the recovery code").click()
    answer(page, "Recovery code", recovery.code())
    expect(page.locator(".recovery")).to_have_text(recovery.code())
    page.get_by_role("link", name="Continue").click()
    expect(page.get_by_role("heading")).to_have_text(f"Hello, {user}")


def test_a_telephone_is_enrolled(new_page: Callable[[], Page], tenant: LocalTenant) -> None:
    """The code comes by SMS; a wrong one can be corrected, and next time another one is sent."""
    user, page = new_user(), new_page()
    begin(page, user)
    page.get_by_label("Phone number").fill("+4915123456789")
    page.get_by_role("button", name="Send a code by SMS").click()
    expect(page.locator(".recovery")).to_be_visible()
    phone = tenant.factors.of(f"oauth2|legacy|{user}")[0]
    answer(page, "Code that was sent", "wrong")
    expect(page.get_by_role("alert")).to_have_text("That code is wrong. Try again.")
    first = phone.code()
    answer(page, "Code that was sent", first)
    expect(page.get_by_role("heading")).to_have_text(f"Hello, {user}")
    begin(page, user)
    page.get_by_role("button", name=f"Send a code to {phone.name}").click()
    expect(page.get_by_label("Code that was sent")).to_be_visible()
    answer(page, "Code that was sent", phone.code())
    expect(page.get_by_role("heading")).to_have_text(f"Hello, {user}")


def test_a_login_goes_on_in_its_browser_alone(
    new_page: Callable[[], Page], tenant: LocalTenant, protected_url: str
) -> None:
    """The form of one browser, code and all, logs nobody in at another, which has begun its own; and works once."""
    victim, stranger, user = new_page(), new_page(), new_user()
    begin(victim, user)
    victim.get_by_role("button", name="Use an authenticator app").click()
    otp = tenant.factors.of(f"oauth2|legacy|{user}")[0]
    begin(stranger, new_user())
    stranger.get_by_role("button", name="Use an authenticator app").click()
    stolen = victim.locator("input[name=pending_login]").input_value()
    stranger.locator("input[name=pending_login]").evaluate("(field, value) => { field.value = value }", stolen)
    answer(stranger, "Code of the authenticator app", otp.code())
    expect(stranger.get_by_role("heading")).to_have_text("This login is over")
    assert "_a0_session_0" not in session_cookies(stranger)
    fields = victim.locator("form").evaluate("form => Object.fromEntries(new FormData(form))")
    answer(victim, "Code of the authenticator app", otp.code())
    expect(victim.get_by_role("heading")).to_have_text(f"Hello, {user}")
    again = victim.context.request.post(
        f"{protected_url}/mfa/verify", form={**fields, "code": otp.code()}, headers={"Origin": protected_url}
    )
    assert 400 == again.status
    assert "This login is over" in again.text()
