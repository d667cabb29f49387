"""``--secrets`` and ``--secret-env``: what Actions see as ``event.secrets``; never a value on the command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auth0_cte.cli.shared.env_file import parse

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["read_secrets", "secret_options"]


def secret_options(command: Any) -> Any:
    """Add the options to a command; its parameters are ``secrets`` and ``secret_env``."""
    command = click.option(
        "--secret-env", multiple=True, metavar="NAME", help="A secret from the environment variable NAME."
    )(command)
    return click.option(
        "--secrets",
        type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
        metavar="ENV_FILE",
        help="event.secrets, as NAME=value lines.",
    )(command)


def read_secrets(given: Mapping[str, Any]) -> dict[str, str]:
    """Return the secrets that the parameters of a command name.

    Raises:
        click.UsageError: The file is not text, or a variable does not exist.
    """
    secrets: dict[str, str] = {}
    if given["secrets"] is not None:
        try:
            secrets = parse(given["secrets"].read_text("utf-8-sig"))
        except UnicodeDecodeError:
            raise click.UsageError(f"{given['secrets']} must be UTF-8 text") from None
    for name in given["secret_env"]:
        if name not in os.environ:
            raise click.UsageError(f"--secret-env: the environment has no {name}")
        secrets[name] = os.environ[name]
    return secrets
