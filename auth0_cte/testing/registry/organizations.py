"""Auth0 organizations."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from auth0_cte.testing.wire.messages import RefusalError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Organization", "Organizations"]


@frozen(kw_only=True)
class Organization:
    """An organization.

    Args:
        id: ``org_…``.
        name: Its name, in lower case as Auth0 keeps it.
        display_name: Its name for people.
        members: The user ids that belong to it; None when every user does.
        metadata: What the Action sees as ``event.organization.metadata``.
    """

    id: str
    name: str
    display_name: str
    members: frozenset[str] | None = None
    metadata: Mapping[str, str] = field(factory=dict)

    def has_member(self, user_id: str) -> bool:
        """Tell whether a user belongs to it."""
        return self.members is None or user_id in self.members

    def as_event(self) -> dict[str, Any]:
        """Return the organization as Actions see it."""
        return {"id": self.id, "name": self.name, "display_name": self.display_name, "metadata": self.metadata}


class Organizations:
    """The organizations of a tenant, found by id or by name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._organizations: dict[str, Organization] = {}

    def add(self, organization: Organization) -> None:
        """Register an organization; one with the same id is replaced."""
        with self._lock:
            self._organizations[organization.id] = organization

    def copy(self) -> Organizations:
        """Copy the organizations."""
        other = Organizations()
        with self._lock:
            other._organizations = dict(self._organizations)
        return other

    def find(self, id_or_name: str) -> Organization:
        """Return an organization.

        Raises:
            RefusalError: There is none of that id or name.
        """
        with self._lock:
            known = list(self._organizations.values())
        for organization in known:
            if id_or_name in (organization.id, organization.name):
                return organization
        detail = f"the organization {id_or_name!r} does not exist"
        raise RefusalError(400, "invalid_request", "Invalid organization.", detail=detail)
