"""``auth0-cte secret``: a secret that sessions are sealed with."""

from __future__ import annotations

import secrets
from typing import Final

import click

from auth0_cte.cli.shared.output import Output, json_option
from auth0_cte.foundation.validation import MIN_SECRET_BYTES

__all__ = ["command"]

EXAMPLES: Final = """\b
Example:
  auth0-cte secret --env >> .env
"""


@click.command("secret", epilog=EXAMPLES)
@click.option(
    "--bytes",
    "size",
    type=click.IntRange(MIN_SECRET_BYTES, 1024),
    default=MIN_SECRET_BYTES,
    show_default=True,
    help="Bytes of randomness.",
)
@click.option("--env", "as_setting", is_flag=True, help="Print AUTH0_SECRET=..., a line for an env file.")
@json_option
def command(size: int, as_setting: bool, as_json: bool) -> None:
    """Print a new secret for AUTH0_SECRET.

    Sessions are encrypted with it. It is hexadecimal text of random bytes from
    the operating system.
    """
    if as_setting and as_json:
        raise click.UsageError("use one of --env and --json")
    secret = secrets.token_hex(size)
    if as_json:
        Output(as_json=True).data({"AUTH0_SECRET": secret})
    else:
        Output().raw(f"AUTH0_SECRET={secret}" if as_setting else secret)
