"""The commands and their options."""

from __future__ import annotations

import click
from rich.console import Console

import auth0_cte

__all__ = ["cli"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(auth0_cte.__version__, prog_name="auth0-cte")
def cli() -> None:
    """Auth0 Custom Token Exchange (RFC 8693), tried and tested without an account."""


@cli.command()
def demo() -> None:
    """Exchange tokens with an embedded tenant over real HTTP on a loopback port.

    It needs no configuration, no network and no Auth0 account.
    """
    from auth0_cte.cli.demo import Demo

    Demo(Console(highlight=False)).run()
