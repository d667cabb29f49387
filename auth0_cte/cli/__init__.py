"""The ``auth0-cte`` command. It needs the extra ``cli``."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command; without the extra ``cli``, say how to get it and end with status 2."""
    try:
        from auth0_cte.cli.commands import cli
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "click":
            raise
        sys.stderr.write(f"auth0-cte needs {error.name}: python -m pip install 'auth0-cte[cli]'\n")
        sys.exit(2)
    cli(prog_name="auth0-cte")
