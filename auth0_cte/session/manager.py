"""Starts, loads, changes and ends sessions, wherever they are kept and whatever carries their cookies."""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve, field, frozen

from auth0_cte.error import SessionError
from auth0_cte.foundation.concurrency import TTLCache
from auth0_cte.jose import JoseError, Sealer
from auth0_cte.session.carrier import Carrier, DictCarrier, carrier_of, require_admitted, require_writable
from auth0_cte.session.serialization import from_state_data, to_state_data
from auth0_cte.session.stores.contract import Owner, file_name
from auth0_cte.session.web_carrier import StagedCarrier, WebCarrier

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from auth0_cte.auth_types import Session
    from auth0_cte.session.settings import SessionSettings
    from auth0_cte.session.stores.contract import StateStore

__all__ = ["Loaded", "SessionManager"]

logger: Final = logging.getLogger("auth0_cte")

CHUNK_BYTES: Final = 3800
"""Browsers drop cookies whose name and value pass 4096 bytes, without a word."""
MAX_COOKIE_BYTES: Final = 7600
"""Servers answer 431 when all cookies together pass some 8 KB."""
MAX_CHUNKS: Final = 16
TOUCH_SECONDS: Final = 60.0


@frozen
class Loaded:
    """A session as it was found: with the value of its cookie, and what is known of its record."""

    session: Session
    cookie: str = field(repr=False)
    version: int = 0
    touched_at: float | None = None


