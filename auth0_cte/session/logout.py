"""The end of a session: at Auth0, and on Auth0's word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from auth0_cte.error import ConfigurationError, IdTokenError
from auth0_cte.foundation.ttl_cache import TTLCache
from auth0_cte.foundation.urls import Url
from auth0_cte.session.claims import sid_of_user
from auth0_cte.session.stores.contract import Owner, file_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from auth0_cte.session.stores.contract import StateStore

__all__ = ["LogoutTokens", "logout_url"]

REMEMBERED_SECONDS: Final = 2 * 3600.0
"""Longer than any logout token is accepted."""


def logout_url(issuer: str, client_id: str, return_to: str | None) -> str:
    """Return the URL that ends the session at Auth0 (Auth0, "Log Users Out of Auth0").

    Args:
        issuer: The issuer URL, with its trailing slash.
        client_id: The application.
        return_to: Where the browser goes then, or None.

    Raises:
        ConfigurationError: ``return_to`` is not an absolute http or https URL.
    """
    query = {"client_id": client_id}
    if return_to is not None:
        _check_return_to(return_to)
        query["returnTo"] = return_to
    return f"{issuer}v2/logout?{urlencode(query)}"


def _check_return_to(url: object) -> None:
    try:
        Url.parse(url)
    except ValueError:
        is_url = False
    else:
        is_url = str(url).isprintable() and " " not in str(url)
    if not is_url:
        raise ConfigurationError("return_to must be an absolute http or https URL")


class LogoutTokens:
    """Applies verified logout tokens, and rejects replays.

    Tokens are remembered here and in the store, which other processes share; by a hash, because they are as long as
    their sender likes.

    Args:
        clock: The time in Unix seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._seen: TTLCache[str, bool] = TTLCache(maxsize=100_000, ttl=REMEMBERED_SECONDS, monotonic=clock)

    def carry_out(self, claims: Mapping[str, Any], store: StateStore) -> int:
        """End the sessions that verified claims name, by ``sid`` or else all of the issuer's ``sub``.

        With both, sessions of the user whose ID token had no ``sid`` end, too. Sessions that began after the token was
        issued are left: a token that is sent again does not end the user's next session.

        Raises:
            IdTokenError: The token was carried out before.
            SessionError: The store cannot be reached, or cannot find sessions.
        """
        issuer, sid, sub = claims["iss"], claims.get("sid"), claims.get("sub")
        name = file_name(f"logout token {issuer} {claims['jti']}")  # each issuer names its own
        if self._seen.get(name) or (not store.stateless and store.get(name) is not None):
            raise IdTokenError("the logout token was used before", claim="jti", code="REPLAYED_LOGOUT_TOKEN")
        ended = store.delete_by_owner(issuer, sid=sid, sub=sub, until=claims["iat"])
        if sid is not None and sub is not None:
            ended += store.delete_by_owner(issuer, sid=sid_of_user(sub), sub=sub, until=claims["iat"])
        # Only now, so that Auth0's next attempt counts when the store was down.
        self._seen.set(name, True)
        store.create(name, "logout token", Owner(issuer, "logout token", "logout token"), REMEMBERED_SECONDS)
        return ended
