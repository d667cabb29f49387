"""Messages, hints, docstrings, log lines and pages are written in the English of the field."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT

FORBIDDEN = re.compile(
    r"""
      \b(?:is|are|be|was|were)\s+no\b(?!\s+longer|\s+later|\s+more\s+than)   # "client_id is no text": must be text
    | ,\s+say\b(?!\s+(?:how|so|what|which|why|that)\b)   # "give X, say": such as X, e.g. X
    | \blest\b                      # so that ... not
    | \bwho(?:so)?ever\b            # anyone who, the caller
    | \bwhereto\b                   # where ... to
    | \bmend(?:s|ed|ing)?\b         # fix, repair
    | \b(?:do|does|did)\s+not\s+serve\b   # cannot be used
    | \bha(?:ve|s|d)\s+it\s+told\b
    | \bthe\s+doors?\s+for\b
    | \bt(?:ak(?:e|es|en|ing)|ook)\s+(?:it\s+)?to\s+heart\b
    | \b(?:leav(?:e|es|ing)|left)\s+(?:it\s+|them\s+)?away\b   # omit
    """,
    re.VERBOSE | re.IGNORECASE,
)

# How many phrases a file still has; the list may only shrink.
OFFENDERS = {
    name: int(count)
    for name, _, count in (
        line.rpartition(" ") for line in Path(__file__).with_name("offenders.txt").read_text().splitlines()
    )
}
TEXTS = {
    **PAGES,
    **{name: ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")},
}
MODULES = {str(path.relative_to(ROOT)): path for path in sorted((ROOT / "auth0_cte").rglob("*.py"))}


@pytest.mark.parametrize("name", [*MODULES, *TEXTS])
def test_no_phrase_of_a_translation(name: str) -> None:
    """A file has none of the forbidden phrases, or, for the time being, as many as the list says."""
    found = [f"{line}: {phrase!r} in {text!r}" for line, phrase, text in _phrases(name)]
    assert OFFENDERS.get(name, 0) == len(found), "\n".join(found)


def test_the_list_names_only_files_that_exist() -> None:
    """A file that was renamed or removed takes its place in the list with it."""
    assert set() == set(OFFENDERS) - set(MODULES) - set(TEXTS)


@pytest.mark.parametrize(
    "sentence",
    [
        "client_id is no printable text",
        "give PrivateKeyJwt(...), say",
        "lest requests hang with it",
        "Whoever comes late",
        "mend the connection",
        "a default does not serve: x",
        "leave the options away, or leave away",
    ],
)
def test_the_phrases_are_found(sentence: str) -> None:
    """The test finds what it is for."""
    assert FORBIDDEN.search(sentence)


@pytest.mark.parametrize("sentence", ["the token is no longer valid", "recommended", "say: no", "the best"])
def test_good_english_is_let_through(sentence: str) -> None:
    """Words that contain a forbidden one, or the same word in another sense, are none."""
    assert not FORBIDDEN.search(sentence)


def _phrases(name: str) -> Iterator[tuple[int, str, str]]:
    texts = _texts_of_module(MODULES[name]) if name in MODULES else enumerate(_paragraphs(TEXTS[name]), 1)
    for line, text in texts:
        flat = " ".join(text.split())
        for found in FORBIDDEN.finditer(flat):
            yield line, found[0], flat[max(0, found.start() - 40) : found.end() + 40]


def _paragraphs(path: Path) -> list[str]:
    return re.split(r"\n\s*\n", path.read_text())


def _texts_of_module(path: Path) -> Iterator[tuple[int, str]]:
    """Yield every string of a module: docstrings, messages, hints, help texts, log lines."""
    inner = set[int]()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            inner.update(id(value) for value in node.values)
            yield node.lineno, "".join(str(getattr(value, "value", "{}")) for value in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner:
            yield node.lineno, node.value
