"""The end of a session: at Auth0, and on Auth0's word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from attrs import evolve, fields, frozen

from auth0_cte.auth_types.logout import LogoutOptions
from auth0_cte.error import Auth0CTEError, ConfigurationError, IdTokenError, RevocationError, without_frames
from auth0_cte.foundation.ttl_cache import TTLCache
from auth0_cte.foundation.urls import Url
from auth0_cte.foundation.validation import unknown_fault
from auth0_cte.oauth.call import Call
from auth0_cte.oauth.client_auth.mutual_tls import MutualTls
from auth0_cte.oauth.token_endpoint import TokenRequest
from auth0_cte.session.claims import sid_of_user
from auth0_cte.session.stores.contract import Owner, file_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from auth0_cte.auth_types import Session
    from auth0_cte.oauth.authorization_server import AuthorizationServer
    from auth0_cte.session.stores.contract import StateStore

__all__ = ["LogoutTokens", "Revocations", "logout_options", "logout_url", "owners_of"]

REVOCATION_ENDPOINT: Final = "the revocation endpoint"
REMEMBERED_SECONDS: Final = 2 * 3600.0
"""Longer than any logout token is accepted."""

_TOLD: Final = ("status_code", "error", "error_description", "is_retryable", "retry_after", "request_id")


def logout_options(options: LogoutOptions | Mapping[str, Any] | None, return_to: str | None) -> LogoutOptions:
    """Check the options of a logout.

    Args:
        options: The options, or a dict of the same keys; None for the defaults.
        return_to: The same as the option, by itself.

    Raises:
        ConfigurationError: They are something else; for a request in their place the message names ``store_options``.
    """
    if isinstance(options, Mapping):
        known = [field.name for field in fields(LogoutOptions)]
        unknown = sorted(str(name) for name in options if name not in known)
        if {"request", "response", "cookies", "carrier"} & set(unknown):
            raise ConfigurationError("logout takes the request by name: logout(store_options={...})")
        if unknown:
            raise ConfigurationError(f"{unknown_fault(options, known)}; a logout has {', '.join(known)}")
        options = LogoutOptions(**options)
    elif isinstance(options, str):
        raise ConfigurationError("logout takes the URL by name: logout(return_to=…)")
    elif options is not None and not isinstance(options, LogoutOptions):
        raise ConfigurationError(
            f"options must be LogoutOptions(...), not a {type(options).__name__}; the request goes into store_options"
        )
    found = LogoutOptions() if options is None else options
    if return_to is not None and found.return_to not in (None, return_to):
        raise ConfigurationError("return_to is given twice, and differently")
    found = evolve(found, return_to=return_to) if return_to is not None else found
    if found.return_to is not None:
        _check_return_to(found.return_to)
    return found


def logout_url(issuer: str, client_id: str, options: LogoutOptions, session: Session | None) -> str:
    """Return the URL that ends the session at Auth0 (Auth0, "Log Users Out of Auth0").

    Args:
        issuer: The issuer URL, with its trailing slash.
        client_id: The application.
        options: How it is ended.
        session: The session, for the ``id_token_hint`` of OpenID Connect RP-Initiated Logout 1.0; or None.
    """
    query = {"client_id": client_id}
    if options.oidc and session is not None and session.id_token is not None:
        query["id_token_hint"] = session.id_token
    if options.return_to is not None:
        query["post_logout_redirect_uri" if options.oidc else "returnTo"] = options.return_to
    # Auth0 reads the name alone.
    return f"{issuer}{'oidc' if options.oidc else 'v2'}/logout?{urlencode(query)}{'&federated' * options.federated}"


def _check_return_to(url: object) -> None:
    try:
        Url.parse(url)
    except ValueError:
        is_url = False
    else:
        is_url = str(url).isprintable() and " " not in str(url)
    if not is_url:
        raise ConfigurationError("return_to must be an absolute http or https URL")


def owners_of(claims: Mapping[str, Any]) -> list[str | None]:
    """Return each ``sid`` that a logout token's claims end sessions of; None for all of its ``sub``.

    With ``sid`` and ``sub``, sessions of the user whose ID token had no ``sid`` end, too.
    """
    sid, sub = claims.get("sid"), claims.get("sub")
    return [sid] if sid is None or sub is None else [sid, sid_of_user(sub)]


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
        issuer, sub = claims["iss"], claims.get("sub")
        name = file_name(f"logout token {issuer} {claims['jti']}")  # each issuer names its own
        if self._seen.get(name) or (not store.stateless and store.get(name) is not None):
            raise IdTokenError("the logout token was used before", claim="jti", code="REPLAYED_LOGOUT_TOKEN")
        ended = sum(store.delete_by_owner(issuer, sid=each, sub=sub, until=claims["iat"]) for each in owners_of(claims))
        # Only now, so that Auth0's next attempt counts when the store was down.
        self._seen.set(name, True)
        store.create(name, "logout token", Owner(issuer, "logout token", "logout token"), REMEMBERED_SECONDS)
        return ended


@frozen(eq=False, repr=False)
class Revocations:
    """Revokes refresh tokens of the application (RFC 7009; Auth0, "Revoke Refresh Token").

    Args:
        server: The authorization server.
    """

    server: AuthorizationServer

    def revoke(self, refresh_token: str, domain: str) -> None:
        """Revoke a refresh token, and with it those that rotation makes of it.

        Args:
            refresh_token: The token; one that is dead already is accepted.
            domain: The issuer URL of the domain that issued it: no other one may see it.

        Raises:
            RevocationError: Auth0 refused or could not be reached: the token may still be good.
        """
        try:
            self._send(refresh_token, Call(domain, self.server.timeout))
        except Auth0CTEError as error:
            cause = without_frames(error)
        else:
            return
        told = {name: getattr(cause, name, None) for name in _TOLD}
        told["is_retryable"] = bool(told["is_retryable"]) or not isinstance(told["status_code"], int)
        code = told["error"] or RevocationError.code
        raise RevocationError(f"the refresh token was not revoked: {cause.message}", code=code, **told) from cause

    def _send(self, refresh_token: str, call: Call) -> None:
        issuer, endpoint = self.server.issuer(call), self.server.token_endpoint
        with_certificate = isinstance(endpoint.client_auth, MutualTls)
        alias = issuer.mutual_tls_alias("revocation_endpoint") if with_certificate else None
        url = alias or issuer.endpoint("revocation_endpoint") or issuer.url("oauth/revoke")
        form = [("client_id", endpoint.client_id), ("token", refresh_token), ("token_type_hint", "refresh_token")]
        request = TokenRequest(issuer=issuer, url=url, form=form, call=call)
        endpoint.ask(request, endpoint.authenticated, lambda _: None, sender=REVOCATION_ENDPOINT)
