"""The built pages as readers see them: in Chromium, narrow and wide, light and dark."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.integration.browser import chromium, violations

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


@pytest.fixture
def pictures(built: Path) -> list[str]:
    page = (built / "reference" / "command-line.html").read_text()
    return re.findall(r'<div class="terminal"[^>]*>.*?</svg>', page, re.DOTALL)


class TestTerminals:
    """Pictures of commands that ran when the documentation was built."""

    def test_they_show_what_the_commands_printed(self, pictures: list[str]) -> None:
        """An exchange, a diagnosis and a batch are there, as they end at a tenant that works."""
        texts = [re.sub(r"&#160;", " ", re.sub(r"<[^>]+>", " ", each)) for each in pictures]
        for text, expected in zip(
            texts, ("ada@example.com", "the application authenticates", "invalid_request"), strict=True
        ):
            assert expected in text

    def test_they_load_nothing(self, pictures: list[str]) -> None:
        """No font of a CDN, and no picture larger than a page may be."""
        for picture in pictures:
            assert "@font-face" not in picture
            assert "url(http" not in picture
            assert len(picture) < 60_000

    def test_they_are_told_in_words(self, pictures: list[str]) -> None:
        """Readers who do not see them have them described."""
        assert all(re.search(r'<svg role="img" aria-label="[A-Z][^"]{40,}"', picture) for picture in pictures)
