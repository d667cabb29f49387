"""Access tokens of a session, refreshed when they have expired: once, however many ask for it at the same time."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from attrs import Factory, evolve, field, frozen

from auth0_cte.error import AccessTokenError, SessionError
from auth0_cte.foundation.concurrency import KeyedLocks, SingleFlight
from auth0_cte.foundation.ttl_cache import TTLCache
from auth0_cte.oauth.id_token import id_token_expiry
from auth0_cte.session.rotations import generation_of
from auth0_cte.session.serialization import with_tokens
from auth0_cte.session.stores.contract import file_name, held_in_memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from auth0_cte.auth_types import Session, TokenExchangeResponse, TokenSet
    from auth0_cte.session.carrier import Carrier
    from auth0_cte.session.manager import Loaded, SessionManager

__all__ = ["AccessTokens", "Wanted"]

ENDING: Final = frozenset(
    {"invalid_grant", "SUBJECT_MISMATCH", "ORGANIZATION_MISMATCH", "ACTOR_MISMATCH", "INVALID_ID_TOKEN"}
)
"""Failures of a refresh after which the session cannot go on."""

EXPIRY_MARGIN: Final = 10
"""A token with fewer seconds left would expire on its way."""
UNWRITTEN_SECONDS: Final = 60.0
"""How long a refreshed session that could not be written is kept for the next call."""


@frozen
class Wanted:
    """Which access token is asked for.

    Args:
        audience: The API; None for the one of the login.
        scope: The scopes that it must have at least, separated by spaces; None for any.
        id_token_margin: When it is the ID token that is wanted: for how many seconds it must be good still.
        asked: The scopes to ask for, where they are more: those that it must have when not given.
        margin: For how many seconds the token must be good still.
        stale: The access token to replace, however long it is good; None for one that has expired.
        forwarded_for: The address of the asking user, or None; others that wait for the same refresh may have another.
    """

    audience: str | None = None
    scope: str | None = None
    id_token_margin: float | None = None
    asked: str | None = field(default=Factory(lambda self: self.scope, takes_self=True))
    margin: float = EXPIRY_MARGIN
    stale: str | None = field(default=None, repr=False)
    forwarded_for: str | None = field(default=None, eq=False)

    def audience_in(self, session: Session) -> str:
        """Return the audience, with the session's default for None."""
        return self.audience or session.default_audience

    def find(self, session: Session, now: float) -> TokenSet | None:
        """Return a token set that serves, is not to be replaced, and lasts for ``margin`` seconds."""
        serving = self._serving(session, now + self.margin)
        return next((each for each in serving if each.access_token != self.stale), None)

    def newest(self, session: Session, now: float) -> TokenSet | None:
        """Return the newest token set that serves and has not expired: nobody can get a fresher one."""
        return next(reversed(self._serving(session, now)), None)

    def _serving(self, session: Session, until: float) -> list[TokenSet]:
        wanted = set((self.scope or "").split())
        return [
            each
            for each in session.token_sets
            if each.audience == self.audience_in(session)
            and wanted <= set((each.scope or "").split())
            and (each.expires_at is None or each.expires_at > until)
        ]

    def is_met(self, session: Session, now: float) -> bool:
        """Tell whether a session has what is asked for, so that no refresh is needed."""
        if self.id_token_margin is not None:
            return id_token_expiry(session.id_token) > now + self.id_token_margin
        return self.find(session, now) is not None


