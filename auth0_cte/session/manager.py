"""Starts, loads, changes and ends sessions, wherever they are kept and whatever carries their cookies."""

from __future__ import annotations

import secrets
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve

from auth0_cte.error import ConfigurationError, SessionError
from auth0_cte.foundation.ttl_cache import TTLCache
from auth0_cte.session.carrier import Carrier, DictCarrier, carrier_of, require_admitted, require_writable
from auth0_cte.session.claims import owner_of
from auth0_cte.session.cookies import SessionCookies
from auth0_cte.session.rotations import Rotated, SessionRotations, generation_of
from auth0_cte.session.seal import Loaded, SessionSeal
from auth0_cte.session.serialization import from_state_data, to_state_data
from auth0_cte.session.settings import Lifetime
from auth0_cte.session.stores.contract import file_name
from auth0_cte.session.stores.guarded import GuardedRotations, GuardedStore
from auth0_cte.session.stores.rotations import MemoryRotations
from auth0_cte.session.web_carrier import StagedCarrier, WebCarrier

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from auth0_cte.auth_types import Session
    from auth0_cte.session.claims import ClaimsChoice
    from auth0_cte.session.settings import SessionSettings
    from auth0_cte.session.stores.contract import StateStore

__all__ = ["Loaded", "SessionManager"]

TOUCH_SECONDS: Final = 60.0
REMEMBERED_SECONDS: Final = 60.0
MAX_ROTATIONS: Final = 32
"""As many refreshes of one session are followed; more do not happen while they are remembered."""


