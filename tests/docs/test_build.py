"""The built documentation is whole: no warning, no dead link, every public name."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.docs.pages import README, ROOT


class Page(HTMLParser):
    """The ids and the links of a page, and the ids that are there more than once."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids, self.links, self.repeated = set[str](), list[str](), list[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("id"):
            if given["id"] in self.ids:
                self.repeated.append(str(given["id"]))
            self.ids.add(str(given["id"]))
        for name in ("href", "src"):
            if given.get(name):
                self.links.append(str(given[name]))


def test_sphinx_builds_without_a_warning(built: Path) -> None:
    """``sphinx-build -W -n`` finds nothing, every reference resolved."""
    assert (built / "index.html").exists()


def test_no_internal_link_is_dead(built: Path) -> None:
    """Every link from page to page leads to a file and an anchor that exist."""
    pages = {path: Page(path.read_text()) for path in built.rglob("*.html")}
    dead = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or link == "#":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists() or (parts.fragment and target in pages and parts.fragment not in pages[target].ids):
                dead.append(f"{path.relative_to(built)}: {link}")
    assert [] == dead


def test_no_anchor_is_on_a_page_twice(built: Path) -> None:
    """A link to an anchor leads to one place."""
    repeated = {path.name: Page(path.read_text()).repeated for path in built.rglob("*.html")}
    assert {} == {name: found for name, found in repeated.items() if found}


def test_the_links_of_the_readme_lead_to_pages(built: Path) -> None:
    """Files that the README links to exist, and so do the anchors on them."""
    links = re.findall(r"<((?:docs/|[A-Z]+\.md)[^>]*)>`__", README.read_text())
    assert len(links) > 10
    for link in links:
        path, _, anchor = link.partition("#")
        assert (ROOT / path).exists(), link
        if anchor:
            page = built / Path(path).relative_to("docs").with_suffix(".html")
            assert anchor in Page(page.read_text()).ids, link
