"""A JavaScript file as it is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Script"]


@frozen(kw_only=True)
class Script:
    """An Action as it is loaded.

    Args:
        path: Its file.
        source: What the file holds.
        handler: The name of the function that it exports.
        methods: The methods of its api, in JavaScript's names, with what their calls come to.
        modules: When each of the Actions Modules beside it was changed, by path.
        secrets: What the Actions Modules see as ``actions.secrets``.
    """

    path: Path
    source: bytes
    handler: str
    methods: Mapping[str, str]
    modules: Mapping[str, int]
    secrets: Mapping[str, str] = field(repr=False)
