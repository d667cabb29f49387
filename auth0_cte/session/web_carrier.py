"""Carries cookies by the requests and responses of Flask, Django and Starlette."""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from auth0_cte.error import ConfigurationError, SessionError
from auth0_cte.foundation.store_options import is_request, kind_of, unproxied
from auth0_cte.foundation.urls import is_loopback
from auth0_cte.oauth.domain import resolver_context

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from auth0_cte.auth_types import Session
    from auth0_cte.session.settings import CookieSettings

__all__ = ["SCOPE_STATE", "StagedCarrier", "WebCarrier", "check_partitioned", "staged_carrier"]

SCOPE_STATE: Final = "auth0_cte"
"""Where the middleware for Starlette keeps what belongs to a request, within ``scope["state"]``."""
_CARRIER: Final = "_auth0_cte_carrier"
_STAGED: Final = "_auth0_cte_staged_cookies"
_FORWARDING: Final = ("x-forwarded", "x-original-", "cloudfront-forwarded-")
_FORWARDED: Final = frozenset(
    {
        *("forwarded", "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip", "cf-connecting-ip"),
        *("fastly-client-ip", "fastly-ssl", "x-scheme", "x-url-scheme", "front-end-https", "x-arr-ssl"),
    }
)

T = TypeVar("T")


class WebCarrier:
    """Carries cookies by a framework's request and response objects.

    Args:
        request: A request of Flask (Werkzeug), Django or Starlette.
        response: A response of the same framework, or None to read only.

    Raises:
        ConfigurationError: They are something else, or change places.
    """

    def __init__(self, request: Any, response: Any = None) -> None:
        self._request, self._response = unproxied(request), unproxied(response)
        self._origin: tuple[()] | tuple[str] | None = None
        if not is_request(self._request):
            raise ConfigurationError(
                f'store_options["request"] must be a request of Flask, Django or Starlette, not a {kind_of(request)}'
            )
        if response is not None and not hasattr(self._response, "set_cookie"):
            raise ConfigurationError(
                f'store_options["response"] must be a response of Flask, Django or Starlette, not a {kind_of(response)}'
            )

    @property
    def can_write(self) -> bool:
        """Whether there is a response."""
        return self._response is not None

    @property
    def is_secure(self) -> bool:
        """False for plain http to this machine, where browsers drop Secure cookies or do not send them back.

        A forwarding header says that the browser talks to a proxy, of which neither scheme nor host is known.
        """
        host = self._plain_host()
        return host is None or not is_loopback(host)

    def _plain_host(self) -> str | None:
        """Return the host that the browser itself talks plain http to; None for https, and behind a proxy."""
        if self._origin is None:
            context = resolver_context({"request": self._request})
            parts = urlsplit(context.request_url or "")
            is_plain = parts.scheme in ("http", "ws") and not any(map(_is_forwarding, context.request_headers or ()))
            self._origin = (parts.hostname or "",) if is_plain else ()
        return self._origin[0] if self._origin else None

    def cookies(self) -> Mapping[str, str]:
        """Return the request's cookies, and what was staged in the course of it."""
        if self._response is not None:
            _mark_as_private(self._response.headers)
        return self._cookies()

    def _cookies(self) -> Mapping[str, str]:
        found = getattr(self._request, "COOKIES", None)
        cookies: Mapping[str, str] = self._request.cookies if found is None else found
        staged: dict[str, str | None] = getattr(self._request, _STAGED, {})
        merged = {name: value for name, value in {**cookies, **staged}.items() if value is not None}
        return merged if staged else cookies

    def repeated(self, name: str) -> list[str]:
        """Return all values that the browser sent under a name: one for each path and domain that it has the name for.

        None of them counts once the cookie was set or deleted in the course of the request.
        """
        if name in getattr(self._request, _STAGED, {}):
            return []
        headers = self._request.headers
        lines = headers.getlist("Cookie") if hasattr(headers, "getlist") else [headers.get("Cookie") or ""]
        pairs = (pair.strip().partition("=") for line in lines for pair in line.split(";"))
        return [value for found, _, value in pairs if found == name]

    def set_cookie(self, name: str, value: str, max_age: int, settings: CookieSettings) -> None:
        """Set the cookie on the response, once: an earlier one of that name is withdrawn."""
        self._stage(name, value if max_age > 0 else None)
        self._write(self._response, name, value, max_age, settings)
        if hasattr(self._response, "raw_headers"):
            from auth0_cte.session.undelivered import watch

            watch(self._response)

    def check(self, settings: CookieSettings) -> None:
        """Refuse cookies that the framework cannot set."""
        if self._response is not None:
            check_partitioned(settings, type(self._response))

    def _write(self, response: Any, name: str, value: str, max_age: int, settings: CookieSettings) -> None:
        _withdraw(response, name)
        arguments = settings.arguments(value, max_age, is_secure=self.is_secure)
        response.set_cookie(name, **arguments)
        response.headers["Cache-Control"] = "no-store, private"
        _vary_on_cookie(response.headers)
        if arguments["secure"] and not is_loopback(self._plain_host() or "localhost"):
            settings.warn_of_plain_http()

    def _stage(self, name: str, value: str | None) -> None:
        staged: dict[str, str | None] = getattr(self._request, _STAGED, None) or {}
        staged[name] = value
        setattr(self._request, _STAGED, staged)


