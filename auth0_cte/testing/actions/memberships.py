"""``api.groups`` and ``api.roles``: what a Post-Login Action can ask about the user.

Source: Auth0, "Actions Triggers: post-login - API Object". The shape of what the groups' methods return is not
documented; ``groups``, ``next`` and ``isMember`` are assumptions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from auth0_cte.testing.actions.limits import ActionLimitError
from auth0_cte.testing.actions.records import Answer, CamelCase, record, snake_case

__all__ = ["GroupsApi", "RolesApi"]

MAX_PAGE: Final = 100
MAX_IDS: Final = 100
MAX_NAMES: Final = 50
_PAGE: Final = 50


class GroupsApi(CamelCase):
    """``api.groups``. The answers are promises in JavaScript, and can be awaited in Python.

    Args:
        groups: The user's groups, with ``id`` and ``name``.
    """

    def __init__(self, groups: Sequence[Mapping[str, Any]]) -> None:
        self._groups = groups

    def get_user_groups(self, params: Mapping[str, Any] | None = None, **more: Any) -> Answer:
        """Return a page of the user's groups.

        Args:
            params: ``take``, 1 to 100 of them, 50 when missing; ``from``, the ``next`` of the page before.
            **more: The same as keyword arguments.
        """
        return _page("groups", self._groups, params, more)

    def has_group_membership(self, groups: object = None) -> Answer:
        """Tell whether the user belongs to one of these groups, and to which.

        Args:
            groups: Their ids or names.
        """
        wanted = _texts("groups", groups, MAX_IDS)
        found = [each for each in self._groups if each["id"] in wanted or each["name"] in wanted]
        return Answer(isMember=bool(found), groups=record(found))


class RolesApi(CamelCase):
    """``api.roles``: those that the user has directly or by a group; within an organization, those of the membership.

    Args:
        roles: The user's roles, with ``id`` and ``name``.
    """

    def __init__(self, roles: Sequence[Mapping[str, Any]]) -> None:
        self._roles = roles

    def get_user_effective_roles(self, params: Mapping[str, Any] | None = None, **more: Any) -> Answer:
        """Return a page of the user's roles.

        Args:
            params: ``take``, 1 to 100 of them, 50 when missing; ``from``, the ``next`` of the page before.
            **more: The same as keyword arguments.
        """
        return _page("roles", self._roles, params, more)

    def get_user_effective_roles_by_ids(self, ids: object = None) -> Answer:
        """Return those of these roles that the user has.

        Args:
            ids: At most 100 ids of roles.
        """
        wanted = _texts("ids", ids, MAX_IDS)
        return Answer(roles=record([each for each in self._roles if each["id"] in wanted]))

    def get_user_effective_roles_by_names(self, names: object = None) -> Answer:
        """Return those of these roles that the user has.

        Args:
            names: At most 50 names of roles.
        """
        wanted = _texts("names", names, MAX_NAMES)
        return Answer(roles=record([each for each in self._roles if each["name"] in wanted]))


def _page(name: str, items: Sequence[Mapping[str, Any]], params: object, more: Mapping[str, Any]) -> Answer:
    if not isinstance(params, Mapping | None):
        raise ActionLimitError("params must be an object")
    given = {snake_case(key).rstrip("_"): value for key, value in {**(params or {}), **more}.items()}
    take, start = given.get("take", _PAGE), given.get("from")
    if isinstance(take, bool) or not isinstance(take, int) or not 1 <= take <= MAX_PAGE:
        raise ActionLimitError(f"take must be a number from 1 to {MAX_PAGE}")
    if start is not None and not (isinstance(start, str) and start.isascii() and start.isdecimal()):
        raise ActionLimitError("from must be the next of the page before")
    begin = int(start or 0)
    page = items[begin : begin + take]
    following = {"next": str(begin + take)} if begin + take < len(items) else {}
    return Answer({name: record(page), **following})


def _texts(name: str, value: object, most: int) -> set[str]:
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value) or len(value) > most:
        raise ActionLimitError(f"{name} must be an array of at most {most} strings")
    return set(value)
