"""The session transfer tokens that are out: each can be redeemed once (Auth0, "Session Delegation")."""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from auth0_cte.testing.registry.users import User

__all__ = ["LIFETIME", "SessionTransferTokens", "TransferredSession"]

LIFETIME: Final = 60
"""How long a token waits for its redemption, in seconds."""


@frozen(kw_only=True)
class TransferredSession:
    """What the redemption of a session transfer token begins at Auth0: a delegated session.

    Args:
        user: Whose session it is.
        actor: Who acts in it.
        organization_id: The organization that it is in, or None.
        client_id: The application that the token was issued to.
        ip: The address that the token was bound to.
    """

    user: User
    actor: Mapping[str, Any]
    organization_id: str | None
    client_id: str
    ip: str


class SessionTransferTokens:
    """The session transfer tokens that are out. Safe among threads.

    Args:
        clock: Returns Unix seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._issued: dict[str, tuple[TransferredSession, float]] = {}

    def __len__(self) -> int:
        return len(self._issued)

    def __repr__(self) -> str:
        return f"<SessionTransferTokens: {len(self)}>"  # the tokens are credentials

    def issue(self, session: TransferredSession) -> str:
        """Make a token."""
        token = f"stt_{secrets.token_urlsafe(32)}"
        with self._lock:
            self._issued[token] = (session, self._clock() + LIFETIME)
        return token

    def redeem(self, token: str, ip: str) -> TransferredSession:
        """Use a token up; a failed attempt does so, too.

        Raises:
            ValueError: It is unknown, was used before, has expired, or comes from another address.
        """
        with self._lock:
            found = self._issued.pop(token, None)
        if found is None:
            raise ValueError("the session transfer token is unknown, or was used before")
        session, expires_at = found
        if self._clock() >= expires_at:
            raise ValueError("the session transfer token has expired")
        if ip != session.ip:
            raise ValueError("the session transfer token is bound to another IP address")
        return session
