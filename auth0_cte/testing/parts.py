"""An object that is made of parts, and has some of their methods as its own."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HasParts", "part_method"]

P = ParamSpec("P")
R = TypeVar("R")
Part = TypeVar("Part")


class HasParts(Protocol):
    """Something made of parts."""

    def part(self, kind: type[Part], /) -> Part:
        """Return the part of a class."""
        ...


def part_method(kind: type[Part], method: Callable[Concatenate[Part, P], R]) -> Callable[Concatenate[HasParts, P], R]:
    """Make a method of a part the method of the whole: same arguments, same docstring."""

    @wraps(method)
    def call(self: HasParts, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return method(self.part(kind), *args, **kwargs)

    return call
