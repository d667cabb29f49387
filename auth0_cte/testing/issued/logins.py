"""The sessions that the tenant knows of: whom it has told a ``sid``."""

from __future__ import annotations

import threading

from attrs import frozen

__all__ = ["Login", "Logins"]


@frozen
class Login:
    """A session of a user at an application.

    Args:
        sid: Its identifier, which the ID token has.
        user_id: The user.
        client_id: The application.
        issuer: The issuer of its tokens.
    """

    sid: str
    user_id: str
    client_id: str
    issuer: str


class Logins:
    """The sessions that began and did not end. Safe among threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._logins: dict[str, Login] = {}

    def begin(self, login: Login) -> None:
        """Remember a session; one with the same ``sid`` is replaced."""
        with self._lock:
            self._logins[login.sid] = login

    def end(self, *, sid: str | None = None, user_id: str | None = None) -> list[Login]:
        """Forget a session, or all of a user, and return what was forgotten."""
        with self._lock:
            ended = [login for login in self._logins.values() if sid == login.sid or user_id == login.user_id]
            for login in ended:
                del self._logins[login.sid]
            return ended

    def clear(self) -> None:
        """Forget all sessions."""
        with self._lock:
            self._logins.clear()