class StagedCarrier(WebCarrier):
    """Keeps what is to be written until the response begins: for integrations that see it leave.

    What is loaded for the request's cookies is loaded once, however often it is asked for.

    Args:
        request: A request of Flask (Werkzeug), Django or Starlette.

    Attributes:
        was_sent: Whether the response has begun: nothing can be set any more.
        admit: Asked before a session begins whether its user may have one; None for everybody.
    """

    def __init__(self, request: Any) -> None:
        super().__init__(request)
        self.was_sent: bool = False
        self.admit: Callable[[Session], bool] | None = None
        self._was_read = False
        self._pending: dict[str, tuple[str, int, CookieSettings]] = {}
        self._loaded: tuple[Hashable, Any] | None = None

    @classmethod
    def of(cls, request: Any) -> StagedCarrier:
        """Return the carrier that belongs to a request, made when it is first asked for."""
        request = unproxied(request)
        found: StagedCarrier | None = getattr(request, _CARRIER, None)
        if found is None:
            found = cls(request)
            setattr(request, _CARRIER, found)
        return found

    @property
    def can_write(self) -> bool:
        """Whether the response is still to come."""
        return not self.was_sent

    @property
    def has_pending(self) -> bool:
        """Whether cookies wait for a response."""
        return bool(self._pending) and not self.was_sent

    def cookies(self) -> Mapping[str, str]:
        """Return the request's cookies, and what was staged in the course of it."""
        self._was_read = True
        return self._cookies()

    def set_cookie(self, name: str, value: str, max_age: int, settings: CookieSettings) -> None:
        """Note a cookie for the response.

        Raises:
            SessionError: The response has begun in the meantime.
        """
        if self.was_sent:
            raise SessionError(
                "the response began while the session was being changed, so the cookie could not be set",
                code="RESPONSE_SENT",
                _hint="What was sent to Auth0 is spent. Wait for login, logout and refresh before responding.",
            )
        self._stage(name, value if max_age > 0 else None)
        self._pending[name] = (value, max_age, settings)

    def withdraw(self) -> None:
        """Delete what was noted to be set, so that the browser is left without a session."""
        for name, (_, _, settings) in tuple(self._pending.items()):
            self.set_cookie(name, "", 0, settings)

    def check(self, settings: CookieSettings) -> None:
        """Do nothing: the integration checked its framework when it was set up."""

    def flush(self, response: Any) -> None:
        """Set on the response what was noted, each cookie once; from now on nothing can be set.

        Args:
            response: The response, or what has its ``headers`` and ``set_cookie``.
        """
        self.was_sent = True
        for name, (value, max_age, settings) in self._pending.items():
            self._write(response, name, value, max_age, settings)
        if self._was_read:
            _mark_as_private(response.headers)

    def once(self, key: Hashable, load: Callable[[], T]) -> T:
        """Return what ``load`` returned for the last key, if this is the same one; else call it.

        A response that has begun may go on for hours, as streams and websockets do: from then on it is always called.
        """
        if self._loaded is None or self._loaded[0] != key or self.was_sent:
            self._loaded = key, load()
        found: T = self._loaded[1]
        return found

    def forget(self) -> None:
        """Have `once` load anew: the session was changed."""
        self._loaded = None


def staged_carrier(request: Any) -> StagedCarrier | None:
    """Return the carrier that an integration gave to a request, or None."""
    request = unproxied(request)
    carrier: StagedCarrier | None = getattr(request, _CARRIER, None)
    scope = getattr(request, "scope", None)
    if carrier is not None or not isinstance(scope, dict):
        return carrier
    state = scope.get("state", {}).get(SCOPE_STATE)
    return None if state is None else state.carrier


def _is_forwarding(header: str) -> bool:
    return header.startswith(_FORWARDING) or header in _FORWARDED


def check_partitioned(settings: CookieSettings, response: type[Any]) -> None:
    """Refuse partitioned cookies where a framework's response, or Python for it, cannot set them.

    Raises:
        ConfigurationError: It cannot.
    """
    if not settings.partitioned:
        return
    if "partitioned" not in inspect.signature(response.set_cookie).parameters:
        raise ConfigurationError(
            f"CookieSettings(partitioned=True): {response.__module__}.{response.__name__} cannot set Partitioned"
        )
    # Starlette leaves the attribute to http.cookies, which learnt it in 3.14.
    if response.__module__.startswith("starlette") and sys.version_info < (3, 14):
        raise ConfigurationError("CookieSettings(partitioned=True): Starlette can set Partitioned from Python 3.14 on")


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


def _mark_as_private(headers: Any) -> None:
    """Keep what was made for one user from the next one: a page that looked at the session is that user's."""
    _vary_on_cookie(headers)
    if not headers.get("Cache-Control"):
        headers["Cache-Control"] = "private"


def _vary_on_cookie(headers: Any) -> None:
    lines = headers.getlist("Vary") if hasattr(headers, "getlist") else [headers.get("Vary", "")]
    named = [name.strip() for line in lines for name in line.split(",") if name.strip()]
    if not {"cookie", "*"} & {name.lower() for name in named}:
        headers["Vary"] = ", ".join([*named, "Cookie"])
