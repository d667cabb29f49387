"""A JavaScript file as it is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["Script"]


@frozen(kw_only=True)
class Script:
    """An Action as it is loaded.

    Args:
        path: Its file.
        source: What the file holds.
        handler: The name of the function that it exports.
        methods: The methods of its api, in JavaScript's names.
        modules: When each of the Actions Modules beside it was changed, by path.
    """

    path: Path
    source: bytes
    handler: str
    methods: Sequence[str]
    modules: Mapping[str, int]