@frozen(kw_only=True)
class AccessTokens:
    """Hands out access tokens.

    Args:
        sessions: The sessions.
        refresh: Sends a refresh grant for a session.
        reexchange: Runs the exchange of a delegated session again, or None.
        clock: The time in Unix seconds.
        timeout: The longest wait for somebody else's refresh, in seconds.
    """

    sessions: SessionManager
    refresh: Callable[[Session, Wanted], TokenExchangeResponse]
    clock: Callable[[], float]
    timeout: float
    reexchange: Callable[[Session, Wanted], TokenExchangeResponse] | None = None
    _flights: SingleFlight[tuple[str, Wanted], Loaded] = field(factory=SingleFlight, init=False, repr=False)
    _turns: KeyedLocks = field(factory=KeyedLocks, init=False, repr=False)
    _unwritten: TTLCache[str, tuple[Loaded, Session]] = field(
        default=Factory(lambda self: self._make_unwritten(), takes_self=True), init=False, repr=False
    )

    def _make_unwritten(self) -> TTLCache[str, tuple[Loaded, Session]]:
        return TTLCache(maxsize=1000, ttl=UNWRITTEN_SECONDS, monotonic=self.clock)

    def get(self, carrier: Carrier, loaded: Loaded, wanted: Wanted, *, force: bool = False) -> str:
        """Return a valid access token, refreshing it first if need be, or in any case.

        Raises:
            AccessTokenError: The refresh token is missing, or it was refused.
            SessionError: The refreshed session cannot be written.
            TransportError: The server could not be reached.
        """
        found = wanted.find(loaded.session, self.clock())
        if found is not None and force:
            wanted, found = evolve(wanted, stale=found.access_token), None
        if found is None:
            found = wanted.newest(self._renew(carrier, loaded, wanted).session, self.clock())
        if found is None:
            raise AccessTokenError("the server granted fewer scopes than are wanted", code="INSUFFICIENT_TOKEN")
        return found.access_token

    def with_id_token(self, carrier: Carrier, loaded: Loaded, margin: float) -> Session:
        """Return the session with an ID token that is good for some seconds yet, refreshed if need be.

        Without a refresh token, and when the refresh brings no ID token, the session is as it was.

        Args:
            carrier: The cookies of the call.
            loaded: The session.
            margin: The seconds.

        Raises:
            AccessTokenError: The refresh token was refused.
            SessionError: The refreshed session cannot be kept.
        """
        wanted = Wanted(id_token_margin=margin)
        if loaded.session.refresh_token is None or wanted.is_met(loaded.session, self.clock()):
            return loaded.session
        return self._renew(carrier, loaded, wanted).session

    def change(self, carrier: Carrier, loaded: Loaded, change: Callable[[Session], Session | None]) -> None:
        """Change a session, while nobody else refreshes or changes it.

        Args:
            carrier: The cookies of the call.
            loaded: The session.
            change: Is given the session as it is by then, and returns what it becomes; None for no change.

        Raises:
            AccessTokenError: The session has ended.
            SessionError: The session cannot be read or written, or its lock cannot be had.
        """
        self.sessions.forget(carrier)
        name = self._name(loaded)
        with held_in_memory(self._turns, name, self.timeout), self.sessions.lock(loaded, self.timeout):
            current = self._current(name, loaded)
            changed = change(current.session)
            renewed = current if changed is None else self.sessions.replace(current, changed)
        if renewed is None:
            raise AccessTokenError("the session was ended while it was changed", code="MISSING_SESSION")
        if carrier.can_write:
            self.sessions.deliver(carrier, loaded, renewed)

    def adopt(
        self, carrier: Carrier, loaded: Loaded, response: TokenExchangeResponse, audience: str | None, scope: str | None
    ) -> Session:
        """Take tokens that were brought otherwise than by a refresh into a session.

        Args:
            carrier: The cookies of the call.
            loaded: The session.
            response: The tokens, of which it was checked that they are the session's user's.
            audience: The API that they are for; None for the one of the login.
            scope: The scopes that were asked for, or None.

        Raises:
            AccessTokenError: The session has ended.
            SessionError: The session cannot be read or written.
        """
        name, wanted = self._name(loaded), Wanted(audience, scope)
        with held_in_memory(self._turns, name, self.timeout), self.sessions.lock(loaded, self.timeout):
            current = self._current(name, loaded)
            renewed = self._taken(name, current, wanted, response)
        self.sessions.deliver(carrier, loaded, renewed)
        return renewed.session

    def _renew(self, carrier: Carrier, loaded: Loaded, wanted: Wanted) -> Loaded:
        self._renewal_of(loaded.session)
        if self.sessions.store.stateless:
            # The new refresh token could not be kept: the one that we have must not be spent.
            self.sessions.require_writable(carrier)
        self.sessions.forget(carrier)
        renewed = self._share(carrier, loaded, wanted)
        self.sessions.deliver(carrier, loaded, renewed)
        return renewed

    def _renewal_of(self, session: Session) -> Callable[[Session, Wanted], TokenExchangeResponse]:
        """Return what renews the tokens of a session: Auth0 issues no refresh token when an actor took part.

        Raises:
            AccessTokenError: Nothing does.
        """
        if self.reexchange is not None and session.refresh_token is None and session.act is not None:
            return self.reexchange
        _require_refresh_token(session)
        return self.refresh

    def _share(self, carrier: Carrier, loaded: Loaded, wanted: Wanted) -> Loaded:
        """Refresh once for all threads that want the same; a failure is that of each of them."""
        name = self._name(loaded)
        try:
            return self._flights.do(
                (name, wanted), lambda: self._refresh_once(name, loaded, wanted), timeout=self.timeout
            )
        except TimeoutError as error:
            raise SessionError("another refresh of this session takes too long", code="SESSION_LOCKED") from error
        except AccessTokenError as error:
            if _has_ended(error) and carrier.can_write:
                self.sessions.withdraw(carrier)
            raise

    def _name(self, loaded: Loaded) -> str:
        """Return what tells a session from all others, whichever of its cookies came."""
        if not self.sessions.store.stateless:
            return file_name(loaded.cookie)
        session = loaded.session
        return file_name(f"{session.domain} {session.user['sub']} {session.sid} {session.created_at}")

    def _refresh_once(self, name: str, loaded: Loaded, wanted: Wanted) -> Loaded:
        with self._turns.hold(name, self.timeout), self.sessions.lock(loaded, self.timeout):
            current = self._current(name, loaded)
            return current if wanted.is_met(current.session, self.clock()) else self._refresh(name, current, wanted)

    def _current(self, name: str, loaded: Loaded) -> Loaded:
        """Return a session as it is now, under its lock: the previous holder may have refreshed it.

        Raises:
            AccessTokenError: It has ended.
            SessionError: It cannot be read, or what a refresh brought still cannot be written.
        """
        current = self.sessions.reload(loaded)
        if current is None:
            raise AccessTokenError("the session has ended", code="MISSING_SESSION")
        before, unwritten = self._unwritten.get(name) or (None, None)
        if before is not None and unwritten is not None and _is_as_before(current, before):
            current = self._keep(name, current, unwritten)
        return current

    def _refresh(self, name: str, current: Loaded, wanted: Wanted) -> Loaded:
        try:
            response = self._renewal_of(current.session)(current.session, wanted)
        except AccessTokenError as error:
            if _has_ended(error):
                error.session_ended = True
                with suppress(SessionError):
                    self.sessions.end_loaded(current)
            raise
        return self._taken(name, current, wanted, response)

    def _taken(self, name: str, current: Loaded, wanted: Wanted, response: TokenExchangeResponse) -> Loaded:
        before, audience = current.session, wanted.audience_in(current.session)
        user = before.user
        if response.claims is not None:
            user = self.sessions.claims.refreshed(before, response.claims, wanted.asked)
        return self._keep(name, current, with_tokens(before, response, audience, wanted.asked, self.clock(), user))

    def _keep(self, name: str, current: Loaded, session: Session) -> Loaded:
        try:
            renewed = self.sessions.replace(current, session)
        except SessionError as error:
            self._unwritten.set(name, (current, session))
            failure, cause = error, error.__cause__
        else:
            self._unwritten.discard(name)
            if renewed is None:
                raise AccessTokenError("the session was ended while its token was refreshed", code="MISSING_SESSION")
            return renewed
        raise SessionError(
            f"the refresh token was used, and what it brought was not written: {failure.message}",
            code=failure.code,
            _hint=f"Call again within {UNWRITTEN_SECONDS:.0f} seconds, for which this process keeps it.",
        ) from cause


def _is_as_before(current: Loaded, before: Loaded) -> bool:
    return generation_of(current.session) == generation_of(before.session) and current.version == before.version


def _has_ended(error: AccessTokenError) -> bool:
    # A token that is refused to the wrong key is as good as ever to the right one.
    return error.session_ended or (error.code in ENDING and not error.dpop_key_mismatch)


def _require_refresh_token(session: Session) -> None:
    if session.refresh_token is not None:
        return
    if session.act is not None:
        fault = "a delegated session has no refresh token: Auth0 issues none when an actor takes part"
        hint = "Give the client reexchange=, by which the exchange is run again, or log in again."
    elif session.refresh_token_withheld:
        fault = "Auth0 issued no refresh token, although offline_access was asked for"
        hint = "Allow offline access on the API and the refresh token grant on the application, then log in again."
    else:
        fault, hint = "the session has no refresh token: log in with offline_access in the scope", ""
    raise AccessTokenError(f"no fresh access token can be had: {fault}", code="MISSING_REFRESH_TOKEN", _hint=hint)
