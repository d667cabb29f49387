"""Back-channel logout: what the tenant tells applications when a session ends."""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from auth0_cte.foundation.urls import is_loopback
from auth0_cte.testing.journal import LogEntry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from requests import Response

    from auth0_cte.testing.issued.logins import Login
    from auth0_cte.testing.registry.applications import Application
    from auth0_cte.testing.state import TenantState

__all__ = ["BackchannelLogout", "check_loopback_url"]

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
        self._lock = threading.Lock()
        self._deliveries: list[threading.Thread] = []

    def session_ended(self, sid: str) -> None:
        """Tell the application of a session that it has ended, without waiting for it."""
        self._deliver(self._state.logins.end(sid=sid))

    def user_ended(self, user_id: str) -> None:
        """Tell all applications of a user's sessions that they have ended, and wait until they have answered."""
        self._deliver(self._state.logins.end(user_id=user_id))
        self.wait()

    def wait(self) -> None:
        """Wait until all logout tokens were delivered, or refused."""
        with self._lock:
            deliveries, self._deliveries = self._deliveries, []
        for thread in deliveries:
            thread.join()

    def _deliver(self, ended: Sequence[Login]) -> None:
        for login in ended:
            application = self._state.applications.get(login.client_id)
            if application is not None and application.backchannel_logout_url is not None:
                # A thread of its own: the application may be waiting for the reply to a request of its own.
                arguments = (application, application.backchannel_logout_url, login)
                thread = threading.Thread(target=self._tell, args=arguments, daemon=True, name="LocalTenant")
                thread.start()
                with self._lock:
                    self._deliveries.append(thread)

    def _tell(self, application: Application, url: str, login: Login) -> None:
        from requests import RequestException

        try:
            reply = self.send_backchannel_logout(
                url, sub=login.user_id, sid=login.sid, client_id=login.client_id, issuer=login.issuer
            )
            told, status = reply.ok, {"status": str(reply.status_code)}
        except RequestException as error:
            told, status = False, {"error": type(error).__name__}
        self._state.logs.append(
            LogEntry(
                type=f"oidc_backchannel_logout_{'succeeded' if told else 'failed'}",
                date=self._state.clock(),
                description=f"Back-channel logout {'was accepted' if told else 'failed'}",
                tenant_name=self._state.name,
                client_id=application.client_id,
                client_name=application.name,
                user_id=login.user_id,
                ip="127.0.0.1",
                hostname=urlsplit(login.issuer).hostname or "",
                details={"url": url, "sid": login.sid, **status},
            )
        )

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

        check_loopback_url(url)
        form = {"logout_token": logout_token or self.logout_token(**claims)}
        with Session() as session:
            session.trust_env = False  # no proxy stands between a tenant and its application
            return session.post(url, data=form, timeout=10, allow_redirects=False)


def check_loopback_url(url: str) -> None:
    """Raise a `ValueError` for a URL that is not on a loopback host."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not is_loopback(parts.hostname or ""):
        raise ValueError(f"logout tokens are only sent to loopback hosts, not to {url!r}")


def _given(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
