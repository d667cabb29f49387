"""The JSON schema of seeds, and the part of JSON Schema (2020-12) that it uses."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final

__all__ = ["SchemaError", "check", "schema"]

_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "object": (Mapping,),
    "array": (list, tuple),
}
_NAMES: Final = {"array": "an array", "integer": "an integer", "object": "an object"}


class SchemaError(ValueError):
    """A document does not match its schema. The message never repeats a value.

    Args:
        path: Where, e.g. ``$.users[2].email``.
        problem: What must be otherwise.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path} {problem}")
        self.path: str = path
        self.problem: str = problem


@cache
def schema() -> Mapping[str, Any]:
    """Return the schema of seeds, which ``auth0_cte/testing/seeding/schema.json`` is."""
    found: dict[str, Any] = json.loads((files("auth0_cte.testing.seeding") / "schema.json").read_text("utf-8"))
    return found


def check(document: object, definition: str | Mapping[str, Any] | None = None, path: str = "$") -> None:
    """Check a document.

    Args:
        document: The document, as `json.loads` returns it.
        definition: The name of one of the schema's definitions, or a schema; the whole schema of seeds when None.
        path: Where the document stands in a larger one.

    Raises:
        SchemaError: The document does not match; the first fault is told.
    """
    if definition is None:
        wanted = schema()
    else:
        wanted = schema()["$defs"][definition] if isinstance(definition, str) else definition
    _check(document, wanted, path)


def _check(value: object, wanted: Mapping[str, Any], path: str) -> None:
    if "$ref" in wanted:
        check(value, wanted["$ref"].rpartition("/")[2], path)
    for keyword, rule in _RULES.items():
        if keyword in wanted:
            rule(value, wanted, path)


def _check_type(value: object, wanted: Mapping[str, Any], path: str) -> None:
    kind = wanted["type"]
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        raise SchemaError(path, f"must be {_NAMES.get(kind, f'a {kind}')}")
    if isinstance(value, Mapping):
        _check_members(value, wanted, path)
    if isinstance(value, list | tuple) and "items" in wanted:
        for index, item in enumerate(value):
            _check(item, wanted["items"], f"{path}[{index}]")


def _check_members(value: Mapping[str, Any], wanted: Mapping[str, Any], path: str) -> None:
    known, others = wanted.get("properties", {}), wanted.get("additionalProperties", True)
    for name in wanted.get("required", ()):
        if name not in value:
            raise SchemaError(f"{path}.{name}", "is required")
    for name, member in value.items():
        here = _member(path, name)
        if name in known:
            _check(member, known[name], here)
        elif others is False:
            raise SchemaError(here, f"is unknown{_suggestion(name, known)}")
        elif isinstance(others, Mapping):
            _check(member, others, here)


def _member(path: str, name: object) -> str:
    return f"{path}.{name}" if re.fullmatch(r"[\w$-]+", str(name)) else f"{path}[{json.dumps(str(name))}]"


def _suggestion(name: object, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(str(name), known, n=1)
    return f"; did you mean {near[0]}?" if near else f"; use one of {', '.join(known)}"


def _check_enum(value: object, wanted: Mapping[str, Any], path: str) -> None:
    if not isinstance(value, str) or value not in wanted["enum"]:
        raise SchemaError(path, f"must be one of {', '.join(wanted['enum'])}")


def _check_any(value: object, wanted: Mapping[str, Any], path: str) -> None:
    choices: Sequence[Mapping[str, Any]] = [_resolved(each) for each in wanted["anyOf"]]
    for choice in choices:
        try:
            _check(value, choice, path)
        except SchemaError:
            continue
        return
    raise SchemaError(path, f"must be {' or '.join(choice['title'] for choice in choices)}")


def _resolved(wanted: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = schema()["$defs"][wanted["$ref"].rpartition("/")[2]] if "$ref" in wanted else wanted
    return found


def _check_pattern(value: object, wanted: Mapping[str, Any], path: str) -> None:
    if isinstance(value, str) and not re.search(wanted["pattern"], value):
        raise SchemaError(path, f"must match {wanted['pattern']}")


def _check_length(value: object, wanted: Mapping[str, Any], path: str) -> None:
    if isinstance(value, str) and len(value) < wanted["minLength"]:
        raise SchemaError(path, "must not be empty")


def _check_minimum(value: object, wanted: Mapping[str, Any], path: str) -> None:
    if isinstance(value, int | float) and value < wanted["minimum"]:
        raise SchemaError(path, f"must be {wanted['minimum']} or more")


_RULES: Final[Mapping[str, Callable[[object, Mapping[str, Any], str], None]]] = {
    "type": _check_type,
    "enum": _check_enum,
    "anyOf": _check_any,
    "pattern": _check_pattern,
    "minLength": _check_length,
    "minimum": _check_minimum,
}
