"""Sessions as callers get them; importable from ``auth0_cte.auth_types``, too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from attrs import Factory, asdict, field, fields, frozen

from auth0_cte.auth_types.actor import Actor, chain_of
from auth0_cte.auth_types.exchange import CustomTokenExchangeOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from attrs import Attribute


__all__ = ["LoginWithCustomTokenExchangeResult", "Reexchange", "Session", "SessionClaims", "TokenSet"]

SessionClaims: TypeAlias = Sequence[str] | Callable[[Mapping[str, Any]], Iterable[str] | Mapping[str, Any]]
"""Which claims of ID tokens enter sessions: their names, or a function of all claims that returns names or claims."""


@frozen(kw_only=True)
class TokenSet:
    """An access token of a session, and what it is for.

    Args:
        audience: The API, or ``default`` when none was asked for.
        access_token: The token.
        scope: Its scopes, separated by spaces.
        expires_at: When it expires, in Unix seconds, or None when that is not known.
        dpop_thumbprint: The thumbprint of the DPoP key that it is bound to; None for a bearer token.
    """

    audience: str
    access_token: str = field(repr=False)
    scope: str | None = None
    expires_at: int | None = None
    dpop_thumbprint: str | None = None


def _is_shown(attribute: Attribute[Any], value: object) -> bool:
    return value is not None or attribute.name != "dpop_thumbprint"  # which the sibling SDKs do not have


_SHOWN: Final = ("user", "domain")
_TOKENS: Final = ("id_token", "refresh_token", "token_sets")


@frozen(kw_only=True, eq=False)
class Session(Mapping[str, Any]):
    """A user who is logged in. As a mapping it has the keys of auth0-server-python: ``session["user"]["sub"]``.

    Only their names get tokens, as in ``session["refresh_token"]``: iteration, ``dict(session)`` and the JSON that a
    framework makes of a session do not show them.

    Args:
        user: The user's verified claims; with ``act`` in a delegated session.
        sid: The session's id at Auth0 (claim ``sid``), or a random one.
        created_at: When the user logged in, in Unix seconds.
        token_sets: The access tokens, one for each audience and set of scopes.
        id_token: The ID token of the login, or a later one.
        refresh_token: The refresh token; None without ``offline_access``, and in a delegated session.
        domain: The Auth0 domain that the user logged in at.
        expires_at: When the upstream session ends (claim ``session_expiry``), in Unix seconds, or None. No refresh
            moves it.
        default_audience: The audience of the login, which is meant when none is named.
        default_scope: The scopes of the login, separated by spaces.
        refresh_token_withheld: Whether the login asked for ``offline_access`` and Auth0 issued no refresh token, as
            in every delegated session.
        dpop_thumbprint: The thumbprint of the DPoP key that the tokens were asked for with; None without. The refresh
            token of a public client is bound to that key.
        authenticated_at: When the user proved who they are, in Unix seconds: the claim ``auth_time`` of the login's ID
            token, or the time of the login. No refresh moves it.
        extra: What a sibling SDK keeps in the session besides; carried along.
    """

    user: Mapping[str, Any] = field(repr=False)
    sid: str
    created_at: int
    token_sets: tuple[TokenSet, ...] = ()
    id_token: str | None = field(default=None, repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    domain: str | None = None
    expires_at: int | None = None
    default_audience: str = "default"
    default_scope: str = ""
    refresh_token_withheld: bool = False
    dpop_thumbprint: str | None = None
    authenticated_at: int = field(default=Factory(lambda self: self.created_at, takes_self=True))
    extra: Mapping[str, Any] = field(factory=dict, repr=False)

    @property
    def act(self) -> Actor | None:
        """The party that acts for the user, with those before it behind; None when users act for themselves."""
        return Actor.from_claim(self.user.get("act"))

    def current_actor(self) -> Actor | None:
        """Return who acts for the user now: the only one that may decide what is allowed (RFC 8693 section 4.1)."""
        return self.act

    def delegation_chain(self) -> list[Actor]:
        """Return the verified actors from the current to the original one; empty without delegation."""
        return chain_of(self.act)

    def __getitem__(self, name: str) -> Any:
        if name == "token_sets":
            return [asdict(each, filter=_is_shown) for each in self.token_sets]
        if name in _TOKENS or name in _SHOWN:
            return getattr(self, name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(_SHOWN)

    def __len__(self) -> int:
        return len(_SHOWN)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Session):
            return _compared(self) == _compared(other)
        return super().__eq__(other)

    def __hash__(self) -> int:
        return hash((self.domain, self.sid, self.created_at))


def _compared(session: Session) -> dict[str, Any]:
    return {each.name: getattr(session, each.name) for each in fields(Session)}


_Options: TypeAlias = CustomTokenExchangeOptions | Mapping[str, Any]
Reexchange: TypeAlias = Callable[[Session], _Options | Awaitable[_Options]]
"""Returns what to exchange for a delegated session, which it gets without tokens; async for `AsyncServerClient`."""


@frozen(kw_only=True)
class LoginWithCustomTokenExchangeResult:
    """A login that a token exchange made.

    Args:
        session: The session that was established.
        state_data: The same as the dict that auth0-server-python returns: ``state_data["user"]["sub"]``.
        authorization_details: What the server granted beyond scopes (RFC 9396), or None.
        recovery_code: The user's new recovery code, to be shown once, when the login used up the old one; else None.
    """

    session: Session
    state_data: dict[str, Any] = field(repr=False)
    authorization_details: Sequence[Mapping[str, Any]] | None = field(default=None, repr=False)
    recovery_code: str | None = field(default=None, repr=False)

    @property
    def user(self) -> Mapping[str, Any]:
        """The user's verified claims."""
        return self.session.user
