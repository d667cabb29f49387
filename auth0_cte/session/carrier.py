"""Cookies in and cookies out, over the requests and responses of Flask, Django and Starlette."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

from attrs import define, field

from auth0_cte.foundation.urls import is_loopback
from auth0_cte.oauth.domain import resolver_context

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from auth0_cte.session.settings import CookieSettings

__all__ = ["REQUEST_CARRIER", "SCOPE_STATE", "Carrier", "DictCarrier", "StagedCarrier", "WebCarrier", "carrier_of"]

SCOPE_STATE: Final = "auth0_cte"
"""Where the middleware for Starlette keeps what belongs to a request, within ``scope["state"]``."""
REQUEST_CARRIER: Final = "_auth0_cte_carrier"
"""Where the middleware for Django keeps the carrier of a request."""
_STAGED: Final = "_auth0_cte_staged_cookies"


class Carrier(Protocol):
    """What carries a session's cookies between the browser and us."""

    @property
    def can_write(self) -> bool:
        """Whether cookies can be set; without a response they cannot."""
        ...

    @property
    def is_secure(self) -> bool:
        """Whether the browser will take, and bring back, cookies with the attribute ``Secure``."""
        ...

    def cookies(self) -> Mapping[str, str]:
        """Return the browser's cookies, with what was set or deleted since on top."""
        ...

    def set_cookie(self, name: str, value: str, max_age: int, settings: CookieSettings) -> None:
        """Have the browser keep a cookie for ``max_age`` seconds; 0 deletes it."""


@define
class DictCarrier:
    """Keeps cookies in a dict: for scripts, and for tests."""

    jar: MutableMapping[str, str] = field(factory=dict, repr=False)
    can_write: bool = True
    is_secure: bool = True

    def cookies(self) -> Mapping[str, str]:
        """Return the jar."""
        return self.jar

    def set_cookie(self, name: str, value: str, max_age: int, settings: CookieSettings) -> None:  # noqa: ARG002
        """Put a cookie into the jar, or take it out."""
        if max_age > 0:
            self.jar[name] = value
        else:
            self.jar.pop(name, None)


class WebCarrier:
    """Carries cookies by a framework's request and response objects.

    Args:
        request: A request of Flask (Werkzeug), Django or Starlette.
        response: A response of the same framework, or None to read only.
    """

    def __init__(self, request: Any, response: Any = None) -> None:
        # Flask's request is a proxy; what is staged belongs to the request behind it.
        self._request = request._get_current_object() if hasattr(request, "_get_current_object") else request  # noqa: SLF001
        self._response = response

    @property
    def can_write(self) -> bool:
        """Whether there is a response."""
        return self._response is not None

    @property
    def is_secure(self) -> bool:
        """False for plain http to this machine, where browsers drop Secure cookies or keep them back."""
        url = resolver_context({"request": self._request}).request_url or ""
        parts = urlsplit(url)
        return not (parts.scheme == "http" and is_loopback(parts.hostname or ""))

    def cookies(self) -> Mapping[str, str]:
        """Return the request's cookies, and what was staged in the course of it."""
        found = getattr(self._request, "COOKIES", None)
        cookies: Mapping[str, str] = self._request.cookies if found is None else found
        staged: dict[str, str | None] = getattr(self._request, _STAGED, {})
        merged = {name: value for name, value in {**cookies, **staged}.items() if value is not None}
        return merged if staged else cookies

    def set_cookie(self, name: str, value: str, max_age: int, settings: CookieSettings) -> None:
        """Set the cookie on the response, once: an earlier one of that name is withdrawn."""
        self._stage(name, value if max_age > 0 else None)
        self._write(name, value, max_age, settings)
        if hasattr(self._response, "raw_headers"):
            from auth0_cte.session.undelivered import watch

            watch(self._response)

    def _write(self, name: str, value: str, max_age: int, settings: CookieSettings) -> None:
        _withdraw(self._response, name)
        attributes = settings.attributes(is_secure=self.is_secure)
        # Deleted portably: Django's delete_cookie takes no secure, and browsers want the same attributes.
        self._response.set_cookie(name, value if max_age > 0 else "", max_age=max_age, **attributes)
        self._response.headers["Cache-Control"] = "no-store, private"
        _vary_on_cookie(self._response.headers)

    def _stage(self, name: str, value: str | None) -> None:
        staged: dict[str, str | None] = getattr(self._request, _STAGED, None) or {}
        staged[name] = value
        setattr(self._request, _STAGED, staged)


class StagedCarrier(WebCarrier):
    """Keeps what is to be written until the response is there: for integrations that see it leave.

    Args:
        request: A request of Flask (Werkzeug), Django or Starlette.
    """

    def __init__(self, request: Any) -> None:
        super().__init__(request)
        self._pending: dict[str, tuple[str, int, CookieSettings]] = {}

    @property
    def can_write(self) -> bool:
        """True: the response will come."""
        return True

    def set_cookie(self, name: str, value: str, max_age: int, settings: CookieSettings) -> None:
        """Note a cookie for the response."""
        self._stage(name, value if max_age > 0 else None)
        self._pending[name] = (value, max_age, settings)

    def flush(self, response: Any) -> None:
        """Set on the response what was noted, each cookie once."""
        self._response = response
        for name, (value, max_age, settings) in self._pending.items():
            self._write(name, value, max_age, settings)
        self._pending.clear()


def _withdraw(response: Any, name: str) -> None:
    # Werkzeug and Starlette would send both; Django's cookies are a dict anyway.
    start = f"{name}="
    if hasattr(response, "raw_headers"):
        prefix = start.encode("latin-1")
        kept = [each for each in response.raw_headers if not (each[0] == b"set-cookie" and each[1].startswith(prefix))]
        response.raw_headers[:] = kept
    elif hasattr(response.headers, "getlist"):
        kept = [each for each in response.headers.getlist("Set-Cookie") if not each.startswith(start)]
        response.headers.setlist("Set-Cookie", kept)


def _vary_on_cookie(headers: Any) -> None:
    present = headers.get("Vary", "")
    if "cookie" not in present.lower() and present != "*":
        headers["Vary"] = f"{present}, Cookie" if present else "Cookie"


def carrier_of(store_options: Mapping[str, Any] | None) -> Carrier | None:
    """Find the carrier that store options stand for.

    Args:
        store_options: ``{"request": …, "response": …}``, ``{"cookies": a dict}`` for scripts, or ``{"carrier": …}``.

    Returns:
        The carrier, or None when the options name neither a request, nor a dict, nor a carrier.
    """
    options = store_options or {}
    if options.get("carrier") is not None:
        carrier: Carrier = options["carrier"]
        return carrier
    if options.get("cookies") is not None:
        return DictCarrier(options["cookies"])
    request = options.get("request")
    if request is None:
        return None
    # The middleware sees every response leave; one that is passed may be dropped on the way (see `delivery`).
    staged: Carrier | None = _staged_by_middleware(request)
    return staged or WebCarrier(request, options.get("response"))


def _staged_by_middleware(request: Any) -> Carrier | None:
    carrier: Carrier | None = getattr(request, REQUEST_CARRIER, None)
    if carrier is not None:
        return carrier
    scope = getattr(request, "scope", None)
    state = scope.get("state", {}).get(SCOPE_STATE) if isinstance(scope, dict) else None
    return None if state is None else state.carrier
