"""Pictures of commands at a terminal, each made by running the command when the documentation is built."""

from __future__ import annotations

import fcntl
import html
import os
import pty
import re
import select
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from docutils import nodes
from docutils.parsers.rst import directives
from rich.console import Console
from rich.containers import Lines
from rich.text import Text
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from docutils.nodes import Node
    from sphinx.application import Sphinx

COLUMNS = 80
ROWS = 60
SECONDS = 60
FILES = Path(__file__).parents[1] / "terminal"
"""What the commands read; each picture has a copy of its own."""


class Terminal(SphinxDirective):
    """Run commands in a terminal of 80 columns, and show what is seen there.

    The content is a command a line, each of which must end with ``:status:`` (0 when left out). ``:alt:`` says in words
    what is to be seen. ``:files:`` are files beside the page that the commands read. ``:before:`` is a program of the
    directory ``terminal`` that runs first, unseen, and writes more of them. ``:rows:`` is how many rows are shown of a
    longer output.
    """

    has_content = True
    option_spec = {  # noqa: RUF012
        "alt": directives.unchanged_required,
        "before": directives.unchanged_required,
        "files": directives.unchanged_required,
        "rows": directives.positive_int,
        "status": directives.nonnegative_int,
    }

    def run(self) -> list[Node]:
        """Return the picture."""
        if "alt" not in self.options:
            raise self.error("a picture of a terminal requires :alt:")
        screen = Text()
        with tempfile.TemporaryDirectory() as directory:
            self._prepare(directory)
            for line in self.content:
                screen.append_text(Text(f"$ {line}\n", "bold")).append_text(
                    Text.from_ansi(self._output(line, directory))
                )
                screen.append("\n")
        screen.rstrip()
        drawn = picture(screen, self.options["alt"], self.options.get("rows"))
        return [nodes.raw("", drawn, format="html")]

    def _prepare(self, directory: str) -> None:
        shutil.copytree(FILES, directory, dirs_exist_ok=True)
        for name in self.options.get("files", "").split():
            relative, absolute = self.env.relfn2path(name)
            self.env.note_dependency(relative)
            shutil.copy(absolute, directory)
        if "before" in self.options:
            self._succeed(self.options["before"], [sys.executable, self.options["before"]], directory, 0)

    def _output(self, line: str, directory: str) -> str:
        arguments = shlex.split(line)
        if arguments[:1] != ["auth0-cte"]:
            raise self.error(f"{line!r} must be a command of auth0-cte")
        command = [sys.executable, "-m", "auth0_cte", *arguments[1:]]
        return self._succeed(line, command, directory, self.options.get("status", 0))

    def _succeed(self, line: str, command: list[str], directory: str, expected: int) -> str:
        try:
            status, output = run(command, directory)
        except (subprocess.TimeoutExpired, OSError) as error:
            raise self.error(f"{line!r} failed: {error}") from error
        if status != expected:
            raise self.error(f"{line!r} ended with status {status}: {output}")
        return output


def run(command: list[str], directory: str) -> tuple[int, str]:
    """Run a command in a terminal of its own, and return its exit status and what it wrote there.

    Args:
        command: The command.
        directory: Where it runs.

    Raises:
        subprocess.TimeoutExpired: It took longer than a minute.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AUTH0_") and name != "NO_COLOR"}
    env = {
        **kept,
        "TERM": "xterm-256color",
        "COLUMNS": str(COLUMNS),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    process = subprocess.Popen(  # noqa: S603 - the documentation's own commands
        command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=directory, env=env, start_new_session=True
    )
    os.close(theirs)
    try:
        written = _read(ours)
        status = process.wait(SECONDS)
    finally:
        os.close(ours)
        if process.poll() is None:
            process.kill()
            process.wait()
    return status, _last_seen(written.replace("\r\n", "\n"))


def _read(terminal: int) -> str:
    chunks: list[bytes] = []
    while select.select([terminal], [], [], SECONDS)[0]:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:  # how Linux says that the other end was closed
            break
        if not chunk:
            break
        chunks.append(chunk)
    return b"".join(chunks).decode(errors="replace")


def _last_seen(written: str) -> str:
    """Return what remains of an output whose progress bars erase themselves."""
    remaining = re.sub(r"[^\n]*\n(?:\x1b\[1A\x1b\[2K)", "", written)
    remaining = re.sub(r"[^\n]*(?:\r|\x1b\[2K)", "", remaining)
    return re.sub(r"\x1b\[[?0-9;]*[A-Zhl]", "", remaining)


def picture(screen: Text, alt: str, rows: int | None = None) -> str:
    """Draw a screen as SVG, which loads nothing from elsewhere.

    Args:
        screen: What is on it.
        alt: The same in words.
        rows: How many rows are shown; all when left out.
    """
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True, color_system="truecolor")
    lines = screen.wrap(console, COLUMNS)
    if rows is not None and len(lines) > rows:
        lines = Lines([*lines[:rows], Text("...", "dim")])
    # The row below keeps the last one's descenders from being cut off.
    console.print(Text("\n").join(lines), soft_wrap=True, end="\n\n")
    drawn = console.export_svg(title="")
    drawn = re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL)  # from a CDN
    drawn = re.sub(r"<!--.*?-->", "", drawn, flags=re.DOTALL)
    label = html.escape(alt, quote=True)
    return f'<div class="terminal">{drawn.replace("<svg", f"""<svg role="img" aria-label="{label}" """, 1)}</div>'


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("terminal", Terminal)
    return {"parallel_read_safe": True}
