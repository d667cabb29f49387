"""Browsers: one of our own, as far as sessions go, which hundreds can be had of; and Chromium."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import unescape
from http.cookies import Morsel, SimpleCookie
from pathlib import Path
from typing import Any, Self

import playwright.sync_api
import pytest
import requests
from axe_playwright_python.sync_playwright import Axe

TIMEOUT = 60.0
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage"
)
_HIDDEN = re.compile(r"""<input type="hidden" name="([^"]*)" value="([^"]*)"/?>""")


class Browser:
    """Visits an application's pages with the cookies that it was given; follows no redirect unasked.

    Args:
        url: Where the application is.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.session.close()

    def visit(self, page: str, headers: Mapping[str, str] | None = None, **query: str) -> requests.Response:
        method = "POST" if page.startswith(("login", "switch")) else "GET"
        return self.session.request(
            method, f"{self.url}/{page}", params=query, headers=headers, timeout=20, allow_redirects=False
        )

    def submit(self, form: str, **fields: str) -> requests.Response:
        """Submit a form of the home page, with the hidden fields that it has."""
        hidden = {unescape(name): unescape(value) for name, value in _HIDDEN.findall(self.get("").text)}
        return self.session.post(
            f"{self.url}/{form}",
            data={**hidden, **fields},
            headers={"Origin": self.url},
            timeout=TIMEOUT,
            allow_redirects=False,
        )

    def get(self, page: str) -> requests.Response:
        return self.session.get(f"{self.url}/{page}", timeout=TIMEOUT, allow_redirects=False)

    def ask(self, page: str, **query: str) -> dict[str, Any]:
        """Return the JSON of a page that succeeds."""
        response = self.visit(page, None, **query)
        assert 200 == response.status_code, response.text
        body: dict[str, Any] = response.json()
        return body

    def who(self) -> str | None:
        """Return whom the application takes the browser for."""
        user = self.ask("me")["user"]
        return None if user is None else user["sub"]

    @property
    def cookies(self) -> dict[str, str]:
        return {cookie.name: cookie.value or "" for cookie in self.session.cookies}


def set_cookies(response: requests.Response) -> list[Morsel[str]]:
    """Return what a response sets, in order, duplicates included."""
    morsels = []
    for header in response.raw.headers.getlist("Set-Cookie"):
        parsed: SimpleCookie = SimpleCookie(header)
        (morsel,) = parsed.values()
        morsels.append(morsel)
    return morsels


@contextmanager
def chromium() -> Iterator[playwright.sync_api.Browser]:
    """Start Chromium without a window, in a profile of its own; each context of it is a new browser."""
    with playwright.sync_api.sync_playwright() as driver:
        program = next(filter(None, map(shutil.which, _CHROMIUM)), None) or driver.chromium.executable_path
        if not Path(program).exists():
            pytest.skip("no Chromium: apt-get install chromium, or python -m playwright install chromium")
        browser = driver.chromium.launch(executable_path=program, args=_FLAGS.split(), timeout=TIMEOUT * 1000)
        try:
            yield browser
        finally:
            browser.close()


def violations(page: playwright.sync_api.Page, **options: Any) -> list[tuple[str, list[str]]]:
    """Return what axe-core finds on a page: the rule, and the elements that break it."""
    found = Axe().run(page, **options).response["violations"]
    return [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found]
