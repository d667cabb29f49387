"""Which claims of an ID token enter a session, whose session they make it, and when it ends."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from auth0_cte.error import ConfigurationError, SessionError
from auth0_cte.foundation.validation import call_given, is_asynchronous
from auth0_cte.jose import JoseError
from auth0_cte.oauth.id_token import read_time, read_unverified
from auth0_cte.session.stores.contract import Owner

if TYPE_CHECKING:
    from collections.abc import Callable

    from auth0_cte.auth_types import Session
    from auth0_cte.auth_types.session import SessionClaims

__all__ = [
    "ALWAYS_KEPT",
    "ClaimsChoice",
    "is_of_application",
    "issuer_of",
    "owner_of",
    "read_session_expiry",
    "sid_of_user",
]

logger: Final = logging.getLogger("auth0_cte")

ALWAYS_KEPT: Final = frozenset(
    {"iss", "sub", "aud", "azp", "sid", "org_id", "org_name", "act", "exp", "iat", "session_expiry"}
)
"""What a session is bound by; ``session_claims`` cannot leave it out or change it."""
MAX_SECONDS: Final = 10_000_000_000
"""Unix seconds from here on are milliseconds."""
MAX_MILLISECONDS: Final = 1000 * MAX_SECONDS

# What an ID token says about itself alone.
_TOKEN_CLAIMS: Final = frozenset({"nbf", "nonce", "at_hash", "c_hash", "s_hash"})
# What is in an ID token by its scope (OpenID Connect Core 1.0, section 5.4).
_SCOPE_CLAIMS: Final = {
    "profile": frozenset(
        {
            *("name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile"),
            *("picture", "website", "gender", "birthdate", "zoneinfo", "locale", "updated_at"),
        }
    ),
    "email": frozenset({"email", "email_verified"}),
    "address": frozenset({"address"}),
    "phone": frozenset({"phone_number", "phone_number_verified"}),
}


class ClaimsChoice:
    """Chooses the claims that enter sessions.

    Args:
        chosen: Their names, or a function of all claims that returns names or a mapping of claims; None for all.

    Attributes:
        is_limited: Whether claims may be left out.

    Raises:
        ConfigurationError: It is something else.
    """

    def __init__(self, chosen: SessionClaims | None) -> None:
        self._choose = chosen if callable(chosen) else None
        self._names = () if chosen is None or callable(chosen) else _names(chosen)
        self.is_limited: bool = chosen is not None
        if is_asynchronous(chosen):
            raise ConfigurationError("session_claims must be a plain function, not an asynchronous one")

    def of(self, claims: Mapping[str, Any]) -> dict[str, Any]:
        """Return the claims that enter the session.

        Args:
            claims: Verified claims.

        Raises:
            SessionError: ``SESSION_CLAIMS_FAILED``: the function raised an exception, which is the ``__cause__``, or
                returned something else.
        """
        shown = {name: value for name, value in claims.items() if name not in _TOKEN_CLAIMS}
        if not self.is_limited:
            return shown
        chosen = self._names if self._choose is None else self._ask(self._choose, shown)
        picked = chosen if isinstance(chosen, Mapping) else {name: shown[name] for name in chosen if name in shown}
        bound = {name: value for name, value in shown.items() if name in ALWAYS_KEPT}
        return {**{name: value for name, value in picked.items() if name not in ALWAYS_KEPT}, **bound}

    def refreshed(self, session: Session, claims: Mapping[str, Any], scope: str | None) -> dict[str, Any]:
        """Return the user of a session after a refresh.

        Args:
            session: The session before.
            claims: The verified claims of the new ID token.
            scope: The scopes that the refresh asked for, when they were fewer than the login's; claims of the scopes
                left out stay as they were.
        """
        user = self.of(claims)
        missing = set() if scope is None else _SCOPE_CLAIMS.keys() - set(scope.split())
        for name in missing:
            user |= {each: session.user[each] for each in _SCOPE_CLAIMS[name] if each in session.user.keys() - user}
        return user

    def _ask(self, choose: Callable[..., Any], claims: Mapping[str, Any]) -> Any:
        try:
            chosen = call_given(choose, dict(claims), name="session_claims", code="SESSION_CLAIMS_FAILED")
            return chosen if isinstance(chosen, Mapping) else _names(chosen)
        except ConfigurationError as error:
            failure, cause = error, error.__cause__
        raise SessionError(
            failure.message,
            code="SESSION_CLAIMS_FAILED",
            _hint="The function must return the names of claims, or a mapping of claims. The subject token is spent.",
        ) from cause


def _names(chosen: object) -> tuple[str, ...]:
    names = tuple(chosen) if isinstance(chosen, Iterable) and not isinstance(chosen, str | bytes) else None
    if names is None or not all(isinstance(name, str) for name in names):
        raise ConfigurationError(
            'session_claims must be names such as ["name", "email"], or a function of the claims that returns some'
        )
    return names


def is_of_application(session: Session, client_id: str) -> bool:
    """Tell whether a session began with an ID token of this application; one that does not tell did not."""
    claims = _bound_claims(session)
    audience, party = claims.get("aud"), claims.get("azp")
    audiences = audience if isinstance(audience, list) else [audience]
    return client_id in audiences and party in (None, client_id)


def owner_of(session: Session, issuer: str) -> Owner:
    """Return what back-channel logout finds a new session by."""
    sub, sid, issued = session.user["sub"], session.user.get("sid"), read_time(session.user.get("iat"))
    has_sid = isinstance(sid, str) and sid
    since = session.created_at if issued is None else issued
    return Owner(issuer, str(sid) if has_sid else sid_of_user(sub), sub, since)


def sid_of_user(sub: str) -> str:
    """Return what sessions of a user are found by whose ID token had no ``sid``."""
    return f"without sid: {sub}"


def issuer_of(session: Session) -> str | None:
    """Return the issuer of the ID token that a session began with, or None when it does not tell."""
    issuer = _bound_claims(session).get("iss")
    return issuer if isinstance(issuer, str) else None


def _bound_claims(session: Session) -> Mapping[str, Any]:
    # auth0-server-python keeps them among the user's claims, as is done here; else the ID token itself tells.
    if "aud" in session.user:
        return session.user
    try:
        return read_unverified(session.id_token or "")[1]
    except (JoseError, ValueError):
        return {}


def read_session_expiry(claims: Mapping[str, Any], shortest: float) -> int | None:
    """Return when the upstream session ends, in Unix seconds, or None when that is not told.

    Args:
        claims: Verified claims.
        shortest: The end when the claim cannot be read: the earliest that is known.
    """
    value = claims.get("session_expiry")
    if value is None:
        return None
    seconds = _seconds(value)
    if seconds is None:
        logger.warning("the claim session_expiry cannot be read as a time: the session gets the shortest life")
        return int(shortest)
    return int(seconds)


def _seconds(value: object) -> float | None:
    """Read a time that may be a number or text, in seconds or milliseconds."""
    if isinstance(value, str):
        value = _number(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < MAX_MILLISECONDS:
        return None
    return value if abs(value) < MAX_SECONDS else value / 1000


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return _timestamp(text)
    return number if math.isfinite(number) else None


def _timestamp(text: str) -> float | None:
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
