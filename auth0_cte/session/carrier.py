"""Cookies in and cookies out: what a session asks of a request and its response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from attrs import define, field

from auth0_cte.error import SessionError
from auth0_cte.foundation.store_options import check_store_options, is_changeable
from auth0_cte.session.web_carrier import StagedCarrier, WebCarrier, staged_carrier

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from auth0_cte.auth_types import Session
    from auth0_cte.session.settings import CookieSettings

__all__ = ["Carrier", "DictCarrier", "carrier_of", "require_admitted", "require_writable"]


class Carrier(Protocol):
    """What carries a session's cookies between the browser and us."""

    @property
    def can_write(self) -> bool:
        """Whether cookies can be set; without a response, or when it has begun, they cannot."""
        ...

    @property
    def is_secure(self) -> bool:
        """Whether cookies are set with the attribute ``Secure``."""
        ...

    def cookies(self) -> Mapping[str, str]:
        """Return the browser's cookies, with what was set or deleted since on top."""
        ...

    def set_cookie(self, name: str, value: str, max_age: int, settings: CookieSettings) -> None:
        """Set a cookie for ``max_age`` seconds; 0 deletes it."""


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


def require_writable(carrier: Carrier, settings: CookieSettings) -> None:
    """Refuse what has to set cookies, before anything is spent, where they could not be set.

    Raises:
        SessionError: The response is missing, or it has begun.
        ConfigurationError: The framework cannot set such cookies.
    """
    if getattr(carrier, "was_sent", False):
        raise SessionError(
            "the response has begun, so the session cookie cannot be set any more",
            code="RESPONSE_SENT",
        )
    if not carrier.can_write:
        raise SessionError(
            'no response to set the session cookie on: pass store_options={"request": …, "response": …}',
            code="RESPONSE_MISSING",
        )
    if isinstance(carrier, WebCarrier):
        carrier.check(settings)
    # Asked now, because Django refuses requests for unknown hosts here: before a token is spent, not after.
    _ = carrier.is_secure


def require_admitted(carrier: Carrier, session: Session) -> None:
    """Ask the integration whether a user may have a session, before there is a record or a cookie of it.

    Raises:
        SessionError: The application refuses the user.
    """
    if isinstance(carrier, StagedCarrier) and carrier.admit is not None and not carrier.admit(session):
        raise SessionError(
            "the application refuses this user",
            code="USER_REFUSED",
        )


def carrier_of(store_options: Mapping[str, Any] | None) -> Carrier | None:
    """Find the carrier that store options stand for.

    Args:
        store_options: ``{"request": …, "response": …}``, ``{"cookies": a dict}`` for scripts, or ``{"carrier": …}``.

    Returns:
        The carrier, or None when the options name neither a request, nor a dict, nor a carrier.

    Raises:
        ConfigurationError: They are not such a dict.
    """
    check_store_options(store_options)
    if store_options is None:
        return None
    if store_options.get("carrier") is not None:
        carrier: Carrier = store_options["carrier"]
        return carrier
    if store_options.get("cookies") is not None:
        jar = store_options["cookies"]
        return DictCarrier(jar, can_write=is_changeable(jar))
    request = store_options.get("request")
    if request is None:
        return None
    # The integration sees every response leave; one that is passed may be dropped on the way (see `undelivered`).
    return staged_carrier(request) or WebCarrier(request, store_options.get("response"))
