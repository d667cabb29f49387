"""How long sessions last, and what their cookies look like."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from auth0_cte.error import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from auth0_cte.auth_types import Session

__all__ = ["CookieSettings", "Lifetime", "SessionSettings"]

logger: Final = logging.getLogger("auth0_cte")

SAME_SITE: Final = ("Lax", "Strict", "None")
TOLD_SECONDS: Final = 3600.0
"""How long a record whose upstream session has ended stays, so that the end can be told."""
EPOCH: Final = "Thu, 01 Jan 1970 00:00:00 GMT"
"""The ``Expires`` of a deleted cookie, for browsers that do not know Max-Age or whose clock is wrong."""


def _capitalized(value: str) -> str:
    return value.capitalize() if isinstance(value, str) else value


@frozen(kw_only=True)
class CookieSettings:
    """The attributes of session cookies. They are always HttpOnly.

    Args:
        domain: The attribute ``Domain``; None keeps the cookie to the very host.
        path: The attribute ``Path``.
        secure: The attribute ``Secure``; None means: except on loopback over plain http.
        same_site: ``Lax``, ``Strict`` or ``None``, in any case of letters.
        host_prefix: Name the cookies ``__Host-…``, which browsers tie to the host, to ``/`` and to https.
        partitioned: The attribute ``Partitioned`` (CHIPS), for applications that other sites embed. It requires
            ``secure=True`` and ``same_site="None"``, given explicitly, because the browser then sends the cookie with
            requests of other sites: protection against CSRF is the application's own. Flask needs Werkzeug 3.1,
            Starlette needs Python 3.14, and Django cannot set it.

    Raises:
        ConfigurationError: The attributes contradict each other.
    """

    domain: str | None = None
    path: str = "/"
    secure: bool | None = None
    same_site: str = field(default="Lax", converter=_capitalized)
    host_prefix: bool = False
    partitioned: bool = False
    _warned: list[str] = field(factory=list, init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        if self.same_site not in SAME_SITE:
            raise ConfigurationError(f"same_site must be one of {', '.join(SAME_SITE)}")
        if self.same_site == "None" and self.secure is False:
            raise ConfigurationError("same_site None requires Secure: browsers refuse such cookies without it")
        if self.host_prefix and (self.domain is not None or self.path != "/" or self.secure is False):
            raise ConfigurationError("a __Host- cookie has no domain, the path / and Secure")
        if self.partitioned and (self.secure is not True or self.same_site != "None"):
            raise ConfigurationError('partitioned=True requires secure=True and same_site="None", given explicitly')

    def name(self, name: str) -> str:
        """Return the cookie's full name."""
        return f"__Host-{name}" if self.host_prefix else name

    def attributes(self, *, is_secure: bool) -> dict[str, Any]:
        """Return the arguments that every framework's ``set_cookie`` understands."""
        secure = self.host_prefix or (is_secure if self.secure is None else self.secure)
        attributes = {
            "path": self.path,
            "domain": self.domain,
            "secure": secure or self.same_site == "None",
            "httponly": True,
            "samesite": self.same_site,
        }
        # Named only where it is wanted: not every framework takes it.
        return {**attributes, "partitioned": True} if self.partitioned else attributes

    def arguments(self, value: str, max_age: int, *, is_secure: bool) -> dict[str, Any]:
        """Return all arguments of ``set_cookie`` but the name; a ``max_age`` of 0 deletes the cookie.

        A cookie is deleted by the attributes that it was set with: Django's ``delete_cookie`` takes no ``secure``.
        """
        attributes = self.attributes(is_secure=is_secure)
        if max_age > 0:
            return {"value": value, "max_age": max_age, **attributes}
        return {"value": "", "max_age": 0, "expires": EPOCH, **attributes}

    def warn_of_plain_http(self) -> None:
        """Log, once, that browsers and test clients do not send a Secure cookie back over plain http."""
        if not self._warned:
            self._warned.append("plain http")
            logger.warning(
                "a Secure session cookie was set over plain http: browsers and Starlette's TestClient do not send it "
                'back. In tests use TestClient(app, base_url="https://testserver"). In production the proxy that ends '
                "TLS must send X-Forwarded-Proto, or another forwarding header"
            )


@frozen(kw_only=True)
class SessionSettings:
    """How long sessions last, and what their cookies look like.

    Args:
        identifier: The cookies' name; part of the key that sessions are sealed with.
        absolute_duration: How long a session lasts at most, in seconds.
        inactivity_duration: How long it lasts without being used, in seconds.
        revoke_refresh_tokens: Whether every logout, back-channel logout included, revokes the refresh token at Auth0.
        cookie: The attributes of the cookies.
    """

    identifier: str = "_a0_session"
    absolute_duration: float = 3 * 24 * 3600.0
    inactivity_duration: float = 24 * 3600.0
    revoke_refresh_tokens: bool = False
    cookie: CookieSettings = field(factory=CookieSettings)

    def __attrs_post_init__(self) -> None:
        if self.absolute_duration <= 0 or self.inactivity_duration <= 0:
            raise ConfigurationError("sessions must last longer than 0 seconds")
        name = self.identifier
        if not isinstance(name, str) or not name.isascii() or not name.replace("_", "").replace("-", "").isalnum():
            raise ConfigurationError("the session identifier must consist of letters, digits, '_' and '-'")


@frozen
class Lifetime:
    """The limits of sessions, applied.

    Args:
        settings: The limits.
        clock: The time in Unix seconds.
    """

    settings: SessionSettings
    clock: Callable[[], float]

    def end(self, session: Session) -> float:
        """Return when a session ends at the latest, in Unix seconds."""
        end = session.created_at + self.settings.absolute_duration
        return end if session.expires_at is None else min(end, session.expires_at)

    def shortest_end(self, expiry: float | None) -> float:
        """Return the earliest end that is known of a session that begins now.

        Args:
            expiry: When the login's ID token expires, in Unix seconds, or None.
        """
        now = self.clock()
        ends = [now + self.settings.absolute_duration, now + self.settings.inactivity_duration]
        return min(ends if expiry is None else [*ends, max(expiry, now + 1)])

    def record_seconds(self, session: Session) -> float:
        """Return how long the record of a session that is used now is kept."""
        end = self.end(session)
        told = TOLD_SECONDS if end == session.expires_at else 0.0
        return min(self.settings.inactivity_duration, end + told - self.clock())

    def cookie_seconds(self, session: Session) -> int:
        """Return how long a browser keeps the cookies of a session."""
        return max(1, int(self.end(session) - self.clock()))

    def is_upstream_over(self, session: Session) -> bool:
        """Tell whether the upstream session that a session rests on has ended."""
        return session.expires_at is not None and session.expires_at <= self.clock()

    def has_ended(self, session: Session, touched_at: float | None) -> bool:
        """Tell whether a session has ended.

        Args:
            session: The session.
            touched_at: When its cookie was written, in Unix seconds; None where its store counts the idle time.
        """
        now = self.clock()
        is_idle = touched_at is not None and touched_at + self.settings.inactivity_duration <= now
        return self.end(session) <= now or is_idle

    def is_half_idle(self, touched_at: float | None) -> bool:
        """Tell whether a cookie should be written again, so that a session in use does not end for want of use.

        Rarely, because a browser that sends several requests at once keeps the answer that comes last.
        """
        return touched_at is None or touched_at + self.settings.inactivity_duration / 2 <= self.clock()
