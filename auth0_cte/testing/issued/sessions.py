"""How a session goes on and ends at the tenant: refresh tokens, claims of ID tokens, back-channel logout."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from auth0_cte.foundation.urls import is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping

    from requests import Response

    from auth0_cte.testing.session_settings import IdTokenClaims
    from auth0_cte.testing.state import TenantState

__all__ = ["Sessions"]

LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
LOGOUT_TOKEN_LIFETIME: Final = 120


class Sessions:
    """The part of `LocalTenant` that is about sessions. The settings hold from the next request on."""

    state: TenantState
    client_id: str

    @property
    def rotate_refresh_tokens(self) -> bool:
        """Whether a refresh brings a new refresh token and uses up the old one; True at first."""
        return self.state.session_settings.rotate_refresh_tokens

    @rotate_refresh_tokens.setter
    def rotate_refresh_tokens(self, rotate: bool) -> None:
        self.state.session_settings.rotate_refresh_tokens = rotate

    @property
    def refresh_token_leeway(self) -> float:
        """Seconds during which the refresh token before the newest is still accepted; 0 at first.

        Any other token that was used up costs the whole family (Auth0, "Automatic reuse detection").
        """
        return self.state.session_settings.refresh_token_leeway

    @refresh_token_leeway.setter
    def refresh_token_leeway(self, seconds: float) -> None:
        self.state.session_settings.refresh_token_leeway = seconds

    @property
    def refresh_token_lifetime(self) -> float | None:
        """Seconds from the login until its refresh tokens expire, rotated or not; None, as at first, for never."""
        return self.state.session_settings.refresh_token_lifetime

    @refresh_token_lifetime.setter
    def refresh_token_lifetime(self, seconds: float | None) -> None:
        self.state.session_settings.refresh_token_lifetime = seconds

    @property
    def refresh_id_token(self) -> bool:
        """Whether a refresh with ``openid`` brings an ID token; True at first."""
        return self.state.session_settings.refresh_id_token

    @refresh_id_token.setter
    def refresh_id_token(self, bring: bool) -> None:
        self.state.session_settings.refresh_id_token = bring

    @property
    def rp_initiated_logout(self) -> bool:
        """Whether the metadata names the ``end_session_endpoint``; True at first. It is served either way."""
        return self.state.session_settings.rp_initiated_logout

    @rp_initiated_logout.setter
    def rp_initiated_logout(self, publish: bool) -> None:
        self.state.session_settings.rp_initiated_logout = publish

    @property
    def id_token_claims(self) -> IdTokenClaims:
        """Further claims of every ID token; they win over the tenant's own, and None takes a claim away.

        A mapping, or a function of the user id and the `Application` that returns one:
        ``tenant.id_token_claims = lambda user_id, application: {"roles": ["admin"] * 500}``.
        """
        return self.state.session_settings.id_token_claims

    @id_token_claims.setter
    def id_token_claims(self, claims: IdTokenClaims) -> None:
        self.state.session_settings.id_token_claims = claims

    def revoke_refresh_tokens(self, user_id: str | None = None) -> int:
        """Revoke the refresh tokens of a user, or all of them.

        Args:
            user_id: The user; everybody when None.

        Returns:
            How many tokens were revoked.
        """
        return self.state.refresh_tokens.revoke(user_id)

    def logout_token(
        self,
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
            KeyError: There is no such application.
        """
        application = self.state.applications.get(client_id or self.client_id)
        if application is None:
            raise KeyError(client_id)
        now = int(self.state.clock())
        usual = {
            "iss": issuer or self._last_issuer(),
            "aud": application.client_id,
            "iat": now,
            "exp": now + LOGOUT_TOKEN_LIFETIME,
            "jti": secrets.token_urlsafe(16),
            "events": {LOGOUT_EVENT: {}},
            "sub": sub,
            "sid": sid,
        }
        key = self.state.keys.id_token_key(application)
        return key.sign(_given({**usual, **claims}), header=_given({"typ": "logout+jwt", **(header or {})}))

    def send_backchannel_logout(self, url: str, *, logout_token: str | None = None, **claims: Any) -> Response:
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
            raise ValueError(f"logout tokens are sent to loopback hosts alone, not to {url!r}")
        form = {"logout_token": logout_token or self.logout_token(**claims)}
        with Session() as session:
            session.trust_env = False  # no proxy stands between a tenant and its application
            return session.post(url, data=form, timeout=10, allow_redirects=False)

    def _last_issuer(self) -> str:
        requests = list(self.state.requests)
        return requests[-1].issuer if requests else f"https://{self.state.domain}/"


def _given(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
