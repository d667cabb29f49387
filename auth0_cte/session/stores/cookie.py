"""The stateless store: the sealed session is the cookie."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from auth0_cte.error import SessionError
from auth0_cte.session.stores.contract import Record

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from auth0_cte.session.stores.contract import Owner

__all__ = ["CookieStateStore"]


class CookieStateStore:
    """Keeps the session in the browser, sealed: needs no server, cannot be ended from outside, holds about 7 KB."""

    stateless = True

    def check(self) -> None:
        """Do nothing: there is nothing that could be down."""

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

    def delete_by_owner(self, issuer: str, *, sid: str | None, sub: str | None) -> int:  # noqa: ARG002
        """Refuse: nobody can reach into browsers."""
        raise SessionError(
            "sessions in cookies cannot be ended by back-channel logout; use a server-side store (Redis, SQL, memory)",
            code="UNSUPPORTED_BY_STORE",
        )

    def lock(self, cookie: str, timeout: float) -> AbstractContextManager[None]:  # noqa: ARG002
        """Lock nothing: no other process has this request."""
        return nullcontext()
