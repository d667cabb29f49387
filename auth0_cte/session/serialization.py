"""Sessions as values: from verified claims and tokens, to the dict that is sealed, and back."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve

from auth0_cte.auth_types.actor import Actor
from auth0_cte.auth_types.session import Session, TokenSet
from auth0_cte.error import OrganizationError, SessionError, SessionExpiredError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from auth0_cte.auth_types import TokenExchangeResponse

__all__ = [
    "CONNECTION_TOKEN_SETS",
    "DEFAULT_AUDIENCE",
    "check_organization",
    "ever_smaller",
    "from_login",
    "from_state_data",
    "to_state_data",
    "with_tokens",
]

CONNECTION_TOKEN_SETS: Final = "connection_token_sets"
"""Where a session has the tokens of other providers, as in auth0-server-python."""
DEFAULT_AUDIENCE: Final = "default"
"""What a token set is filed under when no audience was asked for, as the sibling SDKs do."""
MAX_PLAUSIBLE_TIME: Final = 10_000_000_000
"""Unix seconds beyond this are milliseconds, or nonsense."""
NEVER: Final = MAX_PLAUSIBLE_TIME - 1
"""Stands for an expiry that is not known: the siblings' model requires a number."""

_OWN_MEMBERS: Final = frozenset({"user", "id_token", "refresh_token", "token_sets", "domain", "internal"})


def check_organization(claims: Mapping[str, Any], organization: str | None) -> None:
    """Check that an ID token belongs to the organization that was asked for.

    Args:
        claims: Verified claims.
        organization: An id (``org_…``), compared exactly, a name, compared after NFC and case-folding, or None.

    Raises:
        OrganizationError: It belongs to another one, or to none.
    """
    if organization is None:
        return
    if organization.startswith("org_"):
        fits = claims.get("org_id") == organization
    else:
        name = claims.get("org_name")
        fits = isinstance(name, str) and _folded(name) == _folded(organization)
    if not fits:
        raise OrganizationError("the ID token does not belong to the organization that was asked for")


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def from_login(
    claims: Mapping[str, Any],
    response: TokenExchangeResponse,
    *,
    domain: str,
    audience: str | None,
    scope: str,
    sid: str,
    now: float,
    user: Mapping[str, Any],
    expires_at: int | None,
    dpop_thumbprint: str | None = None,
) -> Session:
    """Make the session of a login.

    Args:
        claims: The verified claims of the ID token.
        response: The tokens.
        domain: The domain that issued them.
        audience: The audience that was asked for, or None.
        scope: The scopes that were asked for, separated by spaces.
        sid: The session's id at Auth0, or one of our own.
        now: The time in Unix seconds.
        user: The claims that enter the session.
        expires_at: When the upstream session ends, in Unix seconds, or None.
        dpop_thumbprint: The thumbprint of the client's DPoP key, or None.

    Raises:
        SessionError: The upstream session that the login rests on has ended already.
    """
    if expires_at is not None and expires_at <= now:
        raise SessionExpiredError("the upstream session that this login rests on has ended")
    return Session(
        user=user,
        id_token=response.id_token,
        refresh_token=response.refresh_token,
        token_sets=(_token_set(response, audience or DEFAULT_AUDIENCE, scope),),
        domain=domain,
        sid=sid,
        created_at=int(now),
        expires_at=expires_at,
        default_audience=audience or DEFAULT_AUDIENCE,
        default_scope=response.scope if response.scope is not None else scope,
        refresh_token_withheld=response.refresh_token_withheld,
        dpop_thumbprint=dpop_thumbprint,
        authenticated_at=_authenticated_at(claims, int(now)),
    )


def with_tokens(
    session: Session,
    response: TokenExchangeResponse,
    audience: str,
    scope: str | None,
    now: float,
    user: Mapping[str, Any],
) -> Session:
    """Return the session with refreshed tokens: rotated, where the server rotated, and kept, where it did not.

    Args:
        session: The session as it was.
        response: The refreshed tokens.
        audience: The audience that they are for.
        scope: The scopes that were asked for; None means those of the login, as RFC 6749 section 6 has it.
        now: The time in Unix seconds.
        user: The user's claims from now on.
    """
    usual = session.default_scope if audience == session.default_audience else ""
    fresh = _token_set(response, audience, usual if scope is None else scope)
    granted = set((fresh.scope or "").split())
    others = [
        each
        for each in session.token_sets
        if not (each.audience == audience and set((each.scope or "").split()) <= granted)
        and not (each.expires_at is not None and each.expires_at <= now)
    ]
    return evolve(
        session,
        user=user,
        token_sets=(*others, fresh),
        refresh_token=response.refresh_token or session.refresh_token,
        id_token=response.id_token or session.id_token,
        dpop_thumbprint=response.dpop_thumbprint or session.dpop_thumbprint,
    )


