"""Token Vault: the access tokens of other providers whose accounts a session's user has connected.

Source: Auth0, "Token Vault". Tokens are kept where auth0-server-python keeps them: ``connection_token_sets``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve, frozen

from auth0_cte.error import (
    AccessTokenError,
    AccessTokenForConnectionError,
    CustomTokenExchangeError,
    DiscoveryError,
    TransportError,
    without_frames,
)
from auth0_cte.foundation.validation import text_fault
from auth0_cte.oauth.call import Call
from auth0_cte.oauth.domain import issuer_url
from auth0_cte.oauth.error_response import unusable_reply
from auth0_cte.session.access_tokens import EXPIRY_MARGIN
from auth0_cte.session.serialization import CONNECTION_TOKEN_SETS, DEFAULT_AUDIENCE
from auth0_cte.token_types import FEDERATED_CONNECTION_ACCESS_TOKEN, REFRESH_TOKEN

if TYPE_CHECKING:
    from auth0_cte.auth_types import Session, TokenExchangeResponse
    from auth0_cte.auth_types.exchange import ForwardedFor, StoreOptions
    from auth0_cte.exchange.exchanger import Exchanger
    from auth0_cte.session.sessions import Sessions

__all__ = ["ConnectionTokens", "WantedAccount"]

GRANT_TYPE: Final = "urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token"
USUAL_SECONDS: Final = 3600
"""How long a provider's token is kept when the reply does not tell, as auth0-server-python has it."""

_TOLD: Final = ("status_code", "error", "error_description", "is_retryable", "retry_after", "request_id")


@frozen
class WantedAccount:
    """Whose token is asked for.

    Args:
        connection: The connection's name.
        login_hint: The account at the provider, or None for the first one.
    """

    connection: str
    login_hint: str | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any] | None, connection: str | None, login_hint: str | None) -> WantedAccount:
        """Read the arguments of a call, as a mapping or by keywords.

        Raises:
            AccessTokenForConnectionError: ``INVALID_OPTIONS``.
        """
        given: Any = {} if options is None else options
        if not isinstance(given, Mapping):
            raise _invalid("options must be a dict with connection and, if need be, login_hint")
        unknown = sorted(str(name) for name in given if name not in ("connection", "login_hint"))
        if unknown:
            raise _invalid(f"unknown options: {', '.join(unknown)}; there are connection and login_hint")
        found: dict[str, Any] = {"connection": given.get("connection"), "login_hint": given.get("login_hint")}
        for name, value in (("connection", connection), ("login_hint", login_hint)):
            if value is not None and found[name] not in (None, value):
                raise _invalid(f"{name} is given both in the options and, differently, by keyword")
            found[name] = value if found[name] is None else found[name]
            fault = None if found[name] is None and name == "login_hint" else text_fault(found[name])
            if fault is not None:
                raise _invalid(f"{name} {fault}")
        return cls(found["connection"], found["login_hint"])

    def find(self, session: Session, now: float) -> str | None:
        """Return the access token that a session has, unless it expires at once."""
        for each in _kept(session):
            expires_at = each.get("expires_at")
            if self._is(each) and isinstance(expires_at, int | float) and expires_at - EXPIRY_MARGIN > now:
                token = each.get("access_token")
                return token if isinstance(token, str) else None
        return None

    def kept_in(self, session: Session, response: TokenExchangeResponse, now: float) -> Session:
        """Return the session with the token of a response, in place of the one before."""
        fresh = {
            "audience": DEFAULT_AUDIENCE,  # which auth0-server-python's model requires, as it does a text for the hint
            "connection": self.connection,
            "login_hint": self.login_hint or "",
            "access_token": response.access_token,
            "scope": response.scope,
            "expires_at": int(now) + (USUAL_SECONDS if response.expires_in is None else response.expires_in),
        }
        others = [each for each in _kept(session) if not self._is(each)]
        return evolve(session, extra={**session.extra, CONNECTION_TOKEN_SETS: [*others, fresh]})

    def _is(self, kept: Mapping[str, Any]) -> bool:
        return kept.get("connection") == self.connection and (kept.get("login_hint") or None) == self.login_hint


