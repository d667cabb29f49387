"""Which browser a pending login was begun in: known by a cookie, where an integration is sure to deliver it."""

from __future__ import annotations

import hmac
import re
import secrets
from typing import TYPE_CHECKING, Final

from auth0_cte.session.web_carrier import StagedCarrier

if TYPE_CHECKING:
    from auth0_cte.session.carrier import Carrier
    from auth0_cte.session.settings import SessionSettings

__all__ = ["Browsers"]

_OURS: Final = re.compile(r"[A-Za-z0-9_-]{43}").fullmatch
"""What a mark looks like: 32 random bytes; anything else in the cookie was put there by somebody else."""


class Browsers:
    """Marks browsers and recognizes them.

    Args:
        settings: Name and attributes of the cookie.
        max_age: How long the cookie lasts, in seconds.
    """

    def __init__(self, settings: SessionSettings, max_age: int) -> None:
        self._settings, self._max_age = settings.cookie, max_age
        self._name = settings.cookie.name(f"{settings.identifier}_mfa")

    def mark(self, carrier: Carrier) -> str | None:
        """Set a cookie, and return its value; None where the cookie may be dropped with the response that it is set on.

        A browser keeps its value, so that logins in two of its windows do not disturb each other.
        """
        if not isinstance(carrier, StagedCarrier) or not carrier.can_write:
            return None
        found = carrier.cookies().get(self._name, "")
        value = found if _OURS(found) else secrets.token_urlsafe(32)
        carrier.set_cookie(self._name, value, self._max_age, self._settings)
        return value

    def is_marked(self, carrier: Carrier | None, value: str) -> bool:
        """Tell whether a request comes from the browser that `mark` returned a value for."""
        found = "" if carrier is None else carrier.cookies().get(self._name, "")
        return found.isascii() and hmac.compare_digest(found, value)

    def forget(self, carrier: Carrier) -> None:
        """Delete the cookie: what it was set for is done."""
        carrier.set_cookie(self._name, "", 0, self._settings)
