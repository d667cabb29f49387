"""``auth0-cte tenant``: a local tenant for programs in other processes."""

from __future__ import annotations

from typing import Final

import click

from auth0_cte.cli.commands import LazyGroup

__all__ = ["command"]

_SUMMARIES: Final = {"serve": "Serve a local tenant until Ctrl-C, and show what arrives."}


@click.group("tenant", cls=LazyGroup, home="auth0_cte.cli.tenant", summaries=_SUMMARIES)
def command() -> None:
    """Run a local tenant for programs in other processes."""
