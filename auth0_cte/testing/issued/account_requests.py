"""Accounts on their way to be connected: what was asked for, and the code that completes it."""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
from typing import TYPE_CHECKING, Final

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LIFETIME", "AccountRequest", "AccountRequests"]

LIFETIME: Final = 300
"""How long a request waits for the user, in seconds."""


@define(kw_only=True, eq=False)
class AccountRequest:
    """A request to connect an account.

    Args:
        user_id: Whose account it becomes.
        connection: The connection's name.
        redirect_uri: Where the browser goes afterwards.
        state: What the browser brings there, or None.
        code_challenge: The S256 challenge that the completion must answer (RFC 7636), or None.
        scopes: What the account's tokens are to be good for.
        login_hint: The account at the provider, or None.
        expires_at: When it ends, in Unix seconds.
        ticket: What the browser brings.
        auth_session: What the application brings to complete it.
        connect_code: What the browser gets for the application; None until the user has consented.
    """

    user_id: str
    connection: str
    redirect_uri: str
    state: str | None = None
    code_challenge: str | None = None
    scopes: tuple[str, ...] = ()
    login_hint: str | None = None
    expires_at: float
    ticket: str = field(factory=lambda: secrets.token_urlsafe(24), repr=False)
    auth_session: str = field(factory=lambda: secrets.token_urlsafe(32), repr=False)
    connect_code: str | None = field(default=None, repr=False)

    def accepts(self, code: str, redirect_uri: str, verifier: str | None) -> bool:
        """Tell whether what an application brings completes the request."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256((verifier or "").encode()).digest()).decode().rstrip("=")
        is_proved = verifier is None if self.code_challenge is None else challenge == self.code_challenge
        return is_proved and code == self.connect_code and redirect_uri == self.redirect_uri


class AccountRequests:
    """The requests that wait. Safe among threads.

    Args:
        clock: Returns Unix seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._waiting: list[AccountRequest] = []

    def add(self, request: AccountRequest) -> None:
        """Keep a request."""
        with self._lock:
            self._waiting.append(request)

    def consent(self, ticket: str) -> AccountRequest | None:
        """Give a request its code, once, in the browser of its user; None for a ticket that is dead."""
        with self._lock:
            for request in self._live():
                if request.ticket == ticket and request.connect_code is None:
                    request.connect_code = secrets.token_urlsafe(32)
                    return request
        return None

    def take(self, auth_session: str) -> AccountRequest | None:
        """Use a request up, by what the application brings; None when there is none."""
        with self._lock:
            found = next((each for each in self._live() if each.auth_session == auth_session), None)
            if found is not None:
                self._waiting.remove(found)
            return found

    def _live(self) -> list[AccountRequest]:
        now = self._clock()
        self._waiting = [each for each in self._waiting if now < each.expires_at]
        return self._waiting