def _token_set(response: TokenExchangeResponse, audience: str, scope: str) -> TokenSet:
    return TokenSet(
        audience=audience,
        access_token=response.access_token,
        scope=response.scope if response.scope is not None else scope,
        expires_at=None if response.expires_at is None else int(response.expires_at),
        dpop_thumbprint=response.dpop_thumbprint,
    )


def ever_smaller(session: Session, before: Session) -> Iterator[Session]:
    """Yield a refreshed session, then less and less of it; its refresh token is in all of them.

    The tokens of other providers go first, because they can be had again at any time; then the oldest access tokens,
    because the newest was asked for; it goes first when it alone is too much. What the refresh changed of the user and
    the ID token goes last.

    Args:
        session: The refreshed session.
        before: The session before the refresh, which was not too large.
    """
    yield session
    kept = session.extra.get(CONNECTION_TOKEN_SETS)
    others: list[Any] = kept if isinstance(kept, list) else []
    for number in range(len(others)):
        session = evolve(session, extra={**session.extra, CONNECTION_TOKEN_SETS: others[number + 1 :]})
        yield session
    for sets in (session.token_sets, session.token_sets[:-1]):
        for number in range(len(sets)):
            yield evolve(session, token_sets=sets[number:])
    yield evolve(session, token_sets=())
    yield evolve(session, token_sets=(), user=before.user, id_token=before.id_token)


def _authenticated_at(claims: Mapping[str, Any], created_at: int) -> int:
    value = claims.get("auth_time")
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        return created_at
    return min(value, created_at)  # clocks differ


def to_state_data(session: Session) -> dict[str, Any]:
    """Return the dict that auth0-server-python keeps for a session; what is ours alone is in ``internal``."""
    internal: dict[str, Any] = {"sid": session.sid, "created_at": session.created_at}
    if session.expires_at is not None:
        internal["session_expires_at"] = session.expires_at
    if session.refresh_token_withheld:
        internal["refresh_token_withheld"] = True
    if session.dpop_thumbprint is not None:
        internal["dpop_jkt"] = session.dpop_thumbprint
    if session.authenticated_at != session.created_at:
        internal["authenticated_at"] = session.authenticated_at
    return {
        CONNECTION_TOKEN_SETS: [],  # auth0-server-python reads it unasked
        **session.extra,
        "user": dict(session.user),
        "id_token": session.id_token,
        "refresh_token": session.refresh_token,
        "token_sets": [_token_set_data(each) for each in session.token_sets],
        "domain": session.domain,
        "internal": {
            **internal,
            "default_audience": session.default_audience,
            "default_scope": session.default_scope,
        },
    }


def _token_set_data(tokens: TokenSet) -> dict[str, Any]:
    data = {
        "audience": tokens.audience,
        "access_token": tokens.access_token,
        "scope": tokens.scope,
        "expires_at": NEVER if tokens.expires_at is None else tokens.expires_at,
    }
    return data if tokens.dpop_thumbprint is None else {**data, "dpop_jkt": tokens.dpop_thumbprint}


def from_state_data(data: Mapping[str, Any]) -> Session:
    """Read a session that was sealed here or by a sibling SDK.

    Raises:
        SessionError: It is not the session of a user.
    """
    try:
        return _from_state_data(data)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise SessionError("the stored session is malformed", code="MALFORMED_SESSION") from None


def _from_state_data(data: Mapping[str, Any]) -> Session:
    internal = data["internal"]
    user = data["user"]
    if not isinstance(user["sub"], str) or not user["sub"]:
        raise ValueError("a session has a user")
    Actor.from_claim(user.get("act"))  # unreadable, a delegated session would pass for the user's own
    token_sets = tuple(
        TokenSet(
            audience=str(each["audience"]),
            access_token=str(each["access_token"]),
            scope=each.get("scope"),
            expires_at=None if each.get("expires_at") == NEVER else each.get("expires_at"),
            dpop_thumbprint=each.get("dpop_jkt"),
        )
        for each in data.get("token_sets") or ()
    )
    ceiling = internal.get("session_expires_at")
    # A sibling's session does not say what the login asked for; its first tokens are the login's.
    first = token_sets[0] if token_sets else TokenSet(audience=DEFAULT_AUDIENCE, access_token="")
    created_at = int(internal["created_at"])
    return Session(
        user=user,
        id_token=data.get("id_token"),
        refresh_token=data.get("refresh_token"),
        token_sets=token_sets,
        domain=data.get("domain"),
        sid=str(internal["sid"]),
        created_at=created_at,
        expires_at=None if ceiling is None else int(ceiling),
        default_audience=internal.get("default_audience") or first.audience,
        default_scope=str(internal.get("default_scope", first.scope) or ""),
        refresh_token_withheld=internal.get("refresh_token_withheld") is True,
        dpop_thumbprint=internal.get("dpop_jkt"),
        authenticated_at=int(internal.get("authenticated_at") or _authenticated_at(user, created_at)),
        extra={
            name: value
            for name, value in data.items()
            if name not in _OWN_MEMBERS and (name != CONNECTION_TOKEN_SETS or value)
        },
    )
