"""``auth0-cte inspect``: a token or a session cookie, taken apart."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Final

import click
from attrs import asdict

from auth0_cte.cli.inspection.cookie import inspect_cookies, read_cookies
from auth0_cte.cli.inspection.jwt import inspect_jwt
from auth0_cte.cli.shared.claims import claim_rows
from auth0_cte.cli.shared.env_file import env_file_option
from auth0_cte.cli.shared.failures import ExitCode
from auth0_cte.cli.shared.output import Output, json_option
from auth0_cte.cli.shared.tokens import TokenSource, read_text
from auth0_cte.jose import JoseError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auth0_cte.cli.inspection.cookie import CookieReport
    from auth0_cte.cli.inspection.jwt import TokenReport

__all__ = ["command"]

EXAMPLES: Final = """\b
Examples:
  auth0-cte inspect token.txt
  auth0-cte inspect --env-file app.env < token.txt
  pbpaste | auth0-cte inspect --cookie --env-file app.env
"""


@click.command("inspect", epilog=EXAMPLES)
@click.argument("file", required=False, type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--token-env", metavar="NAME", help="Read it from the environment variable NAME.")
@click.option("--cookie", is_flag=True, help="It is a Cookie header or a session cookie; found out if left out.")
@click.option("--cookie-name", default="_a0_session", show_default=True, metavar="NAME", help="Without its number.")
@click.option("--issuer", envvar="AUTH0_DOMAIN", metavar="DOMAIN", help="Who should have issued it. [AUTH0_DOMAIN]")
@click.option("--client-id", envvar="AUTH0_CLIENT_ID", metavar="ID", help="Whom it should be for. [AUTH0_CLIENT_ID]")
@click.option("--offline", is_flag=True, help="Fetch no keys.")
@json_option
@env_file_option
def command(file: str | None, token_env: str | None, as_json: bool, **given: Any) -> None:
    """Show what a token or a session cookie holds, and whether it is good.

    A JSON Web Token is verified with the keys of its issuer, and everything
    that this library would refuse is told. A session cookie, in however many
    chunks, is unsealed with AUTH0_SECRET, and its parts are measured; tokens
    in it are not shown. A token that is not valid ends with status 3.
    """
    out = Output(as_json=as_json)
    text = _read(out, file, token_env)
    is_cookie = given["cookie"] or text.count(".") == 4 or f"{given['cookie_name']}_0" in text
    status = _cookie(out, text, given["cookie_name"]) if is_cookie else _token(out, text, given)
    if status:
        click.get_current_context().exit(status)


def _read(out: Output, file: str | None, variable: str | None) -> str:
    if file is not None and variable is not None:
        raise click.UsageError("use one of FILE and --token-env")
    if file is not None:
        return read_text(file, "FILE")
    return TokenSource(option="token", variable=variable).read_or_ask(out, "AUTH0_TOKEN", "Token")


def _token(out: Output, token: str, given: Mapping[str, Any]) -> ExitCode:
    try:
        report = inspect_jwt(
            token.strip(),
            client_id=given["client_id"] or None,
            client_secret=os.environ.get("AUTH0_CLIENT_SECRET") or None,
            domain=given["issuer"] or None,
            offline=given["offline"],
        )
    except (JoseError, ValueError) as error:
        message = f"not a JSON Web Token ({error}): an opaque token, which only its issuer can read?"
        out.say(message, "red")
        if out.as_json:
            out.data({"kind": "opaque", "fault": message})
        return ExitCode.REJECTED
    if out.as_json:
        out.data({**asdict(report, recurse=True), "header": dict(report.header), "claims": dict(report.claims)})
    else:
        _show_token(out, report)
    return ExitCode.REJECTED if report.is_refused else ExitCode.OK


def _show_token(out: Output, report: TokenReport) -> None:
    now = time.time()
    out.pairs("Header", claim_rows(report.header, now))
    out.pairs("Claims", claim_rows(report.claims, now))
    signature = f"{report.signature.status}: {report.signature.detail}"
    out.pairs("Verdict", [("looks like", f"an {report.kind}".replace("an l", "a l")), ("signature", signature)])
    for refusal in report.refusals:
        out.line(f"  refused: {refusal}", "red")
    if report.kind == "access token":
        out.line("  access tokens are for their API to verify, not for this library")
    elif not report.is_refused and report.signature.status == "verified":
        out.line("  accepted", "green")


def _cookie(out: Output, text: str, name: str) -> ExitCode:
    secret = os.environ.get("AUTH0_SECRET")
    if not secret:
        raise click.UsageError("a session cookie is unsealed with AUTH0_SECRET; set it, or use --env-file")
    report = inspect_cookies(read_cookies(text, name), name, [secret])
    if out.as_json:
        out.data(asdict(report))
    else:
        _show_cookie(out, report)
    return ExitCode.OK if report.fault is None else ExitCode.REJECTED


def _show_cookie(out: Output, report: CookieReport) -> None:
    if report.chunks:
        total = sum(report.chunks.values())
        rows = [(name, f"{size:,} bytes") for name, size in report.chunks.items()]
        out.pairs("Cookies", [*rows, ("together", f"{total:,} bytes")])
    if report.fault is not None or report.state is None:
        out.say(f"no session: {report.fault}", "red")
        return
    out.pairs("Sizes of the parts", [(name, f"{size:,} bytes") for name, size in report.parts.items()])
    now = time.time()
    for part in ("user", "internal"):
        members = report.state.get(part)
        if isinstance(members, dict):
            out.pairs(part.capitalize(), claim_rows(members, now))
    rest = {name: value for name, value in report.state.items() if name not in ("user", "internal", "token_sets")}
    out.pairs("Tokens", claim_rows(rest, now))
    for tokens in report.state.get("token_sets") or ():
        if isinstance(tokens, dict):
            out.pairs(f"Token set of {tokens.get('audience')}", claim_rows(tokens, now))
