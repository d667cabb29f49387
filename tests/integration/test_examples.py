"""The example applications: each by its one command, and under the load of many users in several processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import requests

from auth0_cte import CustomTokenExchangeError
from auth0_cte.examples import legacy
from auth0_cte.examples.tenant import make_tenant
from tests.integration.browser import TIMEOUT, Browser
from tests.integration.servers import PREFORK, run_example, run_prefork, serving
from tests.load import load, sized

USERS = sized(200, 50)


@pytest.fixture(scope="module", params=PREFORK)
def app_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each example as ``python -m`` runs it, with nothing configured."""
    with serving(run_example(f"{request.param}_app")) as url:
        yield url


@pytest.fixture
def browser(app_url: str) -> Iterator[Browser]:
    with Browser(app_url) as browser:
        yield browser


def test_a_user_logs_in_and_out(browser: Browser) -> None:
    """The pages show who is logged in, what is known of them, and no token; afterwards nobody is."""
    assert (401, 401) == (browser.get("me").status_code, browser.get("token").status_code)
    assert "Nobody is logged in" in browser.get("").text
    reply = browser.submit("login", user="Ada")
    assert (303, "/") == (reply.status_code, reply.headers["Location"])
    assert "Hello, Ada" in browser.get("").text
    claims = browser.get("me").json()
    assert ("Ada", "oauth2|legacy|Ada") == (claims["name"], claims["sub"])
    about_token = browser.get("token").json()
    assert {"characters", "sha256"} == set(about_token)
    assert about_token["characters"] > 100
    at_tenant = requests.get(browser.submit("logout").headers["Location"], timeout=TIMEOUT, allow_redirects=False)
    assert (302, f"{browser.url}/") == (at_tenant.status_code, at_tenant.headers["Location"])
    assert {} == browser.cookies or "csrftoken" in browser.cookies
    assert (401, 401) == (browser.get("me").status_code, browser.get("token").status_code)


def test_names_are_text(browser: Browser) -> None:
    """A name that is HTML is shown, not run."""
    browser.submit("login", user="<script>alert(1)</script>&quot;")
    assert "<h1>Hello, &lt;script&gt;alert(1)&lt;/script&gt;&amp;quot;</h1>" in browser.get("").text


def test_pages_are_not_kept(browser: Browser) -> None:
    """Nobody sees the pages of a user who has left, neither in a cache nor by the back button."""
    browser.submit("login", user="Ada")
    for page in ("", "me", "token"):
        assert "no-store" in browser.get(page).headers["Cache-Control"]


@pytest.mark.parametrize(("name", "kind"), [("style.css", "text/css"), ("favicon.svg", "image/svg+xml")])
def test_pages_have_a_style(name: str, kind: str, browser: Browser) -> None:
    """Each page names the style sheet and the icon, and they are there."""
    assert f'href="/{name}"' in browser.get("").text
    reply = browser.get(name)
    assert (200, kind) == (reply.status_code, reply.headers["Content-Type"].partition(";")[0])
    assert "Set-Cookie" not in reply.headers


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_forms_of_other_sites_are_refused(origin: str, browser: Browser) -> None:
    """Another site's page can neither log its own user in nor ours out."""
    browser.submit("login", user="Ada")
    for form in ("login", "logout"):
        reply = browser.session.post(
            f"{browser.url}/{form}", {"user": "Eve"}, headers={"Origin": origin}, timeout=TIMEOUT, allow_redirects=False
        )
        assert 403 == reply.status_code
    assert 405 == browser.get("logout").status_code
    assert "Ada" == browser.get("me").json()["name"]


def test_a_refused_login_says_why(browser: Browser) -> None:
    """What Auth0 does not accept is told by its code, and nobody is logged in."""
    reply = browser.submit("login", user="x" * 256)  # longer than a user's id may be
    assert (502, "server_error") == (reply.status_code, reply.json()["error"])
    assert 401 == browser.get("me").status_code


def test_the_largest_profile_of_the_form_is_told_on_a_page(browser: Browser) -> None:
    """What the form allows and cookies cannot hold is answered by a page, and the user before it stays."""
    browser.submit("login", user="Ada")
    reply = browser.submit("login", user="x" * 200, more="4000")
    assert (413, "text/html") == (reply.status_code, reply.headers["Content-Type"].partition(";")[0])
    assert "cannot be logged in" in reply.text
    assert "Ada" == browser.get("me").json()["name"]


