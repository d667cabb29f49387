"""How long sessions last, and what their cookies look like."""

from __future__ import annotations

from typing import Any, Final

from attrs import field, frozen

from auth0_cte.error import ConfigurationError

__all__ = ["CookieSettings", "SessionSettings"]

SAME_SITE: Final = ("Lax", "Strict", "None")


@frozen(kw_only=True)
class CookieSettings:
    """The attributes of session cookies; HttpOnly they always are.

    Args:
        domain: The attribute ``Domain``; None keeps the cookie to the very host.
        path: The attribute ``Path``.
        secure: The attribute ``Secure``; None means: except on loopback over plain http.
        same_site: ``Lax``, ``Strict`` or ``None``.
        host_prefix: Name the cookies ``__Host-…``, which browsers tie to the host, to ``/`` and to https.
    """

    domain: str | None = None
    path: str = "/"
    secure: bool | None = None
    same_site: str = "Lax"
    host_prefix: bool = False

    def __attrs_post_init__(self) -> None:
        if self.same_site not in SAME_SITE:
            raise ConfigurationError(f"same_site must be one of {', '.join(SAME_SITE)}")
        if self.same_site == "None" and self.secure is False:
            raise ConfigurationError("browsers take SameSite=None cookies only with Secure")
        if self.host_prefix and (self.domain is not None or self.path != "/" or self.secure is False):
            raise ConfigurationError("a __Host- cookie has no domain, the path / and Secure")

    def name(self, name: str) -> str:
        """Return the cookie's full name."""
        return f"__Host-{name}" if self.host_prefix else name

    def attributes(self, *, is_secure: bool) -> dict[str, Any]:
        """Return the arguments that every framework's ``set_cookie`` understands."""
        secure = self.host_prefix or (is_secure if self.secure is None else self.secure)
        return {
            "path": self.path,
            "domain": self.domain,
            "secure": secure or self.same_site == "None",
            "httponly": True,
            "samesite": self.same_site,
        }


@frozen(kw_only=True)
class SessionSettings:
    """How long sessions last, and what their cookies look like.

    Args:
        identifier: The cookies' name; part of the key that sessions are sealed with.
        absolute_duration: How long a session lasts at most, in seconds.
        inactivity_duration: How long it lasts without being used, in seconds.
        cookie: The attributes of the cookies.
    """

    identifier: str = "_a0_session"
    absolute_duration: float = 3 * 24 * 3600.0
    inactivity_duration: float = 24 * 3600.0
    cookie: CookieSettings = field(factory=CookieSettings)

    def __attrs_post_init__(self) -> None:
        if self.absolute_duration <= 0 or self.inactivity_duration <= 0:
            raise ConfigurationError("sessions must last longer than 0 seconds")
        if not self.identifier.replace("_", "").replace("-", "").isalnum() or not self.identifier.isascii():
            raise ConfigurationError("the session identifier must consist of letters, digits, '_' and '-'")
