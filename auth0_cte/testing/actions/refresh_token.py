"""``api.refreshToken``: what a Post-Login Action asks for the refresh token of the request.

Source: Auth0, "Actions Triggers: post-login - API Object" and "Refresh Token Metadata".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field

from auth0_cte.testing.actions.limits import ActionLimitError, text
from auth0_cte.testing.actions.records import CamelCase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["RefreshTokenApi", "RefreshTokenChanges"]

MAX_KEY: Final = 255
MAX_VALUE: Final = 255
MAX_ENTRIES: Final = 25
_KEY: Final = re.compile(r"[A-Za-z0-9_-]+").fullmatch


@define
class RefreshTokenChanges:
    """What is to become of the refresh token.

    Args:
        view: What the Actions see as ``event.refresh_token``; None before the first one is issued.
        metadata: Its metadata, which the Actions change.
        expires_at: When it expires at the latest, in Unix seconds; None for what the settings say.
        idle_expires_at: When it expires unless it is used, likewise.
        is_revoked: Whether it is revoked.
    """

    view: Mapping[str, Any] | None = None
    metadata: dict[str, str] = field(factory=dict)
    expires_at: float | None = None
    idle_expires_at: float | None = None
    is_revoked: bool = False


class RefreshTokenApi(CamelCase):
    """``api.refreshToken``.

    Args:
        changes: Where the calls are noted.
        deny: Refuses the tokens for a reason.
    """

    def __init__(self, changes: RefreshTokenChanges, deny: Callable[[str], object]) -> None:
        self._changes, self._deny = changes, deny

    def revoke(self, reason: str | None = None) -> None:
        """Revoke the refresh token and refuse the tokens; in a refresh alone.

        Args:
            reason: Why, 1 to 4096 characters.
        """
        if self._changes.view is None:
            raise ActionLimitError("refreshToken.revoke can be called in a refresh alone (oauth2-refresh-token)")
        self._deny(text("reason", reason, 1, 4096))
        self._changes.is_revoked = True

    def set_expires_at(self, absolute: Any = None) -> None:
        """Let the refresh token expire at a moment, in milliseconds of Unix time; the earliest of several counts."""
        self._changes.expires_at = _earliest("absolute", absolute, self._changes.expires_at)

    def set_idle_expires_at(self, inactivity: Any = None) -> None:
        """Let the refresh token expire at a moment unless it is used before, likewise."""
        self._changes.idle_expires_at = _earliest("inactivity", inactivity, self._changes.idle_expires_at)

    def set_metadata(self, key: str | None = None, value: str | None = None) -> None:
        """Keep a string with the refresh token; None removes.

        Args:
            key: Its name: at most 255 letters, digits, underscores and hyphens.
            value: The string, at most 255 characters; 25 of them together.
        """
        name = text("key", key, 1, MAX_KEY)
        if not _KEY(name):
            raise ActionLimitError("key must have letters, digits, underscores and hyphens alone")
        if value is None:
            self._changes.metadata.pop(name, None)
            return
        kept = {**self._changes.metadata, name: text("value", value, 0, MAX_VALUE)}
        if len(kept) > MAX_ENTRIES:
            raise ActionLimitError(f"refresh token metadata must have at most {MAX_ENTRIES} entries")
        self._changes.metadata.update(kept)

    def delete_metadata(self, key: str | None = None) -> None:
        """Forget a string."""
        self._changes.metadata.pop(text("key", key, 1, MAX_KEY), None)

    def evict_metadata(self) -> None:
        """Forget all strings."""
        self._changes.metadata.clear()


def _earliest(name: str, value: object, before: float | None) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise ActionLimitError(f"{name} must be milliseconds of Unix time")
    return min(value / 1000, value / 1000 if before is None else before)
