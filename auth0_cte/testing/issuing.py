"""Tokens and keys that tests ask the tenant for, besides its endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from auth0_cte.testing.issued.tokens import ID_TOKEN_LIFETIME, TokenGrant

if TYPE_CHECKING:
    from auth0_cte.testing.issued.session_transfers import TransferredSession
    from auth0_cte.testing.state import TenantState

__all__ = ["Issuing"]


class Issuing:
    """Issues, redeems and revokes tokens, and rotates keys. `LocalTenant` has the same methods.

    Args:
        state: What the tenant holds.
        client_id: The application that tokens are for when none is named.
    """

    def __init__(self, state: TenantState, client_id: str) -> None:
        self._state, self._client_id = state, client_id

    def id_token(
        self, /, user_id: str, *, client_id: str | None = None, lifetime: int = ID_TOKEN_LIFETIME, **claims: Any
    ) -> str:
        """Sign an ID token of a user without an exchange, to be used as an actor token for example.

        Args:
            user_id: The user.
            client_id: The application that it is for; the default one when None.
            lifetime: How long it lives, in seconds; negative for one that has expired.
            **claims: Further claims, which win.

        Raises:
            KeyError: The user or the application does not exist.
        """
        application = self._state.applications.get(client_id or self._client_id)
        if application is None:
            raise KeyError(client_id)
        issuer = f"https://{self._state.domain}/"
        api = self._state.apis.find(None, issuer)
        grant = TokenGrant(issuer=issuer, application=application, user=self._state.users[user_id], api=api, scopes=())
        return self._state.tokens.id_token(grant, lifetime=lifetime, more=claims)

    def redeem_session_transfer_token(self, token: str, *, ip: str = "127.0.0.1") -> TransferredSession:
        """Use a session transfer token up, as ``/authorize`` does; a failed attempt does so, too.

        Args:
            token: The token.
            ip: The address of the browser: that of the request, or what ``auth0-forwarded-for`` said, if trusted.

        Raises:
            ValueError: It is unknown, was used before, is older than 60 seconds, or comes from another address.
        """
        return self._state.session_transfers.redeem(token, ip)

    def rotate_keys(self, *, keep_old: bool = True) -> None:
        """Sign with new keys from now on.

        Args:
            keep_old: Whether the old ones stay in the key set, as at Auth0 until they are revoked.
        """
        self._state.keys.rotate(keep_old=keep_old)

    def revoke_refresh_tokens(self, user_id: str | None = None) -> int:
        """Revoke the refresh tokens of a user, or all of them.

        Args:
            user_id: The user; everybody when None.

        Returns:
            How many tokens were revoked.
        """
        return self._state.refresh_tokens.revoke(user_id)
