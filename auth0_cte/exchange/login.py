"""A login: an exchange that owes an ID token, and the session that it begins."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from auth0_cte.auth_types import LoginWithCustomTokenExchangeOptions
from auth0_cte.auth_types.session import LoginWithCustomTokenExchangeResult
from auth0_cte.error import IdTokenError, MfaRequiredError
from auth0_cte.exchange.identity import check_identity
from auth0_cte.exchange.options import validate, with_openid
from auth0_cte.exchange.response import act_error_of
from auth0_cte.oauth.domain import domain_of
from auth0_cte.oauth.id_token import read_time
from auth0_cte.session.claims import read_session_expiry
from auth0_cte.session.serialization import from_login, to_state_data

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from auth0_cte.auth_types import CustomTokenExchangeOptions, Session, TokenExchangeResponse
    from auth0_cte.auth_types.exchange import StoreOptions
    from auth0_cte.exchange.exchanger import Exchanger
    from auth0_cte.oauth.issuer import Issuer
    from auth0_cte.session.carrier import Carrier
    from auth0_cte.session.manager import SessionManager

__all__ = ["Logins"]


class Logins:
    """Logs users in.

    Args:
        exchanger: Exchanges their tokens.
        sessions: Where their sessions begin.
        interrupted: What is told of a login that a second factor interrupts, with its options and carrier.
    """

    def __init__(
        self,
        exchanger: Exchanger,
        sessions: SessionManager,
        interrupted: Callable[[MfaRequiredError, CustomTokenExchangeOptions, Carrier], None],
    ) -> None:
        self._exchanger, self._sessions, self._interrupted = exchanger, sessions, interrupted

    def log_in(
        self, options: CustomTokenExchangeOptions | Mapping[str, Any] | None, store_options: StoreOptions
    ) -> LoginWithCustomTokenExchangeResult:
        """Exchange and begin a session. See `ServerClient.login_with_custom_token_exchange`."""
        given = with_openid(validate(options, LoginWithCustomTokenExchangeOptions, self._exchanger.defaults))
        carrier = self._sessions.writable_carrier(store_options)
        given = self._exchanger.located(given, store_options)
        try:
            issuer, response = self._exchanger.exchange_at(self._exchanger.server.domain_for(store_options), given)
        except MfaRequiredError as error:
            self._interrupted(error, given, carrier)
            raise
        return self.begin(carrier, given, issuer, response)

    def begin(
        self, carrier: Carrier, options: CustomTokenExchangeOptions, issuer: Issuer, response: TokenExchangeResponse
    ) -> LoginWithCustomTokenExchangeResult:
        """Begin the session of a response, after every check of a login.

        Raises:
            IdTokenError: The ID token is missing, failed verification, or does not name the actor.
            OrganizationError: The user does not belong to the organization that was asked for.
            SessionError: The session cannot be written, or the upstream session has ended.
        """
        session = self._new_session(options, issuer, response)
        self._sessions.start(carrier, session, issuer.issuer)
        return LoginWithCustomTokenExchangeResult(
            session=session,
            state_data=to_state_data(session),
            authorization_details=response.extra.get("authorization_details"),
            recovery_code=response.extra.get("recovery_code"),
        )

    def _new_session(
        self, options: CustomTokenExchangeOptions, issuer: Issuer, response: TokenExchangeResponse
    ) -> Session:
        claims = response.claims
        if claims is None:
            raise response.id_token_error or IdTokenError("the login brought no ID token", code="MISSING_ID_TOKEN")
        act_error = act_error_of(options, claims, response.act, response.id_token_error)
        if act_error is not None:
            raise act_error  # the session would pass for the user's own
        check_identity(response, organization=options.organization, has_actor=options.actor_token is not None)
        sid = claims.get("sid")
        return from_login(
            claims,
            response,
            domain=domain_of(issuer.issuer),
            audience=options.audience,
            scope=str(options.scope or ""),
            sid=sid if isinstance(sid, str) and sid else secrets.token_urlsafe(24),
            now=self._exchanger.server.clock(),
            user=self._sessions.claims.of(claims),
            expires_at=read_session_expiry(claims, self._sessions.lifetime.shortest_end(read_time(claims["exp"]))),
            dpop_thumbprint=self._exchanger.server.dpop_thumbprint,
        )
