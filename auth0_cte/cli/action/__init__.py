"""``auth0-cte action``: write, test and check the Action of a Custom Token Exchange profile."""

from __future__ import annotations

from typing import Final

import click

from auth0_cte.cli.commands import LazyGroup

__all__ = ["command"]

_SUMMARIES: Final = {
    "new": "Write an Action that validates a kind of subject token.",
    "test": "Run an Action's FILE in a local tenant, and show what happened.",
    "check": "Find what Auth0 would refuse in an Action's file.",
}


@click.group("action", cls=LazyGroup, home="auth0_cte.cli.action", summaries=_SUMMARIES)
def command() -> None:
    """Write, test and check the JavaScript Action of a profile."""
