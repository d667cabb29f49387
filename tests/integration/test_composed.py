"""Tenant, application, API and browser in processes of their own, as docker compose runs them.

The tenant goes by a name that only a proxy knows, as containers know theirs; the machine's own names stay as they are.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from tests.cli.served_tenant import Served
from tests.cli.served_tenant import serving as serving_tenant
from tests.integration.browser import TIMEOUT, chromium
from tests.integration.composed import API, TYPE
from tests.integration.servers import serving
from tests.transport.proxies import Tunnel

ROOT = Path(__file__).parents[2]
NAME = "tenant.test"
SEED = {
    "apis": [{"identifier": API, "scopes": ["read:data"]}],
    "users": [{"user_id": "auth0|ada", "name": "Ada Lovelace"}],
    "applications": [{"client_id": "shop", "client_secret": {"env": "SHOP_SECRET"}}],
    "actions": [{"subject_token_type": TYPE, "accept": "auth0|ada"}],
}
expect.set_options(timeout=TIMEOUT * 1000)


@pytest.fixture(scope="module")
def tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory = tmp_path_factory.mktemp("composed")
    (directory / "tenant.json").write_text(json.dumps(SEED))
    arguments = ("--seed", str(directory / "tenant.json"), "--ca-out", str(directory / "ca.pem"))
    with serving_tenant("--tls", "--name", NAME, *arguments, SHOP_SECRET="the-secret-of-the-shop") as served:
        yield served


@pytest.fixture(scope="module")
def proxy(tenant: Served) -> Iterator[Tunnel]:
    """The only one who knows where the tenant is; it leads port 443 of the name there, as a container's own would."""
    with Tunnel(tenant.ready["port"]) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def url(tenant: Served, proxy: Tunnel) -> Iterator[str]:
    """The application, with its API behind it."""
    bundle = tenant.settings["SSL_CERT_FILE"]
    environment = {
        "PYTHONPATH": str(ROOT),
        "AUTH0_DOMAIN": f"https://{NAME}",
        "HTTPS_PROXY": proxy.url,
        "REQUESTS_CA_BUNDLE": bundle,
    }
    client = {"AUTH0_CLIENT_ID": "shop", "AUTH0_CLIENT_SECRET": "the-secret-of-the-shop", "AUTH0_SECRET": "x" * 64}
    command = [sys.executable, "-m", "tests.integration.composed"]
    with (
        serving([*command, "api"], **environment) as api_url,
        serving([*command, "application"], **environment, **client, API_URL=api_url) as url,
    ):
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, proxy: Tunnel) -> Iterator[Page]:
    context = browser.new_context(proxy={"server": proxy.url, "bypass": "127.0.0.1"}, ignore_https_errors=True)
    context.set_default_timeout(TIMEOUT * 1000)
    yield context.new_page()
    context.close()


def visit_home(page: Page, url: str) -> None:
    reply = page.goto(url)
    assert reply is not None
    assert 200 == reply.status, reply.text()


def test_login_api_call_and_logout(page: Page, url: str, proxy: Tunnel) -> None:
    """All know the tenant by one name, and its tokens by one issuer; the browser logs out there and comes back."""
    issuer = f"https://{NAME}/"
    visit_home(page, url)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading")).to_have_text("Ada Lovelace")
    page.get_by_role("link", name="Call").click()
    told = json.loads(page.locator("body").inner_text())
    assert {"application": issuer, "api": issuer, "sub": "auth0|ada", "scope": "openid profile read:data"} == told
    seen = page.goto(f"{issuer}.well-known/openid-configuration")
    assert seen is not None
    assert issuer == seen.json()["issuer"]
    visited: list[str] = []
    page.on("request", lambda request: visited.append(request.url))
    visit_home(page, url)
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("button", name="Log in")).to_be_visible()
    assert any(each.startswith((f"{issuer}v2/logout", f"{issuer}oidc/logout")) for each in visited)
    assert {f"{NAME}:443"} == {place for place, _ in proxy.asked if "tenant" in place}


def test_a_suite_drives_the_tenant(page: Page, url: str, tenant: Served) -> None:
    """As Cypress and Playwright do by the control API: a failure is scripted, seen by the user, and taken back."""
    control = f"https://localhost:{tenant.ready['port']}"
    bundle = tenant.settings["SSL_CERT_FILE"]
    session = requests.Session()
    session.trust_env, session.verify = False, bundle
    reply: Any = {"status": 403, "error": "access_denied", "description": "closed for today"}
    assert 200 == session.post(f"{control}/_tenant/fail-next", json=reply, timeout=30).status_code
    visit_home(page, url)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("access_denied")).to_be_visible()
    assert 200 == session.post(f"{control}/_tenant/reset", json={}, timeout=30).status_code
    visit_home(page, url)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading")).to_have_text("Ada Lovelace")
    logs = session.get(f"{control}/_tenant/logs", timeout=30).json()["logs"]
    assert ["secte"] == [entry["type"] for entry in logs]
    session.close()
