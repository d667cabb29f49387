"""``auth0-cte action new``: write an Action."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from auth0_cte.cli.action.registration import dashboard_steps, management_calls, terraform
from auth0_cte.cli.action.templates import KINDS, Plan, render
from auth0_cte.cli.shared.output import Output, json_option
from auth0_cte.error import ConfigurationError
from auth0_cte.foundation.urls import Url
from auth0_cte.token_types import lint_token_type

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["command"]

EXAMPLES: Final = """\b
Kinds:
  jwt         a JWT of another issuer, verified with its JWKS
  hmac        a session that the legacy system signed with a shared secret
  introspect  an opaque token, checked by token introspection (RFC 7662)
  legacy-db   a session id, looked up in the legacy system over HTTP

\b
Examples:
  auth0-cte action new hmac -t urn:acme:legacy-session -o legacy.js
  auth0-cte action new jwt -t urn:acme:partner-token \\
      --issuer https://partner.example/ --audience https://acme.example
"""


@click.command("new", epilog=EXAMPLES)
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.option("-t", "--subject-token-type", "--type", required=True, metavar="URI", help="The type of the profile.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="Where to write it; KIND.js if left out, - for stdout.",
)
@click.option("--force", is_flag=True, help="Overwrite FILE.")
@click.option(
    "--user",
    type=click.Choice(["connection", "id"]),
    default="connection",
    show_default=True,
    help="Find or create the user in a connection (setUserByConnection), or use its Auth0 user id (setUserById).",
)
@click.option("--connection", default="legacy", show_default=True, metavar="NAME", help="The users' connection.")
@click.option("--delegation", is_flag=True, help="Require an actor, and put it into the tokens.")
@click.option("--issuer", metavar="URL", help="jwt, introspect: who issues the tokens.")
@click.option("--jwks-url", metavar="URL", help="jwt: the issuer's keys; /.well-known/jwks.json if left out.")
@click.option("--audience", metavar="TEXT", help="jwt, introspect: whom the tokens are for.")
@click.option("--url", metavar="URL", help="introspect, legacy-db: where to ask.")
@json_option
def command(kind: Any, as_json: bool, force: bool, output: str | None, **given: Any) -> None:
    """Write an Action that validates a kind of subject token.

    The file checks everything about the token, runs in the local tenant as it
    is, and is registered by the steps that this command prints.
    """
    plan = _plan(kind, given)
    out, file = Output(as_json=as_json), output or f"{kind}.js"
    if file == "-":
        if as_json:
            raise click.UsageError("use one of --json and --output -")
        out.raw(render(plan).rstrip("\n"))
        return
    try:
        with Path(file).open("w" if force else "x", encoding="utf-8") as target:
            target.write(render(plan))
    except FileExistsError:
        raise click.UsageError(f"{file} exists; use --force to overwrite it") from None
    if as_json:
        steps = {"dashboard": dashboard_steps(plan, file), "management_api": management_calls(plan, file)}
        out.data({"file": file, **steps, "terraform": terraform(plan, file)})
    else:
        _show(out, plan, file)


def _plan(kind: Any, given: Mapping[str, Any]) -> Plan:
    for name in ("issuer", "jwks_url", "url"):
        if given[name] is not None and not _is_safe(given[name]):
            raise click.UsageError(f"--{name.replace('_', '-')} must be an https URL (http on loopback alone)")
    token_type: str = given["subject_token_type"]
    if not token_type.isprintable() or not token_type.isascii() or "*/" in token_type:
        raise ConfigurationError("subject_token_type must be a printable ASCII URI")
    fault = lint_token_type(token_type)
    if fault is not None:
        raise ConfigurationError(f"subject_token_type {fault}")
    named = {name: given[name] for name in ("issuer", "jwks_url", "audience", "url") if given[name] is not None}
    return Plan(
        kind=kind,
        token_type=token_type,
        by_connection=given["user"] == "connection",
        connection=given["connection"],
        delegation=given["delegation"],
        **named,
    )


def _is_safe(url: str) -> bool:
    try:
        return Url.parse(url).is_encrypted_or_local
    except ValueError:
        return False


def _show(out: Output, plan: Plan, file: str) -> None:
    out.say(f"written: {file}")
    out.title("Dashboard")
    for number, step in enumerate(dashboard_steps(plan, file), 1):
        out.line(f"  {number}. {step}")
    out.title("Management API, with the Auth0 CLI")
    for call in management_calls(plan, file):
        out.line(f"  {call}")
    out.title("Terraform")
    for line in terraform(plan, file).splitlines():
        out.line(f"  {line}")
    out.say("")
    out.say(f"next: auth0-cte action check {file} -t {plan.token_type}")
