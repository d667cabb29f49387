"""What the integrations of Flask, Django and Starlette share: who is sent to log in, and what failures are answered."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any, Final, TypeGuard
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from attrs import frozen

from auth0_cte.error import (
    AccessTokenError,
    Auth0CTEError,
    ConfigurationError,
    CustomTokenExchangeError,
    DiscoveryError,
    IdTokenError,
    MfaRequiredError,
    OrganizationError,
    RateLimitError,
    TransportError,
    TransportTimeoutError,
)
from auth0_cte.session.web_carrier import check_partitioned

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from auth0_cte.auth_server.settings import ClientSettings
    from auth0_cte.auth_types import Session

__all__ = ["ErrorAnswer", "accepts_html", "answer_of", "check_settings", "is_admitted", "login_location"]

logger: Final = logging.getLogger("auth0_cte")

_STATUS_BY_CODE: Final = {
    **dict.fromkeys(("MISSING_SESSION", "MISSING_REFRESH_TOKEN", "SESSION_EXPIRED", "SESSION_ENDED"), 401),
    **dict.fromkeys(("DOMAIN_MISMATCH", "INSUFFICIENT_TOKEN", "USER_REFUSED"), 403),
    "SESSION_TOO_LARGE": 413,
    "INVALID_RESPONSE": 502,
    **dict.fromkeys(("STORE_UNAVAILABLE", "SESSION_LOCKED", "JWKS_UNAVAILABLE", "SIGNING_KEY_UNAVAILABLE"), 503),
    **dict.fromkeys(("RATE_LIMIT_UNAVAILABLE", "EXCHANGE_CACHE_UNAVAILABLE"), 503),
}
_STATUS_BY_KIND: Final[tuple[tuple[type[Auth0CTEError], int], ...]] = (
    (RateLimitError, 429),
    (MfaRequiredError, 403),
    (TransportTimeoutError, 504),
    (TransportError, 502),
    (DiscoveryError, 502),
    (IdTokenError, 403),
    (OrganizationError, 403),
)


def check_settings(settings: ClientSettings, response: type[Any]) -> None:
    """Refuse, when an application is put together, a client whose sessions could not work in it.

    Args:
        settings: The client's settings.
        response: The framework's class of responses.

    Raises:
        ConfigurationError: The client has no secret, or cookies that the framework cannot set.
    """
    if not settings.secrets:
        raise ConfigurationError(
            "sessions require a secret: set AUTH0_SECRET or ServerClient(secret=…) to what openssl rand -hex 32 prints"
        )
    if settings.session_settings is not None:
        check_partitioned(settings.session_settings.cookie, response)


def accepts_html(accept: str | None) -> bool:
    """Tell whether an ``Accept`` header allows ``text/html``, as it does when it is missing."""
    if not accept:
        return True
    allowed: dict[str, bool] = {}
    for each in accept.lower().split(","):
        name, *parameters = (part.strip() for part in each.split(";"))
        quality = next((part.removeprefix("q=") for part in parameters if part.startswith("q=")), "1")
        allowed[name] = bool(quality.strip("0."))
    return next((allowed[name] for name in ("text/html", "text/*", "*/*") if name in allowed), False)


def login_location(login_url: str, here: str, field: str) -> str:
    """Return the URL of a login page that finds back to the current one.

    Args:
        login_url: The login page: a path or URL; its own query is kept.
        here: The whole URL of the current page. A login page on another host is told all of it.
        field: The parameter that tells the login page where to go then.
    """
    parts, current = urlsplit(login_url), urlsplit(here)._replace(fragment="")
    is_here = parts.scheme in ("", current.scheme) and parts.netloc in ("", current.netloc)
    back = urlunsplit(current._replace(scheme="", netloc="") if is_here else current)
    query = [each for each in parse_qsl(parts.query, keep_blank_values=True) if each[0] != field]
    return urlunsplit(parts._replace(query=urlencode([*query, (field, back)], safe="/")))


def is_admitted(session: Session | None, max_age: float | None, clock: Callable[[], float]) -> TypeGuard[Session]:
    """Tell whether there is a session, of a user who authenticated within the last ``max_age`` seconds.

    Args:
        session: The session, or None.
        max_age: The seconds; None for any time.
        clock: The time in Unix seconds.
    """
    return session is not None and (max_age is None or clock() - session.authenticated_at <= max_age)


@frozen
class ErrorAnswer:
    """What a client is answered when a call failed.

    Args:
        status: The HTTP status.
        body: What to send as JSON: the error's code, and what the client needs to go on.
        headers: Headers beside those of JSON.
    """

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str]


def answer_of(error: Auth0CTEError) -> ErrorAnswer | None:
    """Return what to answer when a call failed; None for a fault of the application, which belongs in its log.

    The body has the error's code alone, and ``pending_login`` where the login can be resumed. Message and hint are for
    the application's log, where they are written.
    """
    status = _status_of(error)
    if status is None:
        return None
    logger.warning("answered %d: %s %s", status, error, error.hint)
    body, headers = {"error": error.code}, {"Cache-Control": "no-store"}
    pending_login = getattr(error, "pending_login", None)
    if pending_login is not None:
        body["pending_login"] = pending_login
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        headers["Retry-After"] = str(max(0, math.ceil(retry_after)))
    return ErrorAnswer(status, body, headers)


def _status_of(error: Auth0CTEError) -> int | None:
    if error.code in _STATUS_BY_CODE:
        return _STATUS_BY_CODE[error.code]
    status = next((status for kind, status in _STATUS_BY_KIND if isinstance(error, kind)), None)
    if status is None and isinstance(error, CustomTokenExchangeError):
        return 400 if error.status_code is None else 502 if error.status_code >= 500 else 403
    if status is None and isinstance(error, AccessTokenError):
        return 401 if error.session_ended or error.code == "invalid_grant" else 503 if error.is_retryable else 502
    return status
