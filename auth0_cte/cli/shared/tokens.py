"""Tokens in: from a file, stdin, the environment or a prompt, and never silently from the command line."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from auth0_cte.cli.shared.output import Output

__all__ = ["TokenSource", "read_text", "token_options"]

MAX_BYTES: Final = 1024 * 1024
"""More than any token: a wrong file is told as such, not read to its end."""


def token_options(name: str, what: str) -> Callable[[Any], Any]:
    """Add ``--NAME``, ``--NAME-file`` and ``--NAME-env`` to a command.

    Args:
        name: The option: ``"token"`` or ``"actor-token"``.
        what: What the help calls it.
    """

    def add(command: Any) -> Any:
        variable = name.replace("-", "_")
        options = (
            click.option(
                f"--{name}-file",
                type=click.Path(dir_okay=False, allow_dash=True),
                metavar="FILE",
                help=f"Read the {what} from FILE; - is stdin.",
            ),
            click.option(f"--{name}-env", metavar="NAME", help=f"Read the {what} from the environment variable NAME."),
            click.option(
                f"--{name}",
                variable,
                metavar="TOKEN",
                help=f"The {what} itself: others can see it in the process list.",
            ),
        )
        for option in reversed(options):
            command = option(command)
        return command

    return add


@frozen(kw_only=True)
class TokenSource:
    """Where a token comes from, as the options said.

    Args:
        option: The option's name without dashes: ``"token"``.
        value: What ``--token`` gave, or None.
        file: What ``--token-file`` gave, or None.
        variable: What ``--token-env`` gave, or None.
    """

    option: str
    value: str | None = field(default=None, repr=False)
    file: str | None = None
    variable: str | None = None

    def read(self, out: Output) -> str | None:
        """Return the token, or None when no option named a source.

        Raises:
            click.UsageError: Several sources were named, or the one that was has no token.
        """
        if sum(each is not None for each in (self.value, self.file, self.variable)) > 1:
            raise click.UsageError(f"use one of --{self.option}-file, --{self.option}-env and --{self.option}")
        if self.value is not None:
            out.warn(
                f"--{self.option} shows the token in the process list and the shell's history;"
                f" use --{self.option}-file or stdin instead"
            )
            return self.value
        if self.variable is not None:
            return self._of_environment(self.variable)
        return None if self.file is None else read_text(self.file, f"--{self.option}-file")

    def _of_environment(self, variable: str) -> str:
        token = os.environ.get(variable)
        if not token:
            raise click.UsageError(f"--{self.option}-env: the environment has no {variable}")
        return token

    def read_or_ask(self, out: Output, default_variable: str, prompt: str) -> str:
        """Return the token; without an option from ``default_variable``, else stdin, else a hidden prompt.

        Raises:
            click.UsageError: There is none.
        """
        token = self.read(out) or os.environ.get(default_variable)
        if token is not None:
            return token
        if not sys.stdin.isatty():
            return read_text("-", "stdin")
        asked: str = click.prompt(prompt, hide_input=True, err=True)
        return asked


def read_text(path: str, what: str) -> str:
    """Read a small text file, or stdin for ``-``, without the line break at its end.

    Args:
        path: The file.
        what: What messages call it.

    Raises:
        click.UsageError: It is missing, empty, too large, or not UTF-8.
    """
    try:
        data = sys.stdin.buffer.read(MAX_BYTES + 1) if path == "-" else _read_file(path)
    except OSError as error:
        raise click.UsageError(f"{what}: {path}: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise click.UsageError(f"{what}: more than {MAX_BYTES} bytes cannot be one token")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise click.UsageError(f"{what}: the text is UTF-16 (PowerShell's > writes that); save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise click.UsageError(f"{what}: the text must be UTF-8") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise click.UsageError(f"{what} is empty; a token is required")
    return text


def _read_file(path: str) -> bytes:
    with Path(path).open("rb") as file:
        return file.read(MAX_BYTES + 1)
