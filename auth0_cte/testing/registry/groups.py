"""Groups of users, as an identity provider pushes them (Auth0, "Configure Inbound SCIM")."""

from __future__ import annotations

import hashlib
import threading
from typing import Any

from attrs import frozen

__all__ = ["Group", "Groups"]


@frozen(kw_only=True)
class Group:
    """A group.

    Args:
        name: Its name.
        members: The user ids that belong to it.
        roles: The names of the roles that its members have by it.
    """

    name: str
    members: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()

    @property
    def id(self) -> str:
        """Its identifier, which follows from the name here."""
        return f"grp_{hashlib.sha256(self.name.encode()).hexdigest()[:16]}"

    def as_member(self) -> dict[str, Any]:
        """Return the group as Actions see it."""
        return {"id": self.id, "name": self.name}


class Groups:
    """The groups of a tenant. Safe among threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._groups: dict[str, Group] = {}

    def add(self, group: Group) -> None:
        """Register a group; one with the same name is replaced."""
        with self._lock:
            self._groups[group.name] = group

    def copy(self) -> Groups:
        """Copy the groups."""
        other = Groups()
        with self._lock:
            other._groups = dict(self._groups)
        return other

    def of(self, user_id: str) -> list[Group]:
        """Return the groups that a user belongs to, by name."""
        with self._lock:
            return sorted(
                (each for each in self._groups.values() if user_id in each.members), key=lambda each: each.name
            )

    def roles(self, user_id: str) -> set[str]:
        """Return the names of the roles that a user has by groups."""
        return {role for group in self.of(user_id) for role in group.roles}
