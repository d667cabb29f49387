"""A browser, as far as sessions go: keeps cookies, and follows no redirect unasked."""

from __future__ import annotations

from collections.abc import Mapping
from http.cookies import Morsel, SimpleCookie
from typing import Any, Self

import requests


class Browser:
    """Visits an application's pages with the cookies that it was given.

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
