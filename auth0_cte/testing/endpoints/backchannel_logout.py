"""Back-channel logout: what the tenant tells applications when a session ends."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from auth0_cte.foundation.urls import is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping

    from requests import Response

    from auth0_cte.testing.state import TenantState

__all__ = ["BackchannelLogout"]

LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
LOGOUT_TOKEN_LIFETIME: Final = 120


class BackchannelLogout:
    """Makes and sends logout tokens (OpenID Connect Back-Channel Logout 1.0).

    Args:
        state: What the tenant holds.
        client_id: The application that tokens are for when none is named.
    """

    def __init__(self, state: TenantState, client_id: str) -> None:
        self._state, self._client_id = state, client_id

    def logout_token(
        self,
        /,
        *,
        sub: str | None = None,
        sid: str | None = None,
        client_id: str | None = None,
        issuer: str | None = None,
        header: Mapping[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """Sign a logout token (OpenID Connect Back-Channel Logout 1.0, section 2.4).

        Args:
            sub: The user; no such claim when None.
            sid: The session, which the user's ID token names; no such claim when None.
            client_id: The application that it is for; the default one when None.
            issuer: The issuer; that of the address by which the tenant was reached last when None.
            header: Header parameters, which win; one that is None is left out.
            **claims: Further claims, which win; one that is None is left out.

        Raises:
            KeyError: The application does not exist.
        """
        application = self._state.applications.get(client_id or self._client_id)
        if application is None:
            raise KeyError(client_id)
        now = int(self._state.clock())
        usual = {
            "iss": issuer or self._state.last_issuer,
            "aud": application.client_id,
            "iat": now,
            "exp": now + LOGOUT_TOKEN_LIFETIME,
            "jti": secrets.token_urlsafe(16),
            "events": {LOGOUT_EVENT: {}},
            "sub": sub,
            "sid": sid,
        }
        key = self._state.keys.id_token_key(application)
        return key.sign(_given({**usual, **claims}), header=_given({"typ": "logout+jwt", **(header or {})}))

    def send_backchannel_logout(self, /, url: str, *, logout_token: str | None = None, **claims: Any) -> Response:
        """Send a logout token to an application, as a tenant does when a session ends (section 2.5 there).

        Args:
            url: The application's back-channel logout URL, on a loopback host.
            logout_token: The token; one that `logout_token` makes of the rest when None.
            **claims: Arguments of `logout_token`.

        Returns:
            The application's reply, whatever it is; redirects are not followed.

        Raises:
            ValueError: The URL is not on a loopback host.
            requests.RequestException: The application cannot be reached, or takes longer than ten seconds.
        """
        from requests import Session

        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not is_loopback(parts.hostname or ""):
            raise ValueError(f"logout tokens are only sent to loopback hosts, not to {url!r}")
        form = {"logout_token": logout_token or self.logout_token(**claims)}
        with Session() as session:
            session.trust_env = False  # no proxy stands between a tenant and its application
            return session.post(url, data=form, timeout=10, allow_redirects=False)


def _given(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