def test_backchannel_logout_is_there(browser: Browser) -> None:
    """Auth0 reaches the route without a cookie or a form, and is told that the token is no good."""
    reply = requests.post(f"{browser.url}/backchannel-logout", {"logout_token": "x"}, timeout=TIMEOUT)
    assert (400, "no-store") == (reply.status_code, reply.headers["Cache-Control"])


@load
@pytest.mark.parametrize("store", ["cookie", "redis"])
@pytest.mark.parametrize("framework", PREFORK)
def test_a_crowd_at_once(framework: str, store: str, request: pytest.FixtureRequest) -> None:
    """Nobody's login is lost or becomes another's, whichever of the processes answers."""
    environment = {"REDIS_URL": request.getfixturevalue("redis_server").url} if store == "redis" else {}
    barrier = Barrier(USERS)

    def use(number: int) -> set[str]:
        with Browser(url) as browser:
            barrier.wait(TIMEOUT)
            assert 303 == browser.submit("login", user=f"user-{number}").status_code
            return {browser.get("me").json()["name"] for _ in range(3)}

    with serving(run_prefork(framework), **environment) as url, ThreadPoolExecutor(USERS) as pool:
        assert [{f"user-{number}"} for number in range(USERS)] == list(pool.map(use, range(USERS)))


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        run_example(*command),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def test_the_script_tells_its_story_and_no_secrets() -> None:
    """It ends with status 0; what it prints is readable, and has no token in it."""
    done = run("script")
    assert (0, "") == (done.returncode, done.stderr)
    assert "Logged in: ada\nAPI says:  ada\nLogged out, and the user is None\n" in done.stdout
    assert "eyJ" not in done.stdout


def test_another_tenant_is_used_when_the_environment_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exchange of the script arrives there, and so does what it does afterwards."""
    monkeypatch.setenv("LEGACY_SECRET", "what-the-legacy-system-signs-with")
    tenant = make_tenant()
    with tenant.serve() as server:
        own = {"AUTH0_CLIENT_ID": tenant.client_id, "AUTH0_CLIENT_SECRET": tenant.client_secret}
        done = run("script", AUTH0_DOMAIN=server.domain, AUTH0_SECRET="s" * 32, **own)
    assert (0, "") == (done.returncode, done.stderr)
    assert ["/oauth/token", "/oauth/token"] == [request.path for request in tenant.token_requests]
    assert "/userinfo" == tenant.requests[-1].path


def test_tokens_that_the_legacy_system_did_not_issue_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that is signed with another secret, changed, or no token at all, lets nobody in."""
    monkeypatch.setenv("LEGACY_SECRET", "another-secret")
    foreign = legacy.mint("ada")
    monkeypatch.setenv("LEGACY_SECRET", "the-secret")
    payload, _, signature = legacy.mint("ada").partition(".")
    with make_tenant().client() as client:
        for token in (foreign, f"x{payload}.{signature}", f"{payload}.", payload, "."):
            with pytest.raises(CustomTokenExchangeError, match="did not issue"):
                client.custom_token_exchange({"subject_token": token, "subject_token_type": legacy.TOKEN_TYPE})


@pytest.mark.parametrize("module", ["script", "flask_app", "django_app", "fastapi_app"])
def test_a_missing_setting_is_named(module: str) -> None:
    """With a tenant of one's own, what is missing in the environment is listed."""
    done = run(module, AUTH0_DOMAIN="tenant.auth0.com", AUTH0_CLIENT_ID="id")
    assert 1 == done.returncode
    assert "Error: missing settings: AUTH0_CLIENT_SECRET" in done.stderr


def test_a_command_is_run_with_a_tenant() -> None:
    """It finds the tenant in its environment; its exit status is passed on, and no command is told how to give one."""
    program = "import os, sys; print(os.environ['AUTH0_DOMAIN'], len(os.environ['AUTH0_SECRET'])); sys.exit(3)"
    done = run("tenant", sys.executable, "-c", program)
    assert (3, "") == (done.returncode, done.stderr)
    assert re.fullmatch(r"http://127\.0\.0\.1:[0-9]+ 64\n", done.stdout)
    done = run("tenant")
    assert (1, "usage: python -m auth0_cte.examples.tenant COMMAND [ARGUMENT]…\n") == (done.returncode, done.stderr)


def test_ending_the_tenant_ends_its_command() -> None:
    """A signal is passed on, and the tenant outlives the command."""
    program = "import time; print('up', flush=True); time.sleep(600)"
    command = run_example("tenant", sys.executable, "-c", program)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "up\n" == process.stdout.readline()
        process.terminate()
        assert 128 + signal.SIGTERM == process.wait(TIMEOUT)
        assert "" == process.stdout.read()  # the command had the pipe, too, and has ended
