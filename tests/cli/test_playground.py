"""The playground in Chromium: every button, without JavaScript and with it, and what axe-core says."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, Page, expect
from werkzeug.serving import make_server

from auth0_cte.cli.pages.app import create_app
from auth0_cte.cli.pages.bench import LocalBench
from tests.cli.users import started
from tests.integration.browser import TIMEOUT, chromium, violations
from tests.testing.node import NODES

ACTION = """// subject_token_type: urn:acme:your-action
exports.onExecuteCustomTokenExchange = async (event, api) => {
  console.log("run by the page");
  api.authentication.setUserById("auth0|ada");
};
"""
expect.set_options(timeout=TIMEOUT * 1000)


@pytest.fixture(scope="module")
def action(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("actions") / "mine.js"
    file.write_text(ACTION)
    return file


@pytest.fixture(scope="module")
def url(action: Path) -> Iterator[str]:
    bench = LocalBench(action=action)
    bench.tenant.actions.node = NODES["wheel"]
    server = make_server("127.0.0.1", 0, create_app(bench), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()
    bench.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(params=["without scripts", "with scripts"])
def page(request: pytest.FixtureRequest, browser: Browser, url: str) -> Iterator[Page]:
    """The page, at a browser that has never been there."""
    context = browser.new_context(java_script_enabled=request.param == "with scripts")
    context.set_default_timeout(TIMEOUT * 1000)
    page = context.new_page()
    page.goto(url)
    yield page
    context.close()


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def test_an_exchange_is_shown(page: Page) -> None:
    """Request, the Action's calls, reply and decoded tokens are there; no token is."""
    press(page, "Exchange")
    expect(page.get_by_text("Exchanged: a Bearer token")).to_be_visible()
    for text in ("curl --request POST", 'api.authentication.setUserById("auth0|ada")', "ada@example.com", "secte"):
        expect(page.locator("main")).to_contain_text(text)
    assert not re.search(r"eyJ[\w-]+\.", page.content())


def test_an_actor_is_a_picture(page: Page) -> None:
    """The chain of actors is drawn, and told to those who do not see it."""
    page.get_by_label("Grace, a support agent, acts for the user").check()
    press(page, "Exchange")
    expect(page.get_by_role("img", name="auth0|ada is the user; auth0|grace acts")).to_be_visible()


@pytest.mark.parametrize(
    ("who", "code"),
    [("Eve, who needs a second factor", "mfa_required"), ("Mallory, whose token is forged", "invalid_request")],
)
def test_refusals_are_told(who: str, code: str, page: Page) -> None:
    """A refused token shows code, message and hint."""
    page.get_by_label("Who comes").select_option(who)
    press(page, "Exchange")
    expect(page.get_by_text(f"Refused: {code}")).to_be_visible()
    expect(page.get_by_text("Hint: ").first).to_be_visible()


def test_a_user_logs_in_and_out(page: Page) -> None:
    """A login shows the session, its end and the sizes of its cookies; a logout ends it."""
    press(page, "Log in with it")
    expect(page.get_by_text("Logged in: Ada Lovelace")).to_be_visible()
    expect(page.get_by_text(re.compile(r"_a0_session_0: \d+ bytes"))).to_be_visible()
    expect(page.get_by_text(re.compile("The session ends .* in 3 days|72 hours"))).to_be_visible()
    press(page, "Log out")
    expect(page.get_by_text("Nobody is logged in.")).to_be_visible()


def test_every_error_has_a_button(page: Page) -> None:
    """Each button of the gallery shows its error."""
    names = page.locator("form[action^='/error'] button").all_text_contents()
    assert len(names) >= 15
    for name in names:
        press(page, name)
        expect(page.locator("#result .bad")).to_contain_text(f"{name}: ")


