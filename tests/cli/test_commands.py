from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import auth0_cte
from auth0_cte.cli.commands import cli
from tests.cli.users import program, run

HELP = Path(__file__).parent / "help"


def every_command(group: click.Group = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from every_command(command, (*path, name))
        else:
            yield (*path, name)


@pytest.mark.parametrize("path", list(every_command()), ids=lambda path: "-".join(path) or "auth0-cte")
def test_the_help(path: tuple[str, ...]) -> None:
    """Each command's help is what was reviewed, has an example, and is at most 80 columns wide.

    ``WRITE_SNAPSHOTS=1`` writes it anew, to be reviewed in the diff.
    """
    told = run(*path, "--help").stdout
    snapshot = HELP / f"{'-'.join(path) or 'auth0-cte'}.txt"
    if os.environ.get("WRITE_SNAPSHOTS"):
        HELP.mkdir(exist_ok=True)
        snapshot.write_text(told)
    assert snapshot.read_text() == told
    assert max(map(len, told.splitlines())) <= 80
    group = CliRunner().invoke(cli, [*path, "--help"]).stdout.count("Commands:")
    assert group or "Example" in told


def test_the_list_says_what_each_command_says_of_itself() -> None:
    """The summaries, which are kept apart so that no command is imported, are the commands' own first lines."""
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        assert f" {name} " in (listed := run("--help").stdout)
        assert (command.help or "").lstrip().partition("\n")[0] in " ".join(listed.split())


def test_the_help_imports_no_command() -> None:
    """--help is fast because neither the commands nor rich nor requests are imported for it."""
    code = (
        "import sys\nfrom auth0_cte.cli.commands import cli\ncli(['--help'], standalone_mode=False)\n"
        "print([n for n in sys.modules if n.split('.')[0] in ('rich', 'requests', 'jwcrypto', 'attrs')"
        " or n.startswith('auth0_cte.cli.')], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "['auth0_cte.cli.commands']" == done.stderr.strip()


def test_the_version_is_told() -> None:
    """--version prints the package's version."""
    assert auth0_cte.__version__ in run("--version").output


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_a_missing_extra_is_told(missing: str) -> None:
    """Without the extra the command says what to install, and ends with status 2."""
    code = f"import sys; sys.modules[{missing!r}] = None; from auth0_cte.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "demo"], capture_output=True, text=True, timeout=60, check=False)
    assert 2 == done.returncode
    assert "auth0-cte[cli]" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_command_ends_with_2() -> None:
    """A command that does not exist is wrong use."""
    assert 2 == run("exchagne").exit_code


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    """There is a script for each shell."""
    result = run("completion", shell)
    assert 0 == result.exit_code
    assert "_AUTH0_CTE_COMPLETE" in result.stdout


def test_commands_and_options_are_completed() -> None:
    """The shell's question for what begins with `exch`, and for options, is answered."""
    asked = {"_AUTH0_CTE_COMPLETE": "bash_complete", "COMP_CWORD": "1"}
    assert "plain,exchange\n" == program(COMP_WORDS="auth0-cte exch", **asked).stdout
    options = program(COMP_WORDS="auth0-cte exchange --subj", **(asked | {"COMP_CWORD": "2"})).stdout
    assert "plain,--subject-token-type\n" == options


def test_a_file_that_cannot_be_read_is_told() -> None:
    """What files raise is a message, not a traceback."""
    result = run("exchange", "-t", "urn:acme:x", "--env-file", "/nowhere/.env")
    assert 2 == result.exit_code
    assert "/nowhere/.env" in result.stderr
