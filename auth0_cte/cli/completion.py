"""``auth0-cte completion``: commands and options completed by the shell."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import get_completion_class

__all__ = ["command"]

EXAMPLES: Final = """\b
Examples:
  auth0-cte completion bash >> ~/.bashrc
  auth0-cte completion zsh  > ~/.zfunc/_auth0-cte
  auth0-cte completion fish > ~/.config/fish/completions/auth0-cte.fish
"""


@click.command("completion", epilog=EXAMPLES)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the script for completion in SHELL."""
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"click has no completion for {shell}")
    click.echo(kind(context.find_root().command, {}, "auth0-cte", "_AUTH0_CTE_COMPLETE").source())
