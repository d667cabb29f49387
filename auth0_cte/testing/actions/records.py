"""Objects as an Action knows them: attributes and items, in snake_case and in camelCase."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["CamelCase", "Record", "record", "snake_case"]

_HUMP = re.compile(r"(?<=[a-z0-9])([A-Z])")


def snake_case(name: str) -> str:
    """Turn ``setUserById`` into ``set_user_by_id``; a name that is in snake case already stays."""
    return _HUMP.sub(r"_\1", name).lower()


class Record(dict[str, Any]):
    """A dict whose items are attributes too: ``event.transaction.subject_token``, ``…subjectToken``.

    Items win by their exact name. A name that is a method of dict (``items``, ``get``) is reached as an item only.
    """

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        snake = snake_case(name)
        if snake in self:
            return self[snake]
        raise AttributeError(f"{name!r} does not exist, only {', '.join(map(repr, self)) or 'nothing'}")


def record(value: Any) -> Any:
    """Copy JSON-like data, turning each mapping in it into a `Record`."""
    if isinstance(value, list | tuple):
        return [record(item) for item in value]
    if hasattr(value, "keys"):
        return Record({name: record(value[name]) for name in value})
    return value


class CamelCase:
    """Gives an object's methods their camelCase names beside their own."""

    def __getattr__(self, name: str) -> Any:
        snake = snake_case(name)
        if snake == name:
            raise AttributeError(f"{type(self).__name__} has no {name!r}")
        return getattr(self, snake)
