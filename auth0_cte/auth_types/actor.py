"""The ``act`` claim as a value: who acts for the subject, and for whom that one acts (RFC 8693 section 4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MAX_ACTORS", "Actor", "chain_of"]

MAX_ACTORS: Final = 5
"""The most levels that Auth0 nests."""


@frozen(kw_only=True, eq=False)
class Actor(Mapping[str, Any]):
    """A verified ``act`` claim (RFC 8693 section 4.1): who acts for the subject, and for whom that one acts.

    It is the claim as a mapping, too: ``actor["sub"]``, ``dict(actor)``, ``actor == {"sub": "…"}``.

    Args:
        sub: The subject identifier of the acting party.
        claims: The whole claim as the token has it.
        act: The prior actor in the chain, or None.
    """

    sub: str
    claims: Mapping[str, Any] = field(repr=False)
    act: Actor | None = None

    @classmethod
    def from_claim(cls, claim: object) -> Actor | None:
        """Read the value of an ``act`` claim; None, for no claim, gives None.

        Raises:
            ValueError: A level is not an object or has no ``sub``, or there are more than Auth0's five levels.
        """
        levels: list[Mapping[str, Any]] = []
        while claim is not None:
            if not isinstance(claim, dict) or len(levels) == MAX_ACTORS:
                raise ValueError("must be a chain of at most five actors")
            if not isinstance(claim.get("sub"), str) or not claim["sub"].strip():
                raise ValueError("has a level without sub")
            levels.append(claim)
            claim = claim.get("act")
        actor: Actor | None = None
        for level in reversed(levels):
            actor = cls(sub=level["sub"], claims=level, act=actor)
        return actor

    def chain(self) -> list[Actor]:
        """Return this actor and those before it, down to the original one.

        Only the first may decide what is allowed; the others are for the record (RFC 8693 section 4.1).
        """
        return chain_of(self)

    def __getitem__(self, name: str) -> Any:
        return self.claims[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.claims)

    def __len__(self) -> int:
        return len(self.claims)

    def __hash__(self) -> int:
        return hash((self.sub, self.act))


def chain_of(actor: Actor | None) -> list[Actor]:
    """Return an actor and those before it; nobody for None."""
    chain = []
    while actor is not None:
        chain.append(actor)
        actor = actor.act
    return chain
