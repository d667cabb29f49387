"""The playground over a tenant that is elsewhere, in Chromium and by requests of its own."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from auth0_cte.testing import LocalTenant, TenantServer
from auth0_cte.token_types import ID_TOKEN
from tests.cli.users import TYPE, environment, run, started
from tests.integration.browser import TIMEOUT, chromium, violations

TOKEN = "a-token-that-nobody-may-see"
AGENT = "auth0|grace"
expect.set_options(timeout=TIMEOUT * 1000)


@pytest.fixture(scope="module")
def tenant() -> Iterator[LocalTenant]:
    with LocalTenant() as tenant:
        tenant.attack_protection.enabled = False
        tenant.add_user("auth0|ada", name="Ada <b>Lovelace</b>")
        tenant.add_user(AGENT, name="Grace Hopper")

        @tenant.action(TYPE)
        def accept(event: Any, api: Any) -> None:
            if event.transaction.subject_token != TOKEN:
                api.access.reject_invalid_subject_token("The legacy system did not issue this token.")
                return
            api.authentication.set_user_by_id("auth0|ada")
            if event.transaction.actor_token is not None:
                api.authentication.set_actor({"sub": AGENT})

        yield tenant


@pytest.fixture(scope="module")
def server(tenant: LocalTenant) -> Iterator[TenantServer]:
    with tenant.serve() as server:
        yield server


@pytest.fixture(scope="module")
def playing(tenant: LocalTenant, server: TenantServer) -> Iterator[subprocess.Popen[str]]:
    with started("playground", "--remote", "--port", "0", **environment(tenant, server)) as process:
        yield process


@pytest.fixture(scope="module")
def url(playing: subprocess.Popen[str]) -> str:
    assert playing.stdout is not None
    return playing.stdout.readline().strip()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    context = browser.new_context(java_script_enabled=False)
    context.set_default_timeout(TIMEOUT * 1000)
    page = context.new_page()
    page.goto(url)
    page.get_by_label("Token type", exact=True).fill(TYPE)
    yield page
    context.close()


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def test_a_pasted_token_is_exchanged_and_not_shown(page: Page, server: TenantServer) -> None:
    """Request and claims are there, the tenant's name as well; no token comes back to the page."""
    expect(page.locator("header")).to_contain_text(server.domain)
    page.get_by_label("Subject token", exact=True).fill(TOKEN)
    press(page, "Exchange")
    expect(page.get_by_text("Exchanged: a Bearer token")).to_be_visible()
    expect(page.locator("main")).to_contain_text("curl --request POST")
    expect(page.locator("main")).to_contain_text("Ada <b>Lovelace</b>")
    assert TOKEN not in page.content()
    assert not re.search(r"eyJ[\w-]+\.", page.content())
    expect(page.get_by_label("Token type", exact=True)).to_have_value(TYPE)


def test_an_actor_is_a_picture(page: Page, tenant: LocalTenant) -> None:
    """An actor's token is pasted, too, and the chain is drawn."""
    page.get_by_label("Subject token", exact=True).fill(TOKEN)
    page.get_by_label("Actor token, if somebody acts for the user").fill(tenant.id_token(AGENT))
    page.get_by_label("Type of the actor token").fill(ID_TOKEN)
    press(page, "Exchange")
    expect(page.get_by_role("img", name=f"auth0|ada is the user; {AGENT} acts")).to_be_visible()


@pytest.mark.parametrize(
    ("token", "code"), [("", "INVALID_TOKEN_FORMAT"), ("forged", "invalid_request"), ("x" * 20_000, "invalid_request")]
)
@pytest.mark.parametrize("button", ["Exchange", "Log in with it"])
def test_a_refusal_is_told(button: str, token: str, code: str, page: Page) -> None:
    """Code, message and hint of a refused token are shown, by both buttons."""
    page.get_by_label("Subject token", exact=True).fill(token)
    press(page, button)
    expect(page.get_by_text(f"Refused: {code}")).to_be_visible()
    expect(page.get_by_text("Hint: ").first).to_be_visible()


def test_a_user_logs_in_and_out(page: Page) -> None:
    """A login shows the session and its cookies; a logout ends it."""
    page.get_by_label("Subject token", exact=True).fill(TOKEN)
    press(page, "Log in with it")
    expect(page.get_by_text("Logged in: Ada <b>Lovelace</b>")).to_be_visible()
    expect(page.get_by_text(re.compile(r"_a0_session_0: \d+ bytes"))).to_be_visible()
    press(page, "Log out")
    expect(page.get_by_text("Nobody is logged in.")).to_be_visible()


