"""The commands of the command line, as their own ``--help`` shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docutils.nodes import Node
    from sphinx.application import Sphinx

COLUMNS = 80


class CommandLine(SphinxDirective):
    """Write a section for each command, with its help."""

    def run(self) -> list[Node]:
        """Return the sections."""
        from auth0_cte.cli.commands import cli

        lines = StringList()
        for path, text in _helps(cli, click.Context(cli, info_name="auth0-cte", terminal_width=COLUMNS)):
            title = path.removeprefix("auth0-cte ")
            block = [title, "-" * len(title), "", ".. code-block:: text", "", *(f"   {line}" for line in text), ""]
            for line in block:
                lines.append(line, "command-line")
        container = nodes.section()
        container.document = self.state.document
        self.state.nested_parse(lines, self.content_offset, container, match_titles=True)
        return container.children


def _helps(command: click.Command, context: click.Context) -> Iterator[tuple[str, list[str]]]:
    yield context.command_path, command.get_help(context).splitlines()
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None:
                yield from _helps(found, click.Context(found, info_name=name, parent=context, terminal_width=COLUMNS))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("command-line", CommandLine)
    return {"parallel_read_safe": True}
