"""What commands print: data to stdout, talk to stderr; rich at a terminal, plain text elsewhere, JSON on request."""

from __future__ import annotations

import json
import os
import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from auth0_cte.cli.shared.words import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from auth0_cte.error import Auth0CTEError

__all__ = ["AS_JSON", "Output", "json_option"]

AS_JSON: Final = "auth0_cte.as_json"
"""Where a context keeps whether ``--json`` was given, for what reports failures."""


def json_option(command: Any) -> Any:
    """Add ``--json`` to a command; its parameter is ``as_json``."""

    def remember(context: click.Context, _parameter: click.Parameter, value: bool) -> bool:
        context.meta[AS_JSON] = value
        return value

    return click.option(
        "--json", "as_json", is_flag=True, is_eager=True, callback=remember, help="Print JSON to stdout."
    )(command)


class Output:
    """Where a command prints.

    Args:
        as_json: Whether stdout is for a program: then only `data` prints there.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json

    @cached_property
    def _out(self) -> Console:
        return Console(file=sys.stdout, highlight=False)

    @cached_property
    def _err(self) -> Console:
        return Console(file=sys.stderr, highlight=False)

    @property
    def is_rich(self) -> bool:
        """Whether stdout is a terminal that may be written to in colours and boxes."""
        return _is_rich(self._out)

    @property
    def talks_richly(self) -> bool:
        """Whether stderr is."""
        return _is_rich(self._err)

    @property
    def talk_console(self) -> Console:
        """The console of stderr, for progress bars."""
        return self._err

    def data(self, value: Any) -> None:
        """Print a value as JSON, whatever was asked for."""
        click.echo(json.dumps(value, indent=2, default=str))

    def raw(self, text: str) -> None:
        """Print text as it is."""
        click.echo(text)

    def line(self, text: str = "", style: str = "") -> None:
        """Print a line of data."""
        self._print(self._out, text, style, rich=self.is_rich)

    def say(self, text: str, style: str = "") -> None:
        """Print a line of talk."""
        self._print(self._err, text, style, rich=self.talks_richly)

    def warn(self, text: str) -> None:
        """Print a warning."""
        self.say(f"warning: {text}", "yellow")

    def title(self, text: str) -> None:
        """Print the heading of what follows."""
        self.line()
        self.line(text, "bold")

    def pairs(self, title: str, rows: Iterable[tuple[str, str]]) -> None:
        """Print names and values under a heading."""
        self.title(title)
        if not self.is_rich:
            for name, value in rows:
                self.line(f"  {name}: {value}")
            return
        table = Table(show_header=False, box=None, padding=(0, 2, 0, 2))
        table.add_column(style="cyan", max_width=24, overflow="fold")
        table.add_column(overflow="fold")
        for name, value in rows:
            table.add_row(escape(printable(name)), Text(printable(value)))
        self._out.print(table)

    def table(self, title: str, header: Sequence[str], rows: Iterable[Sequence[str | Sequence[str]]]) -> None:
        """Print rows of several columns under a heading; a cell is a text, or a sequence of lines."""
        if title:
            self.title(title)
        if not self.is_rich:
            for row in rows:
                self.line("  " + "  ".join(cell if isinstance(cell, str) else " ".join(cell) for cell in row))
            return
        table = Table(*header, box=None, padding=(0, 2, 0, 2), header_style="dim")
        for column in table.columns:
            column.overflow = "fold"
        for row in rows:
            table.add_row(*(_cell(cell) for cell in row))
        self._out.print(table)

    def chain(self, title: str, levels: Sequence[str]) -> None:
        """Print a chain as a tree, each level below the one before."""
        self.title(title)
        if not self.is_rich:
            for depth, text in enumerate(levels):
                self.line("  " + ("   " * (depth - 1) + "└─ " if depth else "") + text)
            return
        first, *others = (Text(printable(text)) for text in levels)
        tree = branch = Tree(first)
        for each in others:
            branch = branch.add(each)
        self._out.print(tree)

    def failure(self, error: Auth0CTEError, status: int) -> None:
        """Tell a failure: for people on stderr, and with ``--json`` for programs on stdout."""
        self.say(f"error: {error.code}: {error.message}", "red")
        if error.hint:
            self.say(f"hint: {error.hint}")
        if self.as_json:
            told = {"code": error.code, "message": error.message, "hint": error.hint}
            for name in ("status_code", "request_id", "retry_after", "is_retryable", "may_have_reached_server"):
                if hasattr(error, name):
                    told[name] = getattr(error, name)
            self.data({"error": told, "exit_code": status})

    def _print(self, console: Console, text: str, style: str, *, rich: bool) -> None:
        plain = printable(text)
        if rich:
            console.print(Text(plain, style=style), soft_wrap=True)
        else:
            click.echo(plain, file=console.file)


def _cell(content: str | Sequence[str]) -> Text:
    lines = [content] if isinstance(content, str) else content
    return Text("\n".join(map(printable, lines)))


def _is_rich(console: Console) -> bool:
    return console.is_terminal and not console.is_dumb_terminal and not os.environ.get("NO_COLOR")
