"""``auth0-cte playground``: a page to try everything on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource
from werkzeug.serving import make_server

from auth0_cte.cli.pages.app import create_app
from auth0_cte.cli.pages.bench import ACTION_TYPE, LocalBench, RemoteBench
from auth0_cte.cli.shared.env_file import env_file_option, parse
from auth0_cte.cli.shared.output import Output, json_option
from auth0_cte.error import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["command"]

EXAMPLES: Final = """\b
Examples:
  auth0-cte playground
  auth0-cte playground --action legacy.js -t urn:acme:legacy --secrets dev.env
  auth0-cte playground --remote --env-file tenant.env
"""


@click.command("playground", epilog=EXAMPLES)
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0 for any free one.")
@click.option(
    "--action",
    type=click.Path(exists=True, dir_okay=False, readable=True, writable=True, path_type=Path),
    metavar="FILE",
    help="An Action of your own, which the page can edit.",
)
@click.option(
    "-t", "--subject-token-type", "--type", default=ACTION_TYPE, show_default=True, metavar="URI", help="Its type."
)
@click.option(
    "--secrets",
    type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
    metavar="ENV_FILE",
    help="Its event.secrets, as NAME=value lines.",
)
@click.option("--strict", is_flag=True, help="Refuse reserved token types, as Auth0 does.")
@click.option(
    "--remote", is_flag=True, help="Use the tenant of the AUTH0_* settings. Tokens that you exchange are spent there."
)
@json_option
@env_file_option
@click.pass_context
def command(context: click.Context, /, port: int, as_json: bool, **given: Any) -> None:
    """Serve a page to try exchanges, logins, errors and an Action on.

    It answers this machine alone, and runs over a local tenant: no account, no network.
    With --remote it runs over your own tenant. Ctrl-C ends it.
    """
    out = Output(as_json=as_json)
    bench = _remote(context) if given["remote"] else _local(context, given)
    server = make_server("127.0.0.1", port, create_app(bench), threaded=True)
    url = f"http://127.0.0.1:{server.server_port}/"
    if as_json:
        out.data({"url": url})
    else:
        out.line(url)
    out.say("the playground is there; Ctrl-C ends it")
    try:
        server.serve_forever()
    finally:
        server.server_close()
        bench.close()


def _remote(context: click.Context) -> RemoteBench:
    for name in ("action", "secrets", "strict", "subject_token_type"):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = name.replace("_", "-")
            raise click.UsageError(f"--{option} is for a local tenant, and cannot be used with --remote")
    return RemoteBench()


def _local(context: click.Context, given: Mapping[str, Any]) -> LocalBench:
    if context.get_parameter_source("env_file") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--env-file requires --remote")
    try:
        return LocalBench(
            action=given["action"],
            action_type=given["subject_token_type"],
            secrets=_secrets(given),
            strict=given["strict"],
        )
    except ConfigurationError:
        raise
    except (TypeError, ValueError) as error:
        raise click.UsageError(str(error)) from None


def _secrets(given: Mapping[str, Any]) -> dict[str, str]:
    if given["secrets"] is None:
        return {}
    return parse(given["secrets"].read_text("utf-8-sig"))
