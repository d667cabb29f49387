"""Files of settings: ``NAME=value`` lines as docker, direnv and dotenv read them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Final

import click

__all__ = ["env_file_option", "parse"]

_NAME: Final = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*")
_DOUBLE: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_SINGLE: Final = re.compile(r"'([^']*)'")
_REST: Final = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_BLANK: Final = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n|[ \t]+)*(?:#[^\n]*\Z)?")
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t"}


def parse(text: str) -> dict[str, str]:
    r"""Read settings.

    A value is what follows the ``=`` up to a `` #`` or the end of the line, or is quoted: ``'…'`` as it stands,
    ``"…"`` with ``\n``, ``\"`` and ``\\``; both may have several lines, as a PEM key does. Nothing is interpolated.

    Args:
        text: The file's text.

    Raises:
        ValueError: A line is something else; the message names it by number, never its text.
    """
    text = text.replace("\r\n", "\n")
    values: dict[str, str] = {}
    at = _skip(text, 0)
    while at < len(text):
        name = _NAME.match(text, at)
        if name is None:
            raise ValueError(f"line {_line(text, at)} must be NAME=value")
        values[name[1]], at = _value(text, name.end())
        at = _skip(text, at)
    return values


def _skip(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    return at if blank is None else blank.end()


def _value(text: str, at: int) -> tuple[str, int]:
    quote = text[at : at + 1]
    if quote not in ("'", '"') or not quote:
        end = text.find("\n", at)
        line = text[at:] if end < 0 else text[at:end]
        return re.split(r"(?:^|[ \t]+)#", line, maxsplit=1)[0].strip(), at + len(line)
    found = (_SINGLE if quote == "'" else _DOUBLE).match(text, at)
    if found is None:
        raise ValueError(f"the quote in line {_line(text, at)} is never closed")
    rest = _REST.match(text, found.end())
    if rest is None:
        raise ValueError(f"line {_line(text, found.end())} has text behind the closing quote")
    value = found[1] if quote == "'" else _ESCAPE.sub(lambda each: _ESCAPES.get(each[1], each[1]), found[1])
    return value, rest.end()


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def env_file_option(command: Any) -> Any:
    """Add ``--env-file`` to a command: its settings are in the environment while the command runs, and win there."""

    def load(context: click.Context, parameter: click.Parameter, path: str | None) -> None:
        if path is None or context.resilient_parsing:
            return
        try:
            values = parse(Path(path).read_text("utf-8-sig"))
        except ValueError as error:  # UnicodeDecodeError is one
            fault = "must be UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
            raise click.BadParameter(f"{path}: {fault}", context, parameter) from None
        before = {name: os.environ.get(name) for name in values}
        context.call_on_close(lambda: _restore(before))
        os.environ.update(values)

    # Eager, so that the other options find their values of the environment there.
    return click.option(
        "--env-file",
        type=click.Path(exists=True, dir_okay=False, readable=True),
        expose_value=False,
        is_eager=True,
        callback=load,
        metavar="FILE",
        help="Read AUTH0_* settings from FILE; they win over the environment.",
    )(command)


def _restore(before: dict[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
