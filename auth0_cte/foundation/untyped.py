"""What type checkers see in place of a class without types, which would make ours unknown to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["Untyped"]


class Untyped:
    """A class with whatever attributes are asked for; never a base class where the program runs."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...
