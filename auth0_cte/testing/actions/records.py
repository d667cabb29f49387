"""Objects as an Action knows them: attributes and items, in snake_case and in camelCase."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from typing import Any, Final

__all__ = [
    "ABSENT",
    "Answer",
    "CamelCase",
    "Record",
    "SharedRecord",
    "camel_case",
    "record",
    "snake_case",
    "without_absent",
]

_HUMP = re.compile(r"(?<=[a-z0-9])([A-Z])")


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()
"""Stands for a member that an event can have but does not: undefined in JavaScript, None as an attribute here."""


def snake_case(name: str) -> str:
    """Turn ``setUserById`` into ``set_user_by_id``; a name that is in snake case already stays."""
    return _HUMP.sub(r"_\1", name).lower()


def camel_case(name: str) -> str:
    """Turn ``set_user_by_id`` into ``setUserById``."""
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


class Record(dict[str, Any]):
    """A dict whose items are attributes too: ``event.transaction.subject_token``, ``…subjectToken``.

    Items win by their exact name. A name that is a method of dict (``items``, ``get``) is reached as an item only. A
    member that is absent this time is None as an attribute, and missing as an item.
    """

    _absent: frozenset[str] = frozenset()

    def __getattr__(self, name: str) -> Any:
        for spelling in (name, snake_case(name), camel_case(name)):
            if spelling in self:
                return self[spelling]
            if spelling in self._absent:
                return None
        raise AttributeError(f"{name!r} does not exist, only {', '.join(map(repr, self)) or 'nothing'}")


class Answer(Record):
    """What a call answers that returns a promise in JavaScript; ``await`` gives the record itself."""

    def __await__(self) -> Generator[None, None, Record]:
        yield from ()
        return self


class SharedRecord(Record):
    """A record that is not copied into events: what changes in it while an Action runs, the Action sees."""


class _PartialRecord(Record):
    def __init__(self, members: Mapping[str, Any], absent: frozenset[str]) -> None:
        super().__init__(members)
        self._absent = absent


def record(value: Any) -> Any:
    """Copy JSON-like data, turning each mapping in it into a `Record`, but for those that are shared."""
    if isinstance(value, SharedRecord):
        return value
    if isinstance(value, list | tuple):
        return [record(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    members = {name: record(item) for name, item in value.items() if item is not ABSENT}
    return _PartialRecord(members, frozenset(value) - members.keys()) if len(members) < len(value) else Record(members)


def without_absent(value: Any) -> Any:
    """Copy JSON-like data without the members that are absent."""
    if isinstance(value, list | tuple):
        return [without_absent(item) for item in value]
    if isinstance(value, Mapping):
        return {name: without_absent(item) for name, item in value.items() if item is not ABSENT}
    return value


class CamelCase:
    """Gives an object's methods their camelCase names beside their own."""

    def __getattr__(self, name: str) -> Any:
        snake = snake_case(name)
        if snake == name:
            raise AttributeError(f"{type(self).__name__} has no {name!r}")
        return getattr(self, snake)
