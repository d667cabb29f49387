"""What requests of one browser cannot know of each other when sessions are in cookies.

A refresh token is used once. A request that comes late, with the cookie from before, must get what the use brought
instead of using it again; a session that was logged out must not come back by an answer that was under way. Both are
kept in `Rotations`, which see neither: entries are filed under an HMAC of the refresh token and sealed.
"""

from __future__ import annotations

import hmac
import json
import logging
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from auth0_cte.error import SessionError
from auth0_cte.jose import JoseError, Sealer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from auth0_cte.auth_types import Session
    from auth0_cte.session.stores.contract import Rotations

__all__ = ["Rotated", "SessionRotations", "generation_of"]

logger: Final = logging.getLogger("auth0_cte")

IDENTIFIER: Final = "_a0_rotation"
"""What entries are sealed under: an entry is not a cookie, nor a cookie an entry."""
MAX_ENTRY_LENGTH: Final = 3 * 1024 * 1024
LOCK, ROTATED, ENDED = "lock", "rotated", "ended"


def generation_of(session: Session) -> str | None:
    """Return what each renewal of a session changes: its refresh token, or the access tokens of a delegated one.

    None for a session that is not renewed.
    """
    if session.refresh_token is None and session.act is not None:
        return " ".join(each.access_token for each in session.token_sets)
    return session.refresh_token


@frozen
class Rotated:
    """What a refresh made of a session.

    Args:
        cookie: The value of its cookie.
        state: The session, where it is more than the cookie holds; else None.
    """

    cookie: str = field(repr=False)
    state: dict[str, Any] | None = field(default=None, repr=False)


class SessionRotations:
    """Remembers, for the sessions of one application, what their refreshes brought and which have ended.

    Args:
        kept: Where.
        secrets: The secrets of the sessions, the newest first.
        client_id: The application.
        seconds: For how long what a refresh brought is handed out to those who come late.
        clock: The time in Unix seconds.
    """

    def __init__(
        self, kept: Rotations, secrets: Sequence[str], client_id: str, seconds: float, clock: Callable[[], float]
    ) -> None:
        self._kept, self._client_id, self._seconds, self._clock = kept, client_id, seconds, clock
        self._keys = [hmac.digest(secret.encode(), b"auth0-cte rotations", "sha256") for secret in secrets]
        self._sealer = Sealer(secrets, IDENTIFIER, MAX_ENTRY_LENGTH)

    def lock(self, session: Session, timeout: float) -> AbstractContextManager[None]:
        """Keep others from refreshing the same session, whichever of its cookies they have."""
        return self._kept.lock(self._names(LOCK, session)[0], timeout)

    def find(self, session: Session) -> tuple[bool, Rotated | None]:
        """Tell whether a session has ended, and what was made of it by the refresh token that it has."""
        ended = self._names(ENDED, session)
        generation = generation_of(session)
        rotated = [] if generation is None else self._names(ROTATED, session, generation)
        found = self._kept.get([*ended, *rotated])
        if any(name in found for name in ended):
            return True, None
        entries = (self._open(name, found[name]) for name in rotated if name in found)
        return False, next((entry for entry in entries if entry is not None), None)

    def has_ended(self, session: Session) -> bool:
        """Tell whether a session was logged out."""
        return bool(self._kept.get(self._names(ENDED, session)))

    def remember(self, session: Session, rotated: Rotated) -> None:
        """Keep what a refresh made of a session. A failure to keep it does not lose it to the one who has it."""
        name = self._names(ROTATED, session, generation_of(session) or "")[0]
        until = self._clock() + self._seconds
        content = {"name": name, "until": until, "cookie": rotated.cookie, "state": rotated.state}
        try:
            self._kept.put(name, self._sealer.seal(content), self._seconds)
        except SessionError as error:
            logger.warning("a rotated refresh token could not be shared with late requests: %s", error.message)

    def end(self, session: Session, until: float) -> None:
        """Remember that a session was logged out, as long as a cookie of it could be accepted."""
        seconds = until - self._clock()
        if seconds > 0:
            self._kept.put(self._names(ENDED, session)[0], ENDED, seconds)

    def _open(self, name: str, entry: str) -> Rotated | None:
        try:
            content = self._sealer.unseal(entry)
        except JoseError:
            return None
        # The clock is asked here, too: a place that keeps entries longer does not make them count longer.
        if content.get("name") != name or content["until"] <= self._clock():
            return None
        return Rotated(content["cookie"], content["state"])

    def _names(self, purpose: str, session: Session, *more: str | None) -> list[str]:
        """Return what an entry is filed under: by the newest secret, then by those before it."""
        bound = [purpose, self._client_id, session.domain, session.user["sub"], session.sid, session.created_at, *more]
        text = json.dumps(bound).encode()
        return [hmac.digest(key, text, "sha256").hex() for key in self._keys]
