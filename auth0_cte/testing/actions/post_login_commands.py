"""What Post-Login Actions asked for, which the tenant acts on once all have run."""

from __future__ import annotations

from typing import Any

from attrs import define, field

from auth0_cte.testing.actions.api import Commands
from auth0_cte.testing.actions.refresh_token import RefreshTokenChanges

__all__ = ["PostLoginCommands"]


@define
class PostLoginCommands(Commands):
    """What the Post-Login Actions of one request asked for.

    Args:
        denial: The reason of a denial, after which no Action runs.
        access_claims: Custom claims of the access token.
        id_claims: Custom claims of the ID token.
        added_scopes: Scopes of the access token besides those that were granted.
        removed_scopes: Scopes that are not granted.
        multifactor: Whether a second factor is asked for.
        primary_user: The user id that the tokens are about instead, or None.
        unsupported: What was called that a token request cannot do, or None.
        refresh_token: What is to become of the refresh token.
    """

    denial: str | None = None
    access_claims: dict[str, Any] = field(factory=dict)
    id_claims: dict[str, Any] = field(factory=dict)
    added_scopes: list[str] = field(factory=list)
    removed_scopes: set[str] = field(factory=set)
    multifactor: bool = False
    primary_user: str | None = None
    unsupported: str | None = None
    refresh_token: RefreshTokenChanges = field(factory=RefreshTokenChanges)
