"""Claims as rows of a table."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from auth0_cte.cli.shared.words import when
from auth0_cte.oauth.id_token import read_time

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["claim_rows"]

_TIMES: Final = frozenset(
    {"exp", "iat", "nbf", "auth_time", "session_expiry", "created_at", "expires_at", "touched_at"}
)


def claim_rows(claims: Mapping[str, Any], now: float) -> list[tuple[str, str]]:
    """Return a row for each claim: times as dates, other values as JSON."""
    return [(name, _shown(name, value, now)) for name, value in claims.items()]


def _shown(name: str, value: object, now: float) -> str:
    at = read_time(value) if name in _TIMES else None
    if at is not None:
        return when(at, now)
    return value if isinstance(value, str) else json.dumps(value)
