"""Users as seeds and the control API write them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auth0_cte.testing.registry.users import User
    from auth0_cte.testing.setup.apis import ApiSetup
    from auth0_cte.testing.setup.directory import DirectorySetup
    from auth0_cte.testing.state import TenantState

__all__ = ["People"]

_ELSEWHERE: Final = frozenset({"factors", "permissions", "roles", "user_id"})


class People:
    """Adds users with their roles, permissions and factors.

    Args:
        state: What the tenant holds.
        directory: Registers users and factors.
        apis: Assigns roles and permissions.
    """

    def __init__(self, state: TenantState, directory: DirectorySetup, apis: ApiSetup) -> None:
        self._state, self._directory, self._apis = state, directory, apis

    def add(self, entry: Mapping[str, Any]) -> User:
        """Add a user who matches the definition ``user`` of the schema.

        Raises:
            ValueError: A role does not exist.
        """
        user_id: str = entry["user_id"]
        for role in entry.get("roles", ()):
            if not self._state.roles.exists(role):
                raise ValueError(f"has a role that does not exist: {role}")
        user = self._directory.add_user(
            user_id, **{name: value for name, value in entry.items() if name not in _ELSEWHERE}
        )
        self._apis.assign_roles(user_id, entry.get("roles", ()))
        for api, scopes in entry.get("permissions", {}).items():
            self._apis.assign_permissions(user_id, api, scopes)
        for factor in entry.get("factors", ()):
            self._directory.enroll_factor(user_id, factor["kind"], name=factor.get("name", ""))
        return user
