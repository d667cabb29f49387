"""``auth0-cte action check``: what Auth0 would refuse, found before it is deployed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from attrs import asdict

from auth0_cte.cli.action.rules import check_action, dependencies_of
from auth0_cte.cli.shared.failures import ExitCode
from auth0_cte.cli.shared.output import Output, json_option

if TYPE_CHECKING:
    from auth0_cte.cli.action.script import Finding

__all__ = ["command"]

EXAMPLES: Final = """\b
Example:
  auth0-cte action check legacy.js -t urn:acme:legacy-session
"""


@click.command("check", epilog=EXAMPLES)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path))
@click.option(
    "-t",
    "--subject-token-type",
    "--type",
    metavar="URI",
    help="The type of the profile; the one in the file's comment if left out.",
)
@json_option
@click.pass_context
def command(context: click.Context, file: Path, subject_token_type: str | None, as_json: bool) -> None:
    """Find what Auth0 would refuse in an Action's file.

    ES modules and TypeScript, a missing or plain handler, paths that set no
    user, broken limits of api calls, reserved token types, tokens in the log.
    The file is read, not run. Errors end with status 4.
    """
    out = Output(as_json=as_json)
    try:
        source = file.read_text("utf-8")
    except UnicodeDecodeError:
        raise click.UsageError(f"{file} must be UTF-8 text") from None
    findings = check_action(source, path=file, token_type=subject_token_type)
    errors = sum(finding.severity == "error" for finding in findings)
    if as_json:
        dependencies = dependencies_of(source)
        out.data({"file": str(file), "findings": [asdict(each) for each in findings], "dependencies": dependencies})
    else:
        _show(out, file, findings)
        for name in dependencies_of(source):
            out.say(f"note: {name} must be declared as a dependency of the Action at Auth0")
    if errors:
        context.exit(ExitCode.CONFIGURATION)


def _show(out: Output, file: Path, findings: list[Finding]) -> None:
    for finding in findings:
        colour = "red" if finding.severity == "error" else "yellow"
        out.line(f"{file}:{finding.line}: {finding.severity}: {finding.message}", colour)
        if finding.advice:
            out.line(f"    {finding.advice}")
    if not findings:
        out.line(f"{file}: nothing found that Auth0 would refuse", "green")
