"""The accounts at other providers that users have connected (Auth0, "Token Vault").

A provider's tokens are opaque here; when one has expired, the next one is made up, as a refresh at the provider would
bring it.
"""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING

from attrs import define, evolve, field

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ConnectedAccount", "ConnectedAccounts"]


@define(kw_only=True, eq=False)
class ConnectedAccount:
    """An account.

    Args:
        user_id: The tenant's user whose account it is.
        connection: The connection's name.
        login_hint: The account at the provider, such as an e-mail address.
        scopes: What its tokens are good for.
        lifetime: How long the provider's tokens live, in seconds.
        access_token: The provider's current token.
        expires_at: When that expires, in Unix seconds.
        is_revoked: Whether the provider gives no further token.
        id: Its identifier.
        created_at: When it was connected, in Unix seconds.
    """

    user_id: str
    connection: str
    login_hint: str
    scopes: tuple[str, ...]
    lifetime: int
    access_token: str = field(repr=False)
    expires_at: float
    created_at: float
    is_revoked: bool = False
    id: str = field(factory=lambda: f"cac_{secrets.token_urlsafe(12)}")

    def renew(self, now: float) -> bool:
        """Get a token of the provider that lives still; False when there is none."""
        if now < self.expires_at:
            return True
        if not self.is_revoked:
            self.access_token, self.expires_at = secrets.token_urlsafe(24), now + self.lifetime
        return not self.is_revoked


class ConnectedAccounts:
    """The accounts of all users. Safe among threads.

    Args:
        clock: Returns Unix seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._lock = clock, threading.RLock()
        self._accounts: list[ConnectedAccount] = []

    def copy(self) -> ConnectedAccounts:
        """Copy the accounts."""
        other = ConnectedAccounts(self._clock)
        with self._lock:
            other._accounts = [evolve(account) for account in self._accounts]
        return other

    def connect(
        self,
        user_id: str,
        connection: str,
        *,
        scopes: tuple[str, ...] = (),
        login_hint: str | None = None,
        access_token: str | None = None,
        expires_in: int = 3600,
    ) -> ConnectedAccount:
        """Connect an account; one that is connected already is replaced."""
        now, hint = self._clock(), login_hint or user_id
        account = ConnectedAccount(
            user_id=user_id,
            connection=connection,
            login_hint=hint,
            scopes=scopes,
            lifetime=expires_in,
            access_token=access_token or secrets.token_urlsafe(24),
            expires_at=now + expires_in,
            created_at=now,
        )
        with self._lock:
            same = (user_id, connection, hint)
            self._accounts = [each for each in self._accounts if _key(each) != same] + [account]
        return account

    def of(self, user_id: str) -> list[ConnectedAccount]:
        """Return a user's accounts, in the order in which they were connected."""
        with self._lock:
            return [each for each in self._accounts if each.user_id == user_id]

    def disconnect(self, account: ConnectedAccount) -> None:
        """Forget an account."""
        with self._lock:
            self._accounts.remove(account)

    def find(self, user_id: str, connection: str, login_hint: str | None) -> ConnectedAccount | None:
        """Return the account of a user at a connection, with a token that lives; None when there is none."""
        with self._lock:
            for account in self.of(user_id):
                if account.connection == connection and login_hint in (None, account.login_hint):
                    return account if account.renew(self._clock()) else None
        return None


def _key(account: ConnectedAccount) -> tuple[str, str, str]:
    return account.user_id, account.connection, account.login_hint
