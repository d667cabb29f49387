"""What callers pass in and get back: frozen values whose secrets stay out of their repr."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from auth0_cte.error import IdTokenError
    from auth0_cte.session.session_types import LoginWithCustomTokenExchangeResult, Session, TokenSet

__all__ = [
    "Actor",
    "AuthorizationParams",
    "CustomTokenExchangeOptions",
    "DomainResolver",
    "DomainResolverContext",
    "LoginWithCustomTokenExchangeOptions",
    "LoginWithCustomTokenExchangeResult",
    "Session",
    "TokenExchangeResponse",
    "TokenSet",
    "TokenSource",
]

TokenSource: TypeAlias = str | Callable[[], str]
"""A token, or a function without arguments that returns one; it is called once an exchange."""

AuthorizationParams: TypeAlias = Mapping[str, str | int | bool | Sequence[str | int | bool]]
"""Additional parameters of the token request; a sequence repeats its name."""


@frozen(kw_only=True)
class CustomTokenExchangeOptions:
    """What to exchange, and for what (RFC 8693 section 2.1).

    Nothing is checked here: the call that takes the options does, before it sends anything.
    Wherever options are taken, a dict with the same keys is too.

    Args:
        subject_token: The token of the user, or a function that returns it. It may be single-use.
        subject_token_type: A URI that names the token's kind and, at Auth0, the profile whose Action runs.
        audience: The identifier of the API that the access token is for; the tenant's default when absent.
        scope: The scopes asked for, separated by spaces or as a sequence.
        actor_token: The token of the party that acts for the user, or a function that returns it.
        actor_token_type: A URI that names the actor token's kind; given with ``actor_token`` or not at all.
        organization: The id (``org_…``) or the name of the Auth0 organization.
        resource: The URI of the target service, or several (RFC 8707).
        requested_token_type: Sent only when given: Auth0 answers 400 to it, On-Behalf-Of excepted.
        forwarded_for: The end user's IP address, sent as ``auth0-forwarded-for``, so that Auth0's attack
            protection counts the user and not the server. The application must trust that header.
        authorization_params: Further parameters, which the Action sees in ``event.request.body``.
    """

    subject_token: TokenSource = field(repr=False)
    subject_token_type: str
    audience: str | None = None
    scope: str | Sequence[str] | None = None
    actor_token: TokenSource | None = field(default=None, repr=False)
    actor_token_type: str | None = None
    organization: str | None = None
    resource: str | Sequence[str] | None = None
    requested_token_type: str | None = None
    forwarded_for: str | None = None
    authorization_params: AuthorizationParams | None = field(default=None, repr=False)


@frozen(kw_only=True)
class LoginWithCustomTokenExchangeOptions(CustomTokenExchangeOptions):
    """What to exchange for a login: the options of an exchange; ``openid`` is always added to the scope."""


@frozen(kw_only=True, eq=False)
class Actor(Mapping[str, Any]):
    """A verified ``act`` claim (RFC 8693 section 4.1): who acts for the subject, and for whom that one acts.

    It is the claim as a mapping, too: ``actor["sub"]``, ``dict(actor)``, ``actor == {"sub": "…"}``.

    Args:
        sub: The subject identifier of the acting party.
        claims: The whole claim as the token has it.
        act: The prior actor in the chain, or None.
    """

    sub: str
    claims: Mapping[str, Any] = field(repr=False)
    act: Actor | None = None

    def __getitem__(self, name: str) -> Any:
        return self.claims[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.claims)

    def __len__(self) -> int:
        return len(self.claims)

    def __hash__(self) -> int:
        return hash((self.sub, self.act))


@frozen(kw_only=True)
class TokenExchangeResponse:
    """The tokens that an exchange issued (RFC 8693 section 2.2.1).

    Args:
        access_token: The issued token.
        token_type: How to use it, mostly ``Bearer``; ``N_A`` for a session transfer token; None when not told.
        expires_in: Its lifetime in seconds, or None when not told.
        expires_at: When it expires, in Unix seconds by the client's clock, or None.
        scope: The granted scopes; None when they are those that were asked for.
        issued_token_type: The URI of the kind of the issued token, as the server named it.
        id_token: The ID token, if ``openid`` was asked for. Use ``claims``, which are verified.
        refresh_token: The refresh token, if ``offline_access`` was asked for and no actor takes part.
        claims: The verified claims of the ID token; None without one, or when it failed verification.
        act: The verified chain of actors; None without delegation, or when the ID token failed verification.
        id_token_error: Why ``claims`` is None although an ID token came; else None.
        extra: Fields of the reply that have no attribute of their own.
    """

    access_token: str = field(repr=False)
    token_type: str | None = None
    expires_in: int | None = None
    expires_at: float | None = None
    scope: str | None = None
    issued_token_type: str | None = None
    id_token: str | None = field(default=None, repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    claims: Mapping[str, Any] | None = field(default=None, repr=False)
    act: Actor | None = None
    id_token_error: IdTokenError | None = None
    extra: Mapping[str, Any] = field(factory=dict, repr=False)


@frozen(kw_only=True)
class DomainResolverContext:
    """What a ``domain`` callable is told about the request that it resolves the domain for.

    Args:
        request_url: The URL of the current request, or None outside of one.
        request_headers: Its headers, names in lower case; empty outside of a request.
    """

    request_url: str | None = None
    request_headers: Mapping[str, str] = field(factory=dict, repr=False)


DomainResolver: TypeAlias = Callable[[DomainResolverContext], str]
"""A synchronous function that names the Auth0 domain for a request."""

if not TYPE_CHECKING:  # they belong here by name, but who only exchanges tokens need not wait for them

    def __getattr__(name: str) -> object:
        if name not in ("LoginWithCustomTokenExchangeResult", "Session", "TokenSet"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from auth0_cte.session import session_types

        return getattr(session_types, name)
