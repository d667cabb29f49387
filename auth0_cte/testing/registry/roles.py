"""Roles and permissions: what users may do at APIs (Auth0, "Role-Based Access Control")."""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Roles", "role_as_member"]


class Roles:
    """The roles of a tenant, and who has which, everywhere or within an organization. Safe among threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._permissions: dict[str, dict[str, frozenset[str]]] = {}
        self._assigned: dict[tuple[str, str | None], set[str]] = {}
        self._direct: dict[tuple[str, str], set[str]] = {}

    def add(self, name: str, permissions: Mapping[str, Iterable[str]]) -> None:
        """Register a role: the permissions that it grants, by the API's identifier."""
        with self._lock:
            self._permissions[name] = {api: frozenset(scopes) for api, scopes in permissions.items()}

    def exists(self, name: str) -> bool:
        """Tell whether there is a role of a name."""
        return name in self._permissions

    def copy(self) -> Roles:
        """Copy the roles, and who has which."""
        other = Roles()
        with self._lock:
            other._permissions = dict(self._permissions)
            other._assigned = {key: set(names) for key, names in self._assigned.items()}
            other._direct = {key: set(scopes) for key, scopes in self._direct.items()}
        return other

    def assign(self, user_id: str, names: Iterable[str], organization_id: str | None) -> None:
        """Give a user roles.

        Raises:
            KeyError: A role does not exist.
        """
        with self._lock:
            for name in names:
                self._assigned.setdefault((user_id, organization_id), set()).add(
                    name if name in self._permissions else _missing(name)
                )

    def assign_permissions(self, user_id: str, api: str, scopes: Iterable[str]) -> None:
        """Give a user permissions without a role."""
        with self._lock:
            self._direct.setdefault((user_id, api), set()).update(scopes)

    def names(self, user_id: str, organization_id: str | None, by_groups: Iterable[str] = ()) -> list[str]:
        """Return the roles of a user; within an organization, those of the membership alone.

        Args:
            user_id: The user.
            organization_id: The organization, or None.
            by_groups: The roles that the user has by groups.
        """
        with self._lock:
            return sorted(self._assigned.get((user_id, organization_id), set()).union(by_groups))

    def permissions(
        self, user_id: str, api: str, organization_id: str | None, by_groups: Iterable[str] = ()
    ) -> tuple[str, ...]:
        """Return what a user may do at an API.

        Within an organization, the roles of the membership count besides what the user has everywhere.

        Args:
            user_id: The user.
            api: The identifier of the API.
            organization_id: The organization, or None.
            by_groups: The roles that the user has by groups.
        """
        with self._lock:
            assigned = (self._assigned.get((user_id, place), set()) for place in (None, organization_id))
            roles = set(by_groups).union(*assigned)
            granted = {scope for role in roles for scope in self._permissions[role].get(api, ())}
            return tuple(sorted(granted | self._direct.get((user_id, api), set())))


def role_as_member(name: str) -> dict[str, str]:
    """Return a role as Actions see it; its identifier follows from the name here."""
    return {"id": f"rol_{hashlib.sha256(name.encode()).hexdigest()[:16]}", "name": name}


def _missing(name: str) -> str:
    raise KeyError(name)