class SessionManager:
    """Knows a store, the secrets and the limits; carriers are given in.

    Args:
        store: Where sessions are kept.
        secret: The secrets, the newest first; may be empty, which each use of a session then refuses.
        settings: Durations and cookies.
        clock: The time in Unix seconds.
        client_id: The application, whose sessions alone are found.
        claims: Chooses the claims that enter sessions.

    Attributes:
        store: The store as it was given.
        guarded: The store, whose failures are errors of this library.
    """

    def __init__(
        self,
        store: StateStore,
        secret: Sequence[str],
        settings: SessionSettings,
        clock: Callable[[], float],
        *,
        client_id: str,
        claims: ClaimsChoice,
    ) -> None:
        self.store: StateStore = store
        self.guarded: GuardedStore = GuardedStore(store)
        if settings.revoke_refresh_tokens and not hasattr(store, "find_by_owner"):
            raise ConfigurationError("revoke_refresh_tokens=True requires a state_store that has find_by_owner")
        self.settings: SessionSettings = settings
        self.claims: ClaimsChoice = claims
        self.lifetime: Lifetime = Lifetime(settings, clock)
        self._has_secret = bool(secret)
        self._cookies = SessionCookies(settings)
        self._seal = SessionSeal(
            secrets=secret,
            identifier=settings.identifier,
            client_id=client_id,
            is_stateless=store.stateless,
            is_limited=claims.is_limited,
            clock=clock,
        )
        self._rotations: SessionRotations | None = None
        if store.stateless:
            kept = getattr(store, "rotations", None)
            seconds = getattr(store, "remembered", REMEMBERED_SECONDS)
            kept = MemoryRotations() if kept is None else kept  # not "or": empty ones are false
            self._rotations = SessionRotations(GuardedRotations(kept), secret, client_id, seconds, clock)
        self._is_for_script: bool = getattr(store, "script", False)
        self._script = DictCarrier()
        self._serves_web = False
        self._touched: TTLCache[str, bool] = TTLCache(
            maxsize=10_000, ttl=min(TOUCH_SECONDS, settings.inactivity_duration / 20), monotonic=clock
        )

    def carrier(self, store_options: Mapping[str, Any] | None) -> Carrier:
        """Return the carrier of a call.

        Raises:
            SessionError: The request is missing, and the store is not a script's.
        """
        if not self._has_secret:
            raise SessionError("sessions need secret; generate one with: openssl rand -hex 32", code="SECRET_MISSING")
        carrier = carrier_of(store_options)
        # One session for a whole script must never become one session for all users of a server.
        if carrier is None and not store_options and self._is_for_script and not self._serves_web:
            return self._script
        if carrier is None:
            raise SessionError(
                'no request: pass store_options={"request": request, "response": response}; a script, which has none, '
                "has one session in state_store=MemoryStateStore(script=True)",
                code="REQUEST_MISSING",
            )
        self._serves_web = self._serves_web or isinstance(carrier, WebCarrier)
        return carrier

    def writable_carrier(self, store_options: Mapping[str, Any] | None) -> Carrier:
        """Return the carrier of a call that will write a session, after making sure that it can be written.

        Raises:
            SessionError: The secret or the response to set cookies on is missing, or the store cannot be reached.
        """
        carrier = self.carrier(store_options)
        self.require_writable(carrier)
        self.guarded.check()
        return carrier

    def require_writable(self, carrier: Carrier) -> None:
        """Raise a `SessionError` unless the carrier can set cookies."""
        require_writable(carrier, self.settings.cookie)

    def start(self, carrier: Carrier, session: Session, issuer: str) -> None:
        """End the session that there was, and write a new one under a new id.

        When a step fails there is neither a record nor a cookie of the new session.

        Raises:
            SessionError: The application refuses the user; or it is too large, or the store cannot be reached, when
                what the login was made with is spent.
        """
        require_admitted(carrier, session)
        session_id = secrets.token_urlsafe(32)
        try:
            sealed = self._seal.seal_new(session, session_id)
            self._end_records(carrier)
            with ExitStack() as undo:
                undo.callback(self.withdraw, carrier, session_id)
                seconds = self.lifetime.record_seconds(session)
                cookie = self.guarded.create(session_id, sealed, owner_of(session, issuer), seconds)
                self._write(carrier, cookie, session)
                undo.pop_all()
        except SessionError as error:
            failure, cause = error, error.__cause__
        else:
            return
        raise failure.after_spending() from cause

    def withdraw(self, carrier: Carrier, cookie: str | None = None) -> None:
        """Take a session back that was begun a moment ago, in the same request.

        Whether its record can be deleted or not: nobody else has its cookie.
        """
        found = self._cookies.candidates(carrier, are_ids=not self.store.stateless) if cookie is None else [cookie]
        for each in found:
            with suppress(SessionError):
                self.guarded.delete(each)
        with suppress(SessionError):
            self._cookies.delete(carrier)

    def load(self, carrier: Carrier, is_here: Callable[[Session], bool]) -> Loaded | None:
        """Return the session that the carrier's cookies stand for; None for everything that is not exactly one of ours.

        Within a request of an integration it is looked up once, so that all who ask see the same.

        Args:
            carrier: What has the cookies.
            is_here: Tells whether a session belongs to the domain of the request.
        """
        if not isinstance(carrier, StagedCarrier):
            return self._load(carrier, is_here)
        return carrier.once((id(self), self._cookies.found(carrier)), lambda: self._load(carrier, is_here))

    def forget(self, carrier: Carrier) -> None:
        """Make `load` look the session up again, after it was changed."""
        if isinstance(carrier, StagedCarrier):
            carrier.forget()

    def _load(self, carrier: Carrier, is_here: Callable[[Session], bool]) -> Loaded | None:
        found = self._find(carrier, is_here)
        loaded = None if found is None else self._newest(found)
        if found is None or loaded is None:
            return None
        if loaded.cookie == found.cookie:
            self._touch(carrier, loaded)
        elif carrier.can_write:
            # The browser's cookie is from before a refresh whose answer it did not get, or got too early.
            self._write(carrier, loaded.cookie, loaded.session)
        return loaded

    def _find(self, carrier: Carrier, is_here: Callable[[Session], bool] | None = None) -> Loaded | None:
        for cookie in self._cookies.candidates(carrier, are_ids=not self.store.stateless):
            loaded = self.load_cookie(cookie)
            if loaded is not None and (is_here is None or is_here(loaded.session)):
                return loaded
        return None

    def load_cookie(self, cookie: str) -> Loaded | None:
        """Return the session that a cookie's value stands for, if it has not ended."""
        loaded = self._open(cookie)
        if loaded is None or not self.lifetime.has_ended(loaded.session, loaded.touched_at):
            return loaded
        if not self.lifetime.is_upstream_over(loaded.session):
            self.guarded.delete(cookie)
        return None

    def has_expired(self, carrier: Carrier, is_here: Callable[[Session], bool]) -> bool:
        """Tell whether the cookies stand for a session that ended with the upstream session that it rested on."""
        for cookie in self._cookies.candidates(carrier, are_ids=not self.store.stateless):
            loaded = self._open(cookie)
            if loaded is not None and self.lifetime.is_upstream_over(loaded.session) and is_here(loaded.session):
                return True
        return False

    def _open(self, cookie: str) -> Loaded | None:
        record = self.guarded.get(cookie)
        return None if record is None else self._seal.open(record, cookie)

    def _newest(self, loaded: Loaded) -> Loaded | None:
        """Follow a session in a cookie from a refresh token that was used to the one that it became, to the end."""
        for _ in range(MAX_ROTATIONS if self._rotations is not None else 0):
            newer = self._rotated(loaded)
            if newer is None or generation_of(newer.session) == generation_of(loaded.session):
                return newer
            loaded = newer
        return loaded

    def _rotated(self, loaded: Loaded) -> Loaded | None:
        """Return what a refresh made of a session; itself when nothing, None when it has ended."""
        if self._rotations is None:
            return loaded
        has_ended, rotated = self._rotations.find(loaded.session)
        newer = None if rotated is None else self.load_cookie(rotated.cookie)
        if has_ended or rotated is None or newer is None:
            return None if has_ended else loaded
        return newer if rotated.state is None else evolve(newer, session=from_state_data(rotated.state))

    def lock(self, loaded: Loaded, timeout: float) -> AbstractContextManager[None]:
        """Keep other threads and processes from refreshing the same session."""
        if self._rotations is None:
            return self.guarded.lock(loaded.cookie, timeout)
        return self._rotations.lock(loaded.session, timeout)

    def reload(self, loaded: Loaded) -> Loaded | None:
        """Return a session as it is now, or None when it has ended."""
        return self.load_cookie(loaded.cookie) if self._rotations is None else self._newest(loaded)

    def replace(self, loaded: Loaded, session: Session) -> Loaded | None:
        """Write a refreshed session over the one that was loaded; None if that is gone or was changed since.

        What does not fit is not written, the refresh token always is. The result has all of it.

        Raises:
            SessionError: The store cannot be reached.
        """
        sealed, written = self._seal.seal_refreshed(session, loaded.session, loaded.cookie)
        cookie = self.guarded.replace(loaded.cookie, sealed, loaded.version)
        if cookie is None:
            return None
        if self._rotations is not None:
            state = None if written is session else to_state_data(session)
            # What did not fit into the cookie is found by those who have it, too.
            found_by = {generation_of(each): each for each in (loaded.session, session, written)}
            for each in found_by.values() if state is not None else (loaded.session,):
                self._rotations.remember(each, Rotated(cookie, state))
            if self._rotations.has_ended(session):
                return None
        return evolve(loaded, session=session, cookie=cookie, version=loaded.version + 1)

    def end(self, carrier: Carrier) -> None:
        """End the session, if there is one: the record first, then the cookies."""
        self._end_records(carrier)
        self._cookies.delete(carrier)

    def end_loaded(self, loaded: Loaded) -> None:
        """End a session of which no carrier is at hand; its cookies stand for nothing then."""
        self.guarded.delete(loaded.cookie)
        if self._rotations is not None:
            self._rotations.end(loaded.session, self.lifetime.end(loaded.session))

    def owned(self, issuer: str, *, sid: str | None, sub: str | None, until: float) -> list[Session]:
        """Return the sessions that `StateStore.delete_by_owner` would forget, of this application."""
        found = self.guarded.find_by_owner(issuer, sid=sid, sub=sub, until=until)
        return [session for data in found if (session := self._seal.unsealed(data)) is not None]

    def _end_records(self, carrier: Carrier) -> None:
        if self.store.stateless:
            found = self._find(carrier)
            if found is not None:
                self.end_loaded(found)
            return
        for cookie in self._cookies.candidates(carrier, are_ids=True):
            self.guarded.delete(cookie)

    def deliver(self, carrier: Carrier, loaded: Loaded, renewed: Loaded) -> None:
        """Set the cookies of a session that was refreshed, where they have changed."""
        if renewed.cookie != loaded.cookie:
            self._write(carrier, renewed.cookie, renewed.session)

    def _write(self, carrier: Carrier, cookie: str, session: Session) -> None:
        self._cookies.write(carrier, cookie, self.lifetime.cookie_seconds(session))

    def _touch(self, carrier: Carrier, loaded: Loaded) -> None:
        if not self.store.stateless:
            name = file_name(loaded.cookie)
            if not self._touched.get(name):
                self._touched.set(name, True)
                self.guarded.touch(loaded.cookie, self.lifetime.record_seconds(loaded.session))
        elif carrier.can_write and self.lifetime.is_half_idle(loaded.touched_at):
            sealed = self._seal.seal(loaded.session, "")
            # What another program wrote may be larger than what is written here: it is read all the same.
            if len(sealed) <= self._seal.max_bytes:
                self._write(carrier, sealed, loaded.session)
