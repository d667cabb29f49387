"""What every call of an Action's ``api`` is held to."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["ActionLimitError", "plain", "text", "utf8"]


class ActionLimitError(ValueError):
    """An Action called the API with something that Auth0 does not take."""


def text(name: str, value: object, low: int, high: int) -> str:
    """Return a string of so many characters.

    Raises:
        ActionLimitError: It is something else.
    """
    if not isinstance(value, str):
        raise ActionLimitError(f"{name} must be a string")
    if not low <= len(value) <= high:
        raise ActionLimitError(f"{name} must have {low} to {high} characters, not {len(value)}")
    return value


def plain(name: str, value: object) -> Any:
    """Return a copy of JSON data.

    Raises:
        ActionLimitError: It is something else.
    """
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise ActionLimitError(f"{name} must be JSON data") from error


def utf8(value: str) -> int:
    """Return the length of a text in bytes; JavaScript has strings that UTF-8 has not."""
    return len(value.encode("utf-8", "surrogatepass"))