class ConnectionTokens:
    """Gets other providers' tokens for the users of sessions.

    Args:
        exchanger: Its way to the token endpoint is used.
        sessions: The sessions.
    """

    def __init__(self, exchanger: Exchanger, sessions: Sessions) -> None:
        self._exchanger, self._sessions = exchanger, sessions

    def get(self, wanted: WantedAccount, store_options: StoreOptions, forwarded_for: ForwardedFor) -> str:
        """Return a valid access token. See `ServerClient.get_access_token_for_connection`."""
        server = self._exchanger.server
        session = self._sessions.get(store_options)
        if session is None:
            raise _missing("nobody is logged in")
        kept = wanted.find(session, server.clock())
        if kept is not None:
            return kept
        address = server.address_for(forwarded_for, store_options)
        tokens: list[str] = []

        def renewed(current: Session) -> Session | None:
            found = wanted.find(current, server.clock())
            if found is not None:  # whoever had the lock before has got it
                tokens.append(found)
                return None
            response = self._ask(current, wanted, address)
            tokens.append(response.access_token)
            return wanted.kept_in(current, response, server.clock())

        try:
            self._sessions.change(store_options, renewed)
        except AccessTokenForConnectionError:
            raise
        except AccessTokenError as error:  # it has ended meanwhile
            raise _missing(error.message) from without_frames(error)
        return tokens[-1]

    def _ask(self, session: Session, wanted: WantedAccount, address: str | None) -> TokenExchangeResponse:
        if session.refresh_token is None:
            raise _missing("the session has no refresh token, which Token Vault requires")
        server = self._exchanger.server
        form = [
            ("grant_type", GRANT_TYPE),
            ("client_id", server.client_id),
            ("subject_token", session.refresh_token),
            ("subject_token_type", REFRESH_TOKEN),
            ("requested_token_type", FEDERATED_CONNECTION_ACCESS_TOKEN),
            ("connection", wanted.connection),
        ]
        if wanted.login_hint is not None:
            form.append(("login_hint", wanted.login_hint))
        domain = issuer_url(session.domain) if session.domain else server.domain_for(None)
        try:
            response = self._exchanger.ask(Call(domain, server.timeout, address), form)[1]
            if response.issued_token_type not in (None, FEDERATED_CONNECTION_ACCESS_TOKEN):
                raise unusable_reply("issued_token_type is not that of a connection's access token")
        except (CustomTokenExchangeError, TransportError, DiscoveryError) as error:
            told = {name: getattr(error, name, None) for name in _TOLD}
            is_answered = told["error"] is not None
            told["is_retryable"] = bool(told["is_retryable"]) or isinstance(error, TransportError | DiscoveryError)
            if is_answered:
                failure = AccessTokenForConnectionError(error.message, code="API_ERROR", **told)
            else:
                failure = AccessTokenForConnectionError(error.message, code="FETCH_ERROR", **told)
            raise failure from without_frames(error)
        return response


def _kept(session: Session) -> Sequence[Mapping[str, Any]]:
    kept = session.extra.get(CONNECTION_TOKEN_SETS)
    return [each for each in kept if isinstance(each, Mapping)] if isinstance(kept, list) else []


def _invalid(message: str) -> AccessTokenForConnectionError:
    return AccessTokenForConnectionError(message, code="INVALID_OPTIONS")


def _missing(fault: str) -> AccessTokenForConnectionError:
    return AccessTokenForConnectionError(
        f"no token of the connection can be had: {fault}",
        code="MISSING_REFRESH_TOKEN",
        _hint="Log the user in with offline_access in the scope; a session with an actor has no refresh token.",
    )
