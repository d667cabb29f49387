"""Sessions as sealed text, and sealed text as sessions: bound to one application and one kind of store."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from attrs import Factory, field, frozen

from auth0_cte.error import SessionError
from auth0_cte.jose import JoseError, Sealer
from auth0_cte.session.claims import is_of_application
from auth0_cte.session.cookies import MAX_COOKIE_BYTES
from auth0_cte.session.serialization import ever_smaller, from_state_data, to_state_data

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from auth0_cte.auth_types import Session
    from auth0_cte.session.stores.contract import Record

__all__ = ["Loaded", "SessionSeal"]

logger: Final = logging.getLogger("auth0_cte")

MAX_RECORD_BYTES: Final = 1024 * 1024
MAX_FOREIGN_COOKIE_BYTES: Final = 64 * 1024
_WITHOUT_ID_TOKEN: Final = (
    "With session_claims= cookies do not hold the ID token, because it has all claims: a logout then has no "
    "id_token_hint, and a session transfer needs a refresh token, or the actor's token given to it."
)


@frozen
class Loaded:
    """A session as it was found: with the value of its cookie, and what is known of its record."""

    session: Session
    cookie: str = field(repr=False)
    version: int = 0
    touched_at: float | None = None


@frozen(kw_only=True)
class SessionSeal:
    """Seals the sessions of one application for one kind of store, and opens them.

    Args:
        secrets: The secrets, the newest first.
        identifier: The name that they are sealed under.
        client_id: The application.
        is_stateless: Whether what is sealed is the cookie itself.
        is_limited: Whether ``session_claims`` keeps claims out of sessions.
        clock: The time in Unix seconds.
    """

    secrets: Sequence[str] = field(repr=False)
    identifier: str
    client_id: str
    is_stateless: bool
    is_limited: bool
    clock: Callable[[], float]
    _sealer: Sealer = field(
        init=False,
        repr=False,
        default=Factory(
            lambda self: Sealer(self.secrets, self.identifier, max(MAX_FOREIGN_COOKIE_BYTES, self.max_bytes)),
            takes_self=True,
        ),
    )

    @property
    def max_bytes(self) -> int:
        """How long a sealed session may be."""
        return MAX_COOKIE_BYTES if self.is_stateless else MAX_RECORD_BYTES

    def seal(self, session: Session, session_id: str) -> str:
        """Seal a session.

        Args:
            session: The session.
            session_id: What it is filed under in a server-side store.
        """
        state = to_state_data(session)
        if self.is_stateless:
            state["internal"]["touched_at"] = int(self.clock())
            if self.is_limited:
                state["id_token"] = None  # it holds what session_claims leaves out
        else:
            state["internal"]["id"] = session_id
        return self._sealer.seal(state)

    def seal_new(self, session: Session, session_id: str) -> str:
        """Seal a session that begins.

        Raises:
            SessionError: ``SESSION_TOO_LARGE``.
        """
        sealed = self.seal(session, session_id)
        if len(sealed) <= self.max_bytes:
            return sealed
        if self.is_stateless:
            raise SessionError(
                f"the session takes {len(sealed)} bytes of cookies, more than the {self.max_bytes} that browsers and "
                "servers can be relied on to carry: use a server-side store (RedisStateStore, SQLStateStore), or "
                "choose fewer claims by session_claims=",
                code="SESSION_TOO_LARGE",
                _hint=_WITHOUT_ID_TOKEN,
            )
        raise SessionError(
            f"the session takes {len(sealed)} bytes, more than the {self.max_bytes} that are kept: choose fewer claims "
            "by session_claims=",
            code="SESSION_TOO_LARGE",
        )

    def seal_refreshed(self, session: Session, before: Session, session_id: str) -> tuple[str, Session]:
        """Seal as much of a refreshed session as fits, its refresh token in any case.

        Returns:
            The sealed session, and what of the session is in it.
        """
        sealed, kept = "", session
        for kept in ever_smaller(session, before):
            sealed = self.seal(kept, session_id)
            if len(sealed) <= self.max_bytes:
                break
        if kept is not session:
            logger.warning(
                "a refreshed session is too large for its store: its refresh token is kept, and %d of %d access tokens."
                " A server-side store holds more, and session_claims= makes sessions smaller",
                len(kept.token_sets),
                len(session.token_sets),
            )
        return sealed, kept

    def open(self, record: Record, cookie: str) -> Loaded | None:
        """Return the session of a record; None for everything that is not exactly one of this application's here."""
        found = self._read(record.data)
        if found is None:
            return None
        state, session = found
        # A record that was moved to another id, or out of its store into a cookie, is as good as forged.
        if state["internal"].get("id") != (None if self.is_stateless else cookie):
            return None
        return Loaded(
            session, cookie, record.version, state["internal"].get("touched_at") if self.is_stateless else None
        )

    def unsealed(self, data: str) -> Session | None:
        """Return the session of a record whose id is not known, to end it; None when it is not this application's."""
        found = self._read(data)
        return None if found is None else found[1]

    def _read(self, data: str) -> tuple[dict[str, Any], Session] | None:
        try:
            state = self._sealer.unseal(data)
            session = from_state_data(state)
        except (JoseError, SessionError) as error:
            logger.info("a session cookie was not accepted: %s", error)
            return None
        return (state, session) if is_of_application(session, self.client_id) else None
