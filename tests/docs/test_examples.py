"""Every Python example of the README and of the documentation runs as it stands."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterator
from symtable import symtable

import pytest
from sybil import Example

from tests.docs.pages import PAGES, README, parsed
from tests.integration.apps import configure_django


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_run(page: str) -> None:
    """The examples of a page, in order, are one program that runs."""
    configure_django()  # once a process, and so as the other tests need it
    document = parsed(PAGES[page])
    document.namespace["__name__"] = "__main__"
    for example in document.examples():
        example.evaluate()


@pytest.mark.parametrize("page", PAGES)
def test_no_example_secretly_replaces_a_name_that_it_shows(page: str) -> None:
    """What the tests add to a page binds no name that the reader sees bound, and none of a package."""
    shown, hidden = set[str](), set[str]()
    for example, is_shown in _examples(page):
        (shown if is_shown else hidden).update(_bound(example.parsed))
    assert set() == shown & hidden
    assert set() == hidden & (set(dir(builtins)) | sys.stdlib_module_names | {"redis", "requests", "responses"})


def test_the_two_commands_stand_in_the_readme() -> None:
    """The commands that a newcomer starts with are there to copy."""
    text = README.read_text()
    assert "    python -m pip install '.[cli]' && auth0-cte demo\n" in text
    assert "    python -m pip install -e '.[test]' && python -m pytest\n" in text


def test_the_readme_is_one_page() -> None:
    """The README has 150 to 250 lines; everything else is in docs/."""
    assert 150 <= len(README.read_text().splitlines()) <= 250


def _examples(page: str) -> Iterator[tuple[Example, bool]]:
    for example in parsed(PAGES[page]).examples():
        line = example.document.text[example.region.start :].lstrip().partition("\n")[0]
        yield example, "invisible" not in line


def _bound(source: str) -> set[str]:
    """Name what a program assigns or defines at its top; what it imports is what it says."""
    symbols = symtable(source, "<example>", "exec").get_symbols()
    return {each.get_name() for each in symbols if each.is_assigned() and not each.is_imported()}
