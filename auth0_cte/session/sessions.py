"""What a client does with the sessions of its users: find one, use its tokens, end it."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve

from auth0_cte.error import (
    AccessTokenError,
    BackchannelLogoutError,
    ConfigurationError,
    IdTokenError,
    MfaRequiredError,
    RevocationError,
    SessionError,
    SessionExpiredError,
)
from auth0_cte.foundation.validation import check_number, text_fault
from auth0_cte.oauth.call import Call
from auth0_cte.oauth.domain import domain_of, is_domain, issuer_url
from auth0_cte.session.access_tokens import EXPIRY_MARGIN, AccessTokens, Wanted
from auth0_cte.session.claims import issuer_of
from auth0_cte.session.logout import LogoutTokens, Revocations, logout_options, logout_url, owners_of
from auth0_cte.session.stores.contract import file_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import TypeAlias

    from auth0_cte.auth_types import LogoutOptions, Session, TokenExchangeResponse
    from auth0_cte.auth_types.exchange import ForwardedFor, StoreOptions
    from auth0_cte.oauth.authorization_server import AuthorizationServer
    from auth0_cte.session.carrier import Carrier
    from auth0_cte.session.manager import Loaded, SessionManager
    from auth0_cte.session.stores.contract import StateStore

    Adopt: TypeAlias = Callable[[TokenExchangeResponse, str | None, str | None], Session]

__all__ = ["Sessions"]

logger: Final = logging.getLogger("auth0_cte")

MAX_MARGIN: Final = 86_400.0


class Sessions:
    """The sessions of a client's users.

    Args:
        manager: Reads and writes them.
        server: The authorization server that they must come from.
        refresh: Sends a refresh grant for a session.
        reexchange: Runs the exchange of a delegated session again, or None.
        interrupted: What is told of a refresh that a second factor interrupts: which session it is of, the audience and
            the scopes.
        scopes: The scopes that access tokens of other APIs than the login's are asked for with, by audience.
    """

    def __init__(
        self,
        manager: SessionManager,
        server: AuthorizationServer,
        refresh: Callable[[Session, Wanted], TokenExchangeResponse],
        reexchange: Callable[[Session, Wanted], TokenExchangeResponse] | None = None,
        interrupted: Callable[[MfaRequiredError, str, str | None, str | None], None] | None = None,
        scopes: Mapping[str, str] | None = None,
    ) -> None:
        self._interrupted, self._scopes = interrupted, scopes or {}
        self.manager: SessionManager = manager
        self._server = server
        self._access_tokens = AccessTokens(
            sessions=manager, refresh=refresh, clock=server.clock, timeout=server.timeout, reexchange=reexchange
        )
        self._logout_tokens = LogoutTokens(server.clock)
        self._revocations = Revocations(server)

    @property
    def store(self) -> StateStore:
        """Where the sessions are kept."""
        return self.manager.store

    def get(self, store_options: StoreOptions) -> Session | None:
        """Return the session of a request, or None. See `ServerClient.get_session`."""
        loaded = self.load(store_options)
        return None if loaded is None else loaded.session

    def load(self, store_options: StoreOptions, domain: str | None = None) -> Loaded | None:
        """Return the session of a request, if it belongs to the domain of the request.

        Args:
            store_options: The request.
            domain: The issuer URL of the request, where it is known already.
        """
        return self.manager.load(self.manager.carrier(store_options), self._is_here(store_options, domain))

    def _is_here(self, store_options: StoreOptions, domain: str | None = None) -> Callable[[Session], bool]:
        """Return what tells whether a session belongs to the domain of a request; a resolver is asked once, if at all.

        A session of one tenant is none at another, whatever secret they share. One that another SDK wrote may have no
        domain; its ID token has.
        """
        expected: str | None = None

        def is_here(session: Session) -> bool:
            nonlocal expected
            # With several domains it could be any's.
            found = session.domain or (None if callable(self._server.domain) else issuer_of(session))
            if found is None:
                return False
            if expected is None:
                expected = domain_of(domain or self._server.domain_for(store_options))
            return is_domain(found, expected)

        return is_here

    def access_token(
        self,
        store_options: StoreOptions,
        audience: str | None,
        scope: str | None,
        forwarded_for: ForwardedFor = None,
        *,
        force: bool = False,
        leeway: float = EXPIRY_MARGIN,
    ) -> str:
        """Return a valid access token of the session. See `ServerClient.get_access_token`."""
        check_number("leeway", leeway, at_least=0, at_most=MAX_MARGIN, unit="seconds")
        carrier = self.manager.carrier(store_options)
        loaded = self.load(store_options)
        if loaded is None and self.manager.has_expired(carrier, self._is_here(store_options)):
            raise SessionExpiredError("the upstream session that the login rested on has ended")
        if loaded is None:
            raise AccessTokenError("nobody is logged in", code="MISSING_SESSION")
        address = self._server.address_for(forwarded_for, store_options)
        asked = self._asked(loaded.session, audience, scope)
        wanted = Wanted(audience, scope, asked=asked, margin=leeway, forwarded_for=address)
        try:
            return self._access_tokens.get(carrier, loaded, wanted, force=force)
        except MfaRequiredError as error:
            if self._interrupted is not None:
                self._interrupted(error, _name_of(loaded.session), audience, asked)
            raise

    def _asked(self, session: Session, audience: str | None, scope: str | None) -> str | None:
        """Return the scopes to ask for: those of the login for its audience, else what the client has by audience."""
        found = audience or session.default_audience
        if scope is None and found == session.default_audience:
            return None
        scopes = [*self._scopes.get(found, "").split(), *(scope or "").split()]
        return " ".join(dict.fromkeys(scopes)) or None

    @contextmanager
    def adopting(self, store_options: StoreOptions, name: str) -> Iterator[tuple[Session, Adopt]]:
        """Give what a second factor brought to the session whose refresh it interrupted, which the request must have.

        Args:
            store_options: The request and the response.
            name: Which session it is.

        Yields:
            The session, and what is called with the response, its audience and its scopes; that returns the session as
            it is then.

        Raises:
            SessionError: ``SESSION_MISMATCH``: the request has another session, or none. Nothing was sent.
        """
        carrier, loaded = self.manager.carrier(store_options), self.load(store_options)
        if loaded is None or _name_of(loaded.session) != name:
            message = "the second factor was asked for in another session than the request has"
            raise SessionError(message, code="SESSION_MISMATCH")
        if self.manager.store.stateless:
            self.manager.require_writable(carrier)
        yield loaded.session, partial(self._access_tokens.adopt, carrier, loaded)

    def with_fresh_id_token(self, carrier: Carrier, loaded: Loaded) -> Session:
        """Return the session with an ID token that does not expire at once, refreshed if need be."""
        return self._access_tokens.with_id_token(carrier, loaded, self._server.leeway)

    def log_out(
        self,
        options: LogoutOptions | Mapping[str, Any] | None,
        store_options: StoreOptions,
        return_to: str | None,
        *,
        revoke: bool = False,
    ) -> str:
        """End the session of a request. See `ServerClient.logout`."""
        wanted = logout_options(options, return_to)
        carrier = self.manager.carrier(store_options)
        domain = self._server.domain_for(store_options)
        self.manager.require_writable(carrier)
        told = revoke or self.manager.settings.revoke_refresh_tokens
        loaded = self.load(store_options, domain) if told or wanted.oidc else None
        session = None if loaded is None else loaded.session
        url = logout_url(domain, self._server.client_id, wanted, session)
        self.manager.end(carrier)
        error = self._revocation_error(session) if told and session is not None else None
        if error is not None and revoke:
            error.logout_url = url
            raise error
        return url

    def revoke(self, refresh_token: str | None, store_options: StoreOptions) -> None:
        """Revoke a refresh token. See `ServerClient.revoke_refresh_token`."""
        if refresh_token is not None:
            fault = text_fault(refresh_token, ascii_only=True)
            if fault is not None:
                raise ConfigurationError(f"refresh_token {fault}")
            self._revocations.revoke(refresh_token, self._server.domain_for(store_options))
            return
        carrier, loaded = self.manager.carrier(store_options), self.load(store_options)
        if loaded is None:
            raise AccessTokenError("nobody is logged in", code="MISSING_SESSION")
        if self.manager.store.stateless:
            self.manager.require_writable(carrier)

        def revoked(session: Session) -> Session:
            self._revoke_of(session)
            return evolve(session, refresh_token=None)

        self._access_tokens.change(carrier, loaded, revoked)

    def change(self, store_options: StoreOptions, change: Callable[[Session], Session | None]) -> None:
        """Change the session of a request, while nobody else does.

        A session in cookies that cannot be set is changed for this call alone.

        Raises:
            AccessTokenError: Nobody is logged in, or the session has ended.
        """
        carrier, loaded = self.manager.carrier(store_options), self.load(store_options)
        if loaded is None:
            raise AccessTokenError("nobody is logged in", code="MISSING_SESSION")
        self._access_tokens.change(carrier, loaded, change)

    def _revoke_of(self, session: Session) -> None:
        if session.refresh_token is not None:
            domain = issuer_url(session.domain) if session.domain else self._server.domain_for(None)
            self._revocations.revoke(session.refresh_token, domain)

    def _revocation_error(self, session: Session) -> RevocationError | None:
        """Revoke the refresh token of a session that has ended; a failure is returned, and stands in the log."""
        try:
            self._revoke_of(session)
        except RevocationError as error:
            logger.warning("a session was ended, but its refresh token may still be good: %s", error.message)
            return error
        return None

    def end_by_logout_token(self, logout_token: str, store_options: StoreOptions) -> int:
        """End the sessions that a logout token names. See `ServerClient.handle_backchannel_logout`."""
        call = Call(self._server.domain_for(store_options), self._server.timeout)
        issuer = self._server.issuer(call)
        try:
            claims = self._server.verifier.verify_logout_token(logout_token, issuer, call.deadline)
            found: list[Session] = []
            if self.manager.settings.revoke_refresh_tokens:
                for sid in owners_of(claims):
                    found += self.manager.owned(claims["iss"], sid=sid, sub=claims.get("sub"), until=claims["iat"])
            ended = self._logout_tokens.carry_out(claims, self.manager.guarded)
        except IdTokenError as error:
            raise BackchannelLogoutError(
                error.message, code=error.code, claim=error.claim, is_retryable=error.is_retryable
            ) from error.__cause__
        for session in found:
            self._revocation_error(session)
        return ended


def _name_of(session: Session) -> str:
    """Return what tells a session from all others, whichever of its cookies came."""
    return file_name(f"{session.domain} {session.user['sub']} {session.sid} {session.created_at}")