def test_the_action_is_edited_and_run(page: Page, action: Path) -> None:
    """A saved Action is in its file, and the next exchange runs it."""
    page.get_by_label("mine.js, for urn:acme:your-action").fill(ACTION.replace("by the page", "after an edit"))
    press(page, "Save the Action")
    expect(page.get_by_text("The Action was saved")).to_be_visible()
    assert "after an edit" in action.read_text()
    page.get_by_label("Token type").select_option("urn:acme:your-action")
    press(page, "Exchange")
    expect(page.get_by_role("region", name="What the Action printed")).to_contain_text("run after an edit")


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible(scheme: str, width: int, browser: Browser, url: str) -> None:
    """axe-core finds nothing, in both colour schemes, wide and narrow; a phone does not scroll sideways."""
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800})  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(url)
    page.get_by_label("Grace, a support agent, acts for the user").check()
    press(page, "Log in with it")
    page.get_by_label("Grace, a support agent, acts for the user").check()
    press(page, "Exchange")
    assert [] == violations(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


def test_the_keyboard_reaches_everything(browser: Browser, url: str) -> None:
    """The first tab stop skips to the result, and Enter in a field exchanges."""
    page = browser.new_page()
    page.goto(url)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the result")).to_be_focused()
    page.get_by_label("Scope").press("Enter")
    expect(page.get_by_text("Exchanged: a Bearer token")).to_be_visible()
    page.close()


def test_the_log_keeps_itself_fresh(browser: Browser, url: str) -> None:
    """With scripts the log shows what happens elsewhere, without a reload."""
    page, other = browser.new_page(), browser.new_page()
    page.goto(url)
    rows = page.locator("#log tbody tr")
    before = rows.first.inner_text()
    other.goto(url)
    other.get_by_label("Who comes").select_option("Bob, whose account is closed")
    press(other, "Exchange")
    expect(rows.first).to_contain_text("The account is closed")
    assert "The account is closed" not in before
    page.close()
    other.close()


class TestSecurity:
    """What the server does not let others do."""

    def test_the_policy_allows_nothing_foreign(self, url: str) -> None:
        """No inline script or style, nothing from elsewhere, no framing."""
        reply = requests.get(url, timeout=TIMEOUT)
        policy = reply.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe-inline" not in policy
        assert "frame-ancestors 'none'" in policy
        assert not re.search(r"<script(?![^>]*\bsrc=\"/)|<style|\bstyle=|\bon[a-z]+=", reply.text)
        assert not re.search(r"(?:src|href)=\"(?:https?:)?//", reply.text)

    @pytest.mark.parametrize("path", ["exchange", "error", "login", "logout", "action"])
    def test_forms_of_others_are_refused(self, path: str, url: str, action: Path) -> None:
        """Without the page's own token nothing is done."""
        before = action.read_text()
        with requests.Session() as session:
            session.get(url, timeout=TIMEOUT)
            assert 403 == session.post(url + path, data={"csrf": "x", "source": "evil"}, timeout=TIMEOUT).status_code
        assert 403 == requests.post(url + path, data={"source": "evil"}, timeout=TIMEOUT).status_code
        assert before == action.read_text()

    @pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "169.254.169.254"])
    def test_other_names_are_refused(self, host: str, url: str) -> None:
        """A name of somebody else's that leads here is not answered."""
        assert 400 == requests.get(url, headers={"Host": host}, timeout=TIMEOUT).status_code

    def test_what_is_typed_is_text(self, url: str) -> None:
        """Markup in a field is shown, not run."""
        with requests.Session() as session:
            token = re.search(r'name="csrf" value="([^"]+)"', session.get(url, timeout=TIMEOUT).text)
            assert token is not None
            form = {
                "csrf": token[1],
                "token": '"><script>alert(1)</script>',
                "token_type": "urn:x:<b>",
                "scope": "</b>",
            }
            assert "<script>alert" not in session.post(f"{url}exchange", data=form, timeout=TIMEOUT).text


def test_the_command_serves_it(tmp_path: Path) -> None:
    """The command prints where the page is, and ends by Ctrl-C."""
    import signal

    with started("playground", "--port", "0") as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert "Playground" in requests.get(url, timeout=TIMEOUT).text
        process.send_signal(signal.SIGINT)
        assert 0 == process.wait(20)
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
