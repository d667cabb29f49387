"""``auth0-cte action test``: run an Action's file as it is deployed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from auth0_cte.cli.action.trial import declared_type, try_action
from auth0_cte.cli.shared.action_secrets import read_secrets, secret_options
from auth0_cte.cli.shared.failures import ExitCode, exit_code_of
from auth0_cte.cli.shared.output import Output, json_option
from auth0_cte.cli.shared.parameters import parameters_option
from auth0_cte.cli.shared.tokens import TokenSource, token_options
from auth0_cte.error import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auth0_cte.cli.action.trial import Trial

__all__ = ["command"]

EXAMPLES: Final = """\b
Examples:
  auth0-cte action test legacy.js --token-file token.txt --secrets dev.env
  auth0-cte action test support.js --user 'auth0|ada' \\
      --user 'auth0|agent={"app_metadata": {"can_act_for_users": true}}' \\
      --actor 'auth0|agent' < token.txt
"""


@click.command("test", epilog=EXAMPLES)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path))
@token_options("token", "subject token")
@click.option(
    "-t",
    "--subject-token-type",
    "--type",
    metavar="URI",
    help="The type of the profile; the one in the file's comment if left out.",
)
@secret_options
@click.option("--user", multiple=True, metavar="ID[=JSON]", help="A user that exists; may be repeated.")
@click.option("--actor", metavar="ID", help="A user that acts: its ID token is the actor token.")
@click.option("--audience", metavar="API", help="The API that the access token is for.")
@click.option("--scope", multiple=True, default=["openid profile email"], show_default=True, help="Scopes.")
@parameters_option
@click.option(
    "--post-login",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
    metavar="FILE",
    help="A Post-Login Action that runs afterwards.",
)
@click.option("--strict", is_flag=True, help="Refuse reserved token types, as Auth0 does.")
@click.option("--time-limit", type=click.FloatRange(0.1, 600), default=20, show_default=True, help="Seconds.")
@json_option
def command(file: Path, as_json: bool, **given: Any) -> None:
    """Run an Action's FILE in a local tenant, and show what happened.

    The file runs in Node.js as it is deployed. Shown are the calls of api, what
    the Action printed, the reply and the tenant log. The token comes from
    --token-file, --token-env or stdin. A token that the Action does not accept
    ends with status 3, an Action that fails with 4.
    """
    out = Output(as_json=as_json)
    source = TokenSource(option="token", value=given["token"], file=given["token_file"], variable=given["token_env"])
    token_type = given["subject_token_type"] or declared_type(file.read_text("utf-8", "replace"))
    if token_type is None:
        raise click.UsageError("the file names no subject_token_type; give --subject-token-type")
    options = {
        "subject_token": source.read_or_ask(out, "AUTH0_SUBJECT_TOKEN", "Subject token"),
        "subject_token_type": token_type,
        "audience": given["audience"],
        "scope": " ".join(given["scope"]),
        "authorization_params": given["parameters"] or None,
    }
    users = dict(_user(text) for text in given["user"])
    if given["actor"] is not None:
        users.setdefault(given["actor"], {})
    try:
        trial = try_action(
            file,
            options,
            secrets=read_secrets(given),
            users=users,
            actor=given["actor"],
            post_login=given["post_login"],
            strict=given["strict"],
            time_limit=given["time_limit"],
        )
    except ConfigurationError:
        raise
    except (TypeError, ValueError) as error:
        raise click.UsageError(str(error)) from None
    status = _status(trial)
    if as_json:
        out.data(_told(trial, status))
    else:
        _show(out, trial)
    if status:
        click.get_current_context().exit(status)


def _user(text: str) -> tuple[str, Mapping[str, Any]]:
    user_id, _, attributes = text.partition("=")
    try:
        members = json.loads(attributes or "{}")
    except ValueError:
        members = None
    if not user_id or not isinstance(members, dict):
        raise click.UsageError("--user must be ID, or ID={...} with a JSON object")
    return user_id, members


def _status(trial: Trial) -> ExitCode:
    if trial.error is None:
        return ExitCode.OK
    return ExitCode.CONFIGURATION if trial.is_broken else exit_code_of(trial.error)


def _told(trial: Trial, status: int) -> dict[str, Any]:
    error, response, log = trial.error, trial.response, trial.log
    return {
        "trace": [
            {"call": call.name, "arguments": list(call.arguments), "result": call.result, "error": call.error}
            for call in trial.calls
        ],
        "console": trial.console,
        "traceback": trial.traceback or None,
        "claims": None if response is None or response.claims is None else dict(response.claims),
        "error": None
        if error is None
        else {"code": error.code, "message": error.message, "status_code": getattr(error, "status_code", None)},
        "log": None if log is None else {"type": log.type, "description": log.description, "user_id": log.user_id},
        "exit_code": int(status),
    }


def _show(out: Output, trial: Trial) -> None:
    out.title("Calls of api")
    for call, result in trial.trace():
        out.line(f"  {call}")
        if result:
            out.line(f"    -> {result}")
    if not trial.calls:
        out.line("  none")
    if trial.console:
        out.title("Printed")
        for line in trial.console.splitlines():
            out.line(f"  {line}")
    if trial.traceback:
        out.title("Failed at")
        for line in trial.traceback.splitlines():
            out.line(f"  {line}")
    _show_reply(out, trial)
    if trial.log is not None:
        rows = [("type", trial.log.type), ("description", trial.log.description)]
        rows += [("user", trial.log.user_id)] if trial.log.user_id else []
        out.pairs("Tenant log", rows)


def _show_reply(out: Output, trial: Trial) -> None:
    error, response = trial.error, trial.response
    if error is not None:
        status = getattr(error, "status_code", None)
        out.pairs("Reply", [("status", str(status or "not sent")), ("error", error.code), ("message", error.message)])
    elif response is not None:
        claims = {} if response.claims is None else response.claims
        rows = [(name, value if isinstance(value, str) else json.dumps(value)) for name, value in claims.items()]
        out.pairs("Reply", [("status", "200"), *rows])
