"""What callers pass in and get back: frozen values whose secrets stay out of their repr."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from attrs import field, frozen

if TYPE_CHECKING:
    from auth0_cte.auth_types.actor import Actor
    from auth0_cte.auth_types.domain import DomainResolverContext
    from auth0_cte.error import IdTokenError

__all__ = [
    "AuthorizationParams",
    "CustomTokenExchangeOptions",
    "DefaultParams",
    "DomainResolver",
    "StoreOptions",
    "TokenExchangeResponse",
    "TokenSource",
]

TokenSource: TypeAlias = str | Callable[[], str]
"""A token, or a function without arguments that returns one; it is called once an exchange."""

AuthorizationParams: TypeAlias = Mapping[str, str | int | bool | Sequence[str | int | bool]]
"""Additional parameters of the token request; a sequence repeats its name."""

DefaultParams: TypeAlias = Mapping[str, str | int | bool | Sequence[str | int | bool] | Mapping[str, str]]
"""`AuthorizationParams` of every exchange, whose ``scope`` may be a mapping of scopes by audience."""


StoreOptions: TypeAlias = Mapping[str, Any] | None
"""The request and the response of a call, ``{"request": …, "response": …}``, or what else finds its session."""


ForwardedFor: TypeAlias = "str | Literal[True] | None"
"""The address of the user who asks; True for that of the request in ``store_options``."""


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
            protection counts the user and not the server. The application must trust that header. True means the
            address of the request in ``store_options``: its peer's, or with the client's ``trusted_proxies`` the
            nearest one that is not a proxy.
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
    forwarded_for: ForwardedFor = None
    authorization_params: AuthorizationParams | None = field(default=None, repr=False)


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
        act: The verified chain of actors. None without delegation, and when nothing verified tells: see
            ``act_verified``.
        act_error: Why ``act`` is None although an actor token was sent, or may be None wrongly because the ID token
            failed verification; else None. Its code is ``MISSING_ID_TOKEN`` (ask for ``openid``), ``MISSING_ACTOR``
            (the ID token names no actor: the Action set none), or that of ``id_token_error``.
        id_token_error: Why ``claims`` is None although an ID token came; else None.
        refresh_token_withheld: Whether ``offline_access`` was asked for and no refresh token came. Auth0 issues none
            when an actor takes part.
        dpop_bound: With a DPoP key: True when the access token is bound to it (``token_type`` is ``DPoP``), False when
            it is a bearer token although a proof was sent. None without a key, and without an access token.
        dpop_thumbprint: The thumbprint of the key that the access token is bound to (RFC 9449 section 6), or None.
        from_cache: Whether the client's ``exchange_cache`` had the response, or another call's exchange brought it at
            the same time. ``expires_in`` is what is left of the lifetime then; ``expires_at`` is as it was.
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
    act_error: IdTokenError | None = None
    id_token_error: IdTokenError | None = None
    refresh_token_withheld: bool = False
    dpop_bound: bool | None = None
    dpop_thumbprint: str | None = None
    from_cache: bool = False
    extra: Mapping[str, Any] = field(factory=dict, repr=False)

    @property
    def act_verified(self) -> bool | None:
        """What is known of the actor.

        True: ``act`` is from a verified ID token. False: ``act`` is None, but that proves nothing, or an actor token
        was sent and nothing confirms that the tokens name the actor: ``act_error`` says why. None: no actor token was
        sent, and no verified ID token names one.
        """
        if self.act is not None:
            return True
        return None if self.act_error is None else False

    def current_actor(self) -> Actor | None:
        """Return who acts for the user now: the only one that may decide what is allowed (RFC 8693 section 4.1)."""
        return self.act

    def delegation_chain(self) -> list[Actor]:
        """Return the verified actors from the current to the original one; empty without delegation."""
        from auth0_cte.auth_types.actor import chain_of

        return chain_of(self.act)


DomainResolver: TypeAlias = "Callable[[DomainResolverContext], str] | Callable[[DomainResolverContext], Awaitable[str]]"
"""A function that names the Auth0 domain for a request; an ``async`` one is for `AsyncServerClient` alone."""
