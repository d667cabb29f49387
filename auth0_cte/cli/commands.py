"""The group of all commands. Each is imported when it runs, so that ``--help`` and completion answer at once."""

from __future__ import annotations

import io
import sys
from contextlib import nullcontext
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import click

from auth0_cte._version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

__all__ = ["LazyGroup", "cli"]

INTERRUPTED: Final = 130
"""What shells tell of a command that Ctrl-C ended."""
USAGE: Final = 2


class LazyGroup(click.Group):
    """A group whose commands are modules: ``exchange`` is the attribute ``command`` of ``auth0_cte.cli.exchange``.

    What a command raises of this library's errors, and what files raise, ends here: told on stderr, with the exit
    status of its kind, without a traceback.

    Args:
        home: The package of the modules.
        summaries: A line for each command, for the list of the help, which imports none of them.
        **settings: As for `click.Group`.
    """

    def __init__(self, *, home: str, summaries: Mapping[str, str], **settings: Any) -> None:
        super().__init__(**settings)
        self._home, self._summaries = home, summaries

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of the commands."""
        return list(self._summaries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        if cmd_name not in self._summaries:
            return None
        try:
            command: click.Command = import_module(f"{self._home}.{cmd_name}").command
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            extra = _EXTRAS.get(missing, "cli")
            if missing == "auth0_cte":
                raise
            raise click.UsageError(f"{cmd_name} needs {missing}: python -m pip install 'auth0-cte[{extra}]'") from None
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of the commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._summaries.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command, and end with the status of what it raised."""
        from auth0_cte.error import Auth0CTEError

        try:
            with self._telling_log_lines(ctx):
                return super().invoke(ctx)
        except Auth0CTEError as error:
            from auth0_cte.cli.shared.failures import exit_code_of
            from auth0_cte.cli.shared.output import AS_JSON, Output

            status = exit_code_of(error)
            Output(as_json=bool(ctx.meta.get(AS_JSON))).failure(error, status)
            ctx.exit(status)
        except BrokenPipeError:
            raise  # click ends quietly when nobody reads on
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            click.echo(f"error: {place}{error.strerror or type(error).__name__}", err=True)
            ctx.exit(USAGE)
        except (KeyboardInterrupt, click.Abort):
            click.echo("\ninterrupted", err=True)
            ctx.exit(INTERRUPTED)

    def _telling_log_lines(self, ctx: click.Context) -> AbstractContextManager[None]:
        if ctx.parent is not None:
            return nullcontext()  # the outermost group does it
        from auth0_cte.cli.shared.log_lines import log_lines

        def tell(level: str, message: str) -> None:
            from auth0_cte.cli.shared.output import Output

            Output().say(f"{level}: {message}")

        return log_lines(tell)


_EXTRAS: Final = {"tree_sitter": "js", "tree_sitter_javascript": "js", "flask": "playground", "werkzeug": "playground"}
"""What brings a package that not every command needs."""
_SUMMARIES: Final = {
    "exchange": "Exchange a token, and show what came back.",
    "inspect": "Show what a token or a session cookie holds, and whether it is good.",
    "doctor": "Check the settings, the tenant and what sessions need.",
    "batch": "Exchange the tokens of a CSV or JSON Lines FILE.",
    "action": "Write, test and check the JavaScript Action of a profile.",
    "playground": "Serve a page to try exchanges, logins, errors and an Action on.",
    "tenant": "Run a local tenant for programs in other processes.",
    "secret": "Print a new secret for AUTH0_SECRET.",
    "demo": "See every kind of exchange and error, without an account.",
    "completion": "Print the script for completion in SHELL.",
}


@click.group(
    cls=LazyGroup,
    home="auth0_cte.cli",
    summaries=_SUMMARIES,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Settings come from AUTH0_* variables, --env-file or --local. Exit codes: 0 done, 2 usage, 3 token rejected,"
    " 4 configuration, 5 rate or attack limit, 6 network.",
)
@click.version_option(__version__, prog_name="auth0-cte")
def cli() -> None:
    """Auth0 Custom Token Exchange (RFC 8693): exchange, inspect, diagnose, migrate."""
    # Server text and claims may hold any character; a terminal that lacks one must not end the command.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
