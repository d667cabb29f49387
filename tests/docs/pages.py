"""The pages of the documentation, and the examples on them."""

from __future__ import annotations

from pathlib import Path

from sybil import Document, Sybil
from sybil.parsers.rest import PythonCodeBlockParser

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.rst"

PAGES = {str(path.relative_to(ROOT)): path for path in [README, *sorted(DOCS.rglob("*.rst"))]}


def parsed(path: Path) -> Document:
    """Find the Python examples of a page, visible and invisible."""
    return Sybil(parsers=[PythonCodeBlockParser()]).parse(path)
