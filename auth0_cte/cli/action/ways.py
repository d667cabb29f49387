"""Ways through a function, as values: where each stands, and how a statement can be left."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from attrs import define, evolve, field, frozen

if TYPE_CHECKING:
    from tree_sitter import Node

__all__ = ["Flow", "State", "States", "Valued"]


@frozen
class State:
    """Where a way stands."""

    users: int = 0
    refused: bool = False
    trusted: bool = False
    known: frozenset[tuple[str, bool]] = frozenset()

    def knows(self, name: str) -> bool | None:
        """Return whether a variable is truthy, or None when that is not known."""
        return next((truth for known, truth in self.known if known == name), None)

    def learn(self, name: str, truth: bool | None) -> State:
        """Return the state with a variable that was assigned or looked at."""
        others = frozenset(pair for pair in self.known if pair[0] != name)
        return evolve(self, known=others if truth is None else others | {(name, truth)})


States: TypeAlias = frozenset[State]
Valued: TypeAlias = frozenset[tuple[State, bool | None]]


@define
class Flow:
    """How a statement can be left."""

    normal: States = frozenset()
    returns: list[tuple[State, bool | None, Node]] = field(factory=list)
    breaks: States = frozenset()
    continues: States = frozenset()
    throws: States = frozenset()

    def absorb(self, other: Flow) -> None:
        """Add the ways by which another flow leaves early."""
        self.returns += other.returns
        self.breaks |= other.breaks
        self.continues |= other.continues
        self.throws |= other.throws
