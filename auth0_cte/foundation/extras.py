"""Packages that not every user has: what brings them is said where they are missing."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["extra"]


@contextmanager
def extra(name: str, what: str) -> Iterator[None]:
    """Name the extra to install when an import in this block fails.

    Args:
        name: The extra: ``pip install 'auth0-cte[NAME]'``.
        what: What needs it, for the message.

    Raises:
        ModuleNotFoundError: A package is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing == "auth0_cte":
            raise
        raise ModuleNotFoundError(
            f"{what} requires the package {missing!r}: python -m pip install 'auth0-cte[{name}]'", name=missing
        ) from error