class SessionManager:
    """Knows a store, the secrets and the limits; carriers are given in.

    Args:
        store: Where sessions are kept.
        secret: The secrets, the newest first; may be empty, which each use of a session then refuses.
        settings: Durations and cookies.
        clock: The time in Unix seconds.
    """

    def __init__(
        self, store: StateStore, secret: Sequence[str], settings: SessionSettings, clock: Callable[[], float]
    ) -> None:
        self.store: StateStore = store
        self.settings: SessionSettings = settings
        self._clock = clock
        self._names = [settings.cookie.name(f"{settings.identifier}_{number}") for number in range(MAX_CHUNKS)]
        self._sealer = Sealer(secret, settings.identifier) if secret else None
        self._script = DictCarrier()
        self._serves_web = False
        self._touched: TTLCache[str, bool] = TTLCache(
            maxsize=10_000, ttl=min(TOUCH_SECONDS, settings.inactivity_duration / 20), monotonic=clock
        )

    def carrier(self, store_options: Mapping[str, Any] | None) -> Carrier:
        """Return the carrier of a call.

        Raises:
            SessionError: The request is missing, and this is not a script with a server-side store either.
        """
        if self._sealer is None:
            raise SessionError("sessions need secret; generate one with: openssl rand -hex 32", code="SECRET_MISSING")
        carrier = carrier_of(store_options)
        if carrier is None and not self.store.stateless and not self._serves_web:
            return self._script
        if carrier is None:
            raise SessionError(
                'no request: pass store_options={"request": request, "response": response}; in a script, '
                "state_store=MemoryStateStore()",
                code="REQUEST_MISSING",
            )
        # One session for a whole script must never become one session for all users of a server.
        self._serves_web = self._serves_web or isinstance(carrier, WebCarrier)
        return carrier

    def writable_carrier(self, store_options: Mapping[str, Any] | None) -> Carrier:
        """Return the carrier of a call that will write a session, after making sure that it can be written.

        Raises:
            SessionError: The secret or the response to set cookies on is missing, or the store cannot be reached.
        """
        carrier = self.carrier(store_options)
        self.require_writable(carrier)
        self.store.check()
        return carrier

    def require_writable(self, carrier: Carrier) -> None:
        """Raise a `SessionError` unless the carrier can set cookies."""
        require_writable(carrier, self.settings.cookie)

    def start(self, carrier: Carrier, session: Session, issuer: str) -> None:
        """Write a new session under a new id; whatever session there was is gone.

        Raises:
            SessionError: It is too large for cookies, the application refuses the user, or the store cannot be reached.
        """
        require_admitted(carrier, session)
        before = self._read_cookies(carrier)
        session_id = secrets.token_urlsafe(32)
        sealed = self._seal(session, session_id)
        owner = Owner(issuer, session.sid, session.user["sub"])
        cookie = self.store.create(session_id, sealed, owner, self._time_left(session))
        self.write_cookies(carrier, cookie, session)
        if before:
            self.store.delete(before)

    def load(self, carrier: Carrier) -> Loaded | None:
        """Return the session that the carrier's cookies stand for; None for whatever is not exactly one of ours.

        Within a request of an integration it is looked up once, so that all who ask see the same.
        """
        cookie = self._read_cookies(carrier)
        if not isinstance(carrier, StagedCarrier):
            return self._load(carrier, cookie)
        return carrier.once((id(self), cookie), lambda: self._load(carrier, cookie))

    def forget(self, carrier: Carrier) -> None:
        """Have `load` look the session up again, after it was changed."""
        if isinstance(carrier, StagedCarrier):
            carrier.forget()

    def _load(self, carrier: Carrier, cookie: str) -> Loaded | None:
        loaded = self.load_cookie(cookie)
        if loaded is not None:
            self._touch(carrier, loaded)
        return loaded

    def load_cookie(self, cookie: str) -> Loaded | None:
        """Return the session that a cookie's value stands for."""
        record = self.store.get(cookie) if cookie else None
        if record is None or self._sealer is None:
            return None
        try:
            state = self._sealer.unseal(record.data)
            session = from_state_data(state)
        except (JoseError, SessionError) as error:
            logger.info("a session cookie was not accepted: %s", error)
            return None
        # A record that was moved to another id is as good as forged.
        if not self.store.stateless and state["internal"].get("id") != cookie:
            return None
        if self._has_ended(session, state["internal"]):
            self.store.delete(cookie)
            return None
        return Loaded(session, cookie, record.version, state["internal"].get("touched_at"))

    def replace(self, loaded: Loaded, session: Session) -> Loaded | None:
        """Write a changed session over the one that was loaded; None if that is gone or was changed since."""
        sealed = self._seal(session, loaded.cookie)
        if self.store.stateless and len(sealed) > MAX_COOKIE_BYTES and len(session.token_sets) > 1:
            # The rotated refresh token must be kept; the oldest access token can be had again by it.
            return self.replace(loaded, evolve(session, token_sets=session.token_sets[1:]))
        cookie = self.store.replace(loaded.cookie, sealed, loaded.version)
        return None if cookie is None else evolve(loaded, session=session, cookie=cookie, version=loaded.version + 1)

    def end(self, carrier: Carrier) -> None:
        """End the session, if there is one: the record first, then the cookies."""
        cookie = self._read_cookies(carrier)
        if cookie:
            self.store.delete(cookie)
        for name in self._cookie_names(carrier):
            carrier.set_cookie(name, "", 0, self.settings.cookie)

    def write_cookies(self, carrier: Carrier, cookie: str, session: Session) -> None:
        """Have the browser keep a cookie's value, in as many cookies as it takes; older ones are removed."""
        if len(cookie) > MAX_COOKIE_BYTES:
            raise SessionError(
                f"the session takes {len(cookie)} bytes of cookies, more than the {MAX_COOKIE_BYTES} that browsers and "
                "servers can be relied on to carry: use a server-side store (RedisStateStore, SQLStateStore)",
                code="SESSION_TOO_LARGE",
            )
        chunks = [cookie[start : start + CHUNK_BYTES] for start in range(0, len(cookie), CHUNK_BYTES)]
        stale = set(self._cookie_names(carrier))
        max_age = max(1, int(self._end(session) - self._clock()))
        for name, chunk in zip(self._names, chunks, strict=False):
            carrier.set_cookie(name, chunk, max_age, self.settings.cookie)
            stale.discard(name)
        for name in sorted(stale):
            carrier.set_cookie(name, "", 0, self.settings.cookie)

    def _seal(self, session: Session, session_id: str) -> str:
        if self._sealer is None:
            raise SessionError("sessions need secret", code="SECRET_MISSING")
        state = to_state_data(session)
        if self.store.stateless:
            state["internal"]["touched_at"] = int(self._clock())
        else:
            state["internal"]["id"] = session_id
        return self._sealer.seal(state)

    def _end(self, session: Session) -> float:
        end = session.created_at + self.settings.absolute_duration
        return end if session.expires_at is None else min(end, session.expires_at)

    def _time_left(self, session: Session) -> float:
        return min(self.settings.inactivity_duration, self._end(session) - self._clock())

    def _has_ended(self, session: Session, internal: Mapping[str, Any]) -> bool:
        now = self._clock()
        touched = internal.get("touched_at") if self.store.stateless else None
        idle = touched is not None and touched + self.settings.inactivity_duration <= now
        return self._end(session) <= now or idle

    def _touch(self, carrier: Carrier, loaded: Loaded) -> None:
        name = file_name(loaded.cookie)
        if self._touched.get(name):
            return
        if not self.store.stateless:
            self._touched.set(name, True)
            self.store.touch(loaded.cookie, self._time_left(loaded.session))
        elif carrier.can_write and self._is_half_idle(loaded):
            self.write_cookies(carrier, self._seal(loaded.session, ""), loaded.session)

    def _is_half_idle(self, loaded: Loaded) -> bool:
        # Rarely, because a browser that sends several requests at once may keep whichever answer comes last.
        touched = loaded.touched_at
        return touched is None or touched + self.settings.inactivity_duration / 2 <= self._clock()

    def _read_cookies(self, carrier: Carrier) -> str:
        cookies = carrier.cookies()
        chunks = []
        for name in self._names:
            chunk = cookies.get(name)
            if not chunk:
                break
            chunks.append(chunk)
        return "".join(chunks)

    def _cookie_names(self, carrier: Carrier) -> list[str]:
        cookies = carrier.cookies()
        return [name for name in self._names if name in cookies]
