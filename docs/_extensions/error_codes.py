"""The table of error codes, made of the package's code; a code without a text, and the reverse, is a warning."""

from __future__ import annotations

import ast
import re
import tomllib
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from docutils.nodes import Node
    from sphinx.application import Sphinx

logger = logging.getLogger(__name__)

TEXTS = Path(__file__).parents[1] / "reference" / "error-codes.toml"
_SPECIAL, _ESCAPED = re.compile(r"([\\*_`|])"), r"\\\1"  # hints are plain text
ROOMS_WITHOUT = ("testing", "cli", "examples")
"""The tenant's refusals are replies; the command line and the examples have no errors of their own."""


def codes() -> dict[str, set[str]]:
    """Find every code that the package gives an error, with the classes that carry it."""
    error, hints = import_module("auth0_cte.error"), import_module("auth0_cte.error_hints")
    found: dict[str, set[str]] = {code: set() for code in hints.HINTS}
    for name, code in vars(error.CustomTokenExchangeErrorCode).items():
        if name.isupper():
            found.setdefault(code, set())
    kinds: list[Any] = list(vars(error).values())
    for kind in kinds:
        # Bases are never raised themselves.
        if isinstance(kind, type) and issubclass(kind, error.Auth0CTEError) and kind.code != error.Auth0CTEError.code:
            found.setdefault(kind.code, set()).add(kind.__name__)
    for code, kind in _raised():
        found.setdefault(code, set()).update({kind} & set(vars(error)))
    return found


def _raised() -> Iterator[tuple[str, str]]:
    package, known = Path(import_module("auth0_cte").__file__ or "").parent, vars(import_module("auth0_cte.error"))
    for path in sorted(package.rglob("*.py")):
        if path.relative_to(package).parts[0] in ROOMS_WITHOUT:
            continue
        for call in ast.walk(ast.parse(path.read_text())):
            # Another class than an error's has codes of its own: an outcome of a batch.
            if isinstance(call, ast.Call) and (
                ast.unparse(call.func) in known or not ast.unparse(call.func)[0].isupper()
            ):
                for keyword in call.keywords:
                    yield from ((code, ast.unparse(call.func)) for code in _constants(keyword))


def _constants(keyword: ast.keyword) -> Iterator[str]:
    if keyword.arg == "code":
        for node in ast.walk(keyword.value):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def texts() -> dict[str, Any]:
    """Read the situations and meanings, with the headings between them."""
    return tomllib.loads(TEXTS.read_text())


def what_to_do(code: str, kinds: set[str]) -> str:
    """Ask an error of the code for its hint, as a program would."""
    error = import_module("auth0_cte.error")
    hint: str = import_module("auth0_cte.error_hints").HINTS.get(code, "")
    for kind in sorted(kinds):
        hint = hint or getattr(error, kind)("", code=code).hint
    return hint


class ErrorCodes(SphinxDirective):
    """Write a section for each heading, with a table of its codes."""

    def run(self) -> list[Node]:
        """Return the sections."""
        known, written = codes(), texts()
        described = {name for name, entry in written.items() if entry}
        for code in sorted(set(known) ^ described):
            fault = "has no text" if code in known else "does not occur in the package"
            logger.warning("error code %s %s in %s", code, fault, TEXTS.name, location=self.get_location())
        self.env.note_dependency(str(TEXTS))
        lines = StringList()
        for line in self._lines(known, written):
            lines.append(line, "error-codes")
        container = nodes.section()
        container.document = self.state.document
        self.state.nested_parse(lines, self.content_offset, container, match_titles=True)
        return container.children

    def _lines(self, known: Mapping[str, set[str]], written: Mapping[str, Any]) -> Iterator[str]:
        for name, entry in written.items():
            if not entry:  # a heading
                yield from ("", name, "-" * len(name), "")
                yield from (".. list-table::", "   :header-rows: 1", "   :widths: 34 66", "")
                yield from ("   * - code", "     - situation, meaning, what to do")
                continue
            kinds = known.get(name, set()) or {entry.get("class", "CustomTokenExchangeError")}
            classes = ", ".join(f"`{kind}`" for kind in sorted(kinds))
            yield f"   * - .. _{anchor(name)}:"
            yield ""
            yield f"       ``{name}``"
            yield ""
            yield f"       {classes}"
            yield f"     - {_code(entry['situation'])}"
            yield from ("", f"       *Meaning:* {_code(entry['meaning'])}", "")
            yield f"       *What to do:* {_SPECIAL.sub(_ESCAPED, what_to_do(name, kinds))}"


def _code(text: str) -> str:
    return text.replace("`", "``")


def anchor(code: str) -> str:
    """Return the anchor of a code on the page."""
    return f"error-{code.lower().replace('_', '-')}"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("error-codes", ErrorCodes)
    return {"parallel_read_safe": True}
