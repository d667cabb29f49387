"""Every line that the package logs, found in its code."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docutils.nodes import Node
    from sphinx.application import Sphinx

LEVELS = ("error", "exception", "warning", "info", "debug")


def log_lines() -> list[tuple[str, str, str]]:
    """Return level, module and format of each line, the gravest first."""
    return sorted(_found(), key=lambda line: (LEVELS.index(line[0]), line[1]))


def _found() -> Iterator[tuple[str, str, str]]:
    package = Path(import_module("auth0_cte").__file__ or "").parent
    for path in sorted(package.rglob("*.py")):
        module = ".".join(path.relative_to(package).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
                is_logger = isinstance(node.func.value, ast.Name) and node.func.value.id == "logger"
                if is_logger and isinstance(node.args[0], ast.Constant):
                    yield node.func.attr, module, str(node.args[0].value)


class LogLines(SphinxDirective):
    """Write a table of the lines."""

    def run(self) -> list[Node]:
        """Return the table."""
        lines = StringList()
        for line in self._lines():
            lines.append(line, "log-lines")
        container = nodes.Element()
        self.state.nested_parse(lines, self.content_offset, container)
        return container.children

    @staticmethod
    def _lines() -> Iterator[str]:
        yield from (".. list-table::", "   :header-rows: 1", "   :widths: 34 66", "")
        yield from ("   * - level, module", "     - line")
        for level, module, text in log_lines():
            yield from (f"   * - ``{level.upper()}``", "", f"       ``{module}``", f"     - ``{text}``")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("log-lines", LogLines)
    return {"parallel_read_safe": True}
