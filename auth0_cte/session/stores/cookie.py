"""The stateless store: the sealed session is the cookie."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Final

from auth0_cte.error import ConfigurationError, SessionError
from auth0_cte.session.stores.contract import Record
from auth0_cte.session.stores.rotations import MemoryRotations

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from auth0_cte.session.stores.contract import Owner, Rotations

__all__ = ["CookieStateStore"]

MAX_REMEMBERED_SECONDS: Final = 300.0


class CookieStateStore:
    """Keeps the session in the browser, sealed: needs no server, cannot be ended from outside, holds about 7 KB.

    What requests of one browser cannot know of each other is kept in ``rotations``: that the refresh token of a cookie
    was used a moment ago and what came of it, and that the session was logged out.

    Args:
        rotations: Where that is kept: `MemoryRotations` for one process, which is the default; `RedisRotations`,
            `SQLRotations` or `DjangoCacheRotations` for several.
        remembered: For how many seconds a request with the cookie from before a refresh gets what the refresh brought;
            300 at most. Afterwards the old refresh token goes to Auth0, which detects by it that a cookie was stolen.

    Raises:
        ConfigurationError: ``rotations`` cannot be used, or ``remembered`` is out of range.
    """

    stateless = True

    def __init__(self, *, rotations: Rotations | None = None, remembered: float = 60.0) -> None:
        # Not "or": empty rotations are false.
        self.rotations: Rotations = MemoryRotations() if rotations is None else rotations
        methods = ("check", "get", "put", "lock")
        if isinstance(rotations, type) or not all(callable(getattr(self.rotations, name, None)) for name in methods):
            raise ConfigurationError("rotations must be MemoryRotations(), RedisRotations(...) or another of that kind")
        is_number = isinstance(remembered, int | float) and not isinstance(remembered, bool)
        if not is_number or not 0 < remembered <= MAX_REMEMBERED_SECONDS:
            raise ConfigurationError(f"remembered must be above 0 and at most {MAX_REMEMBERED_SECONDS:.0f} seconds")
        self.remembered: float = remembered

    def check(self) -> None:
        """Ask the rotations whether they are there."""
        self.rotations.check()

    def create(self, session_id: str, data: str, owner: Owner, ttl: float) -> str:  # noqa: ARG002
        """Return the sealed session itself."""
        return data

    def get(self, cookie: str) -> Record | None:
        """Return the sealed session itself."""
        return Record(cookie)

    def replace(self, cookie: str, data: str, version: int) -> str | None:  # noqa: ARG002
        """Return the sealed session itself."""
        return data

    def touch(self, cookie: str, ttl: float) -> None:
        """Do nothing: the cookie's own age counts."""

    def delete(self, cookie: str) -> None:
        """Do nothing: the cookie is deleted in the browser."""

    def delete_by_owner(self, issuer: str, *, sid: str | None, sub: str | None, until: float | None = None) -> int:  # noqa: ARG002
        """Refuse: nobody can reach into browsers."""
        raise SessionError(
            "sessions in cookies cannot be ended by back-channel logout; use a server-side store (Redis, SQL, memory)",
            code="UNSUPPORTED_BY_STORE",
        )

    def find_by_owner(self, issuer: str, *, sid: str | None, sub: str | None, until: float | None = None) -> list[str]:  # noqa: ARG002
        """Find nothing: nobody can look into browsers."""
        return []

    def lock(self, cookie: str, timeout: float) -> AbstractContextManager[None]:  # noqa: ARG002
        """Lock nothing: the session's lock is one of `rotations`."""
        return nullcontext()
