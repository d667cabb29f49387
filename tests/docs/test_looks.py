"""The built pages as readers see them: in Chromium, narrow and wide, light and dark."""

from __future__ import annotations

import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest

from tests.docs.pages import DOCS
from tests.integration.browser import chromium, violations

EXTENSIONS = DOCS / "_extensions"
SIZES = [(width, scheme) for width in (390, 1280) for scheme in ("light", "dark")]
CUT_OFF = """() => [...document.querySelectorAll("article *")].filter(each => {
  if (each.getBoundingClientRect().right <= innerWidth + 1) return false;
  for (let around = each.parentElement; around; around = around.parentElement)
    if (getComputedStyle(around).overflowX != "visible") return false;
  return true;
}).map(each => each.outerHTML.slice(0, 80))"""


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_no_page_scrolls_sideways(width: int, scheme: str, built: Path) -> None:
    """Nothing is wider than the screen but what scrolls by itself, as code and tables do."""
    wide = []
    with chromium() as browser:
        page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})  # type: ignore[arg-type]
        for path in sorted(built.rglob("*.html")):
            page.goto(path.as_uri())
            if page.evaluate("document.documentElement.scrollWidth") > width or page.evaluate(CUT_OFF):
                wide.append(str(path.relative_to(built)))
    assert [] == wide


@pytest.mark.parametrize(("width", "scheme"), SIZES)
@pytest.mark.parametrize("name", ["reference/command-line", "guides/login", "start/tutorial"])
def test_pages_are_accessible(name: str, width: int, scheme: str, built: Path) -> None:
    """axe-core finds nothing in what a page says and shows; colours of the theme's code are the theme's."""
    with chromium() as browser:
        page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})  # type: ignore[arg-type]
        page.goto((built / f"{name}.html").as_uri())
        assert [] == violations(page, context="article", options={"rules": {"color-contrast": {"enabled": False}}})


def pictures_of(page: str) -> list[str]:
    """Return the pictures of terminals on a page."""
    return re.findall(r'<div class="terminal"[^>]*>.*?</svg>', page, re.DOTALL)


def text_of(picture: str) -> str:
    """Return what a picture shows, a row a line."""
    rows = re.findall(r"<text[^>]*>(.*?)</text>", picture)
    return unescape(" ".join(rows)).replace("\xa0", " ")


@pytest.fixture
def pictures(built: Path) -> list[str]:
    return [picture for page in sorted(built.rglob("*.html")) for picture in pictures_of(page.read_text())]


class TestTerminals:
    """Pictures of commands that ran when the documentation was built."""

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("guides/errors", ["error: invalid_request"]),
            (
                "reference/command-line",
                ["ada@example.com", "the application authenticates", "Sizes of the parts", "results: users.csv"],
            ),
            ("start/tutorial", ["A token of a legacy system becomes Auth0 tokens"]),
            ("tenant/action", ["api.authentication.setUserByConnection"]),
        ],
    )
    def test_they_show_what_the_commands_printed(self, name: str, expected: list[str], built: Path) -> None:
        """Each page has its commands, as they end at a tenant that works."""
        texts = map(text_of, pictures_of((built / f"{name}.html").read_text()))
        for text, part in zip(texts, expected, strict=True):
            assert part in text

    def test_they_load_nothing(self, pictures: list[str]) -> None:
        """No font of a CDN, and no picture larger than a page may be."""
        for picture in pictures:
            assert "@font-face" not in picture
            assert "url(http" not in picture
            assert len(picture) < 60_000

    def test_they_are_told_in_words(self, pictures: list[str]) -> None:
        """Readers who do not see them have them described."""
        assert all(re.search(r'<svg role="img" aria-label="[A-Z][^"]{40,}"', picture) for picture in pictures)

    def test_they_show_no_token_and_no_secret(self, pictures: list[str]) -> None:
        """Neither a JWT, nor a sealed cookie, nor what the commands read is on a picture."""
        for text in map(text_of, pictures):
            assert not re.search(r"eyJ[\w-]{20}|what-the-old-system|a-long-random-secret|[\w-]{65}", text), text


def build(page: str, directory: Path) -> tuple[str, str]:
    """Build one page with the terminals' directive, and return it and what Sphinx says."""
    (directory / "conf.py").write_text(
        f"import sys\nsys.path.insert(0, {str(EXTENSIONS)!r})\nextensions = ['terminal']\n"
    )
    (directory / "index.rst").write_text(f"Commands\n========\n\n{page}")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-E", str(directory), str(directory / "html")],
        capture_output=True,
        text=True,
    )
    return (directory / "html" / "index.html").read_text(), done.stderr


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (".. terminal::\n\n   auth0-cte --version\n", "requires :alt:"),
        (".. terminal::\n   :alt: The version.\n\n   rm -r .\n", "'rm -r .' must be a command of auth0-cte"),
        (".. terminal::\n   :alt: The version.\n\n   auth0-cte nothing\n", "'auth0-cte nothing' ended with status 2"),
        (
            ".. terminal::\n   :alt: The version.\n   :status: 3\n\n   auth0-cte --version\n",
            "'auth0-cte --version' ended with status 0",
        ),
        (
            ".. terminal::\n   :alt: The version.\n   :before: missing.py\n\n   auth0-cte --version\n",
            "'missing.py' ended with status 2",
        ),
    ],
)
def test_a_terminal_that_is_wrong_is_told(page: str, expected: str, tmp_path: Path) -> None:
    """A command that ends otherwise than the page says makes the build fail instead of a wrong picture."""
    html, messages = build(page, tmp_path)
    assert expected in messages
    assert [] == pictures_of(html)


def test_a_long_output_is_cut(tmp_path: Path) -> None:
    """A picture has as many rows as the page says, and shows that there are more."""
    html, messages = build(".. terminal::\n   :alt: The help.\n   :rows: 2\n\n   auth0-cte --help\n", tmp_path)
    assert "" == messages
    (picture,) = pictures_of(html)
    assert "$ auth0-cte --help Usage: auth0-cte [OPTIONS] COMMAND [ARGS]... ..." == " ".join(text_of(picture).split())