def test_what_only_a_local_tenant_has_is_not_there(page: Page) -> None:
    """No persona, Action or tenant log; the gallery says where its errors happen."""
    for text in ("Who comes", "Tenant log", "Your Action"):
        expect(page.get_by_text(text)).to_have_count(0)
    expect(page.get_by_text("These happen at a local tenant")).to_be_visible()
    press(page, "an empty token")
    expect(page.locator("#result .bad")).to_contain_text("an empty token: ")


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible(scheme: str, width: int, browser: Browser, url: str) -> None:
    """axe-core finds nothing, in both colour schemes, wide and narrow; a phone does not scroll sideways."""
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800})  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(url)
    page.get_by_label("Subject token", exact=True).fill(TOKEN)
    page.get_by_label("Token type", exact=True).fill(TYPE)
    press(page, "Exchange")
    assert [] == violations(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


def test_forms_of_others_spend_nothing(url: str, tenant: LocalTenant) -> None:
    """Without the page's own token, or under another host name, no request reaches the tenant."""
    before = len(tenant.token_requests)
    form = {"csrf": "x", "subject_token": TOKEN, "token_type": TYPE}
    with requests.Session() as session:
        session.get(url, timeout=TIMEOUT)
        assert 403 == session.post(f"{url}exchange", data=form, timeout=TIMEOUT).status_code
    assert 400 == requests.post(f"{url}login", data=form, headers={"Host": "evil.example"}, timeout=TIMEOUT).status_code
    assert before == len(tenant.token_requests)


def test_a_dead_tenant_is_told(tenant: LocalTenant, server: TenantServer) -> None:
    """A tenant that cannot be reached is an error on the page."""
    env = {**environment(tenant, server), "AUTH0_DOMAIN": "http://127.0.0.1:9"}
    with started("playground", "--remote", "--port", "0", **env) as process, requests.Session() as session:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        csrf = re.search(r'name="csrf" value="([^"]+)"', session.get(url, timeout=TIMEOUT).text)
        assert csrf is not None
        form = {"csrf": csrf[1], "subject_token": TOKEN, "token_type": TYPE}
        for path in ("exchange", "login"):
            reply = session.post(url + path, data=form, timeout=60)
            assert 200 == reply.status_code
            assert "could not connect" in reply.text


def test_missing_settings_are_told() -> None:
    """Without settings the command ends with the status of a wrong configuration, and says which are missing."""
    names = ("AUTH0_DOMAIN", "AUTH0_CLIENT_ID", "AUTH0_CLIENT_SECRET")
    done = run("playground", "--remote", env=dict.fromkeys(names))
    assert 4 == done.exit_code
    assert "AUTH0_DOMAIN" in done.stderr


@pytest.mark.parametrize("option", [["--strict"], ["-t", TYPE], ["--action", sys.executable]])
def test_options_of_a_local_tenant_are_refused(option: list[str]) -> None:
    """What configures the local tenant cannot be meant for another one."""
    done = run("playground", "--remote", *option)
    assert 2 == done.exit_code
    assert "cannot be used with --remote" in done.stderr


def test_settings_of_a_tenant_that_is_not_asked_are_refused(tmp_path: Path) -> None:
    """Who names a tenant's settings does not mean the local one."""
    file = tmp_path / "tenant.env"
    file.write_text("AUTH0_DOMAIN=acme.eu.auth0.com\n")
    done = run("playground", "--env-file", str(file))
    assert 2 == done.exit_code
    assert "--env-file requires --remote" in done.stderr


def test_settings_come_from_a_file(tenant: LocalTenant, server: TenantServer, tmp_path: Path) -> None:
    """--env-file names the tenant; Ctrl-C ends the command without a traceback."""
    file = tmp_path / "tenant.env"
    file.write_text("".join(f"{name}={value}\n" for name, value in environment(tenant, server).items()))
    with started("playground", "--remote", "--port", "0", "--env-file", str(file)) as process:
        assert process.stdout is not None
        assert server.domain in requests.get(process.stdout.readline().strip(), timeout=TIMEOUT).text
        process.send_signal(signal.SIGINT)
        assert 0 == process.wait(20)
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
