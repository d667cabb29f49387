"""The directive ``invisible-code-block``: what the tests run beside the examples and readers do not see."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docutils.parsers.rst import Directive

if TYPE_CHECKING:
    from docutils.nodes import Node
    from sphinx.application import Sphinx


class Invisible(Directive):
    """Show nothing."""

    has_content = True
    required_arguments = 1

    def run(self) -> list[Node]:
        """Return nothing to show."""
        return []


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("invisible-code-block", Invisible)
    return {"parallel_read_safe": True}
