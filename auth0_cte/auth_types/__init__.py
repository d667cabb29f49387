"""What callers pass in and get back: frozen values whose secrets stay out of their repr."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from auth0_cte.auth_types.exchange import (
    AuthorizationParams,
    CustomTokenExchangeOptions,
    DefaultParams,
    DomainResolver,
    TokenExchangeResponse,
    TokenSource,
)
from auth0_cte.error import RateLimitKind, RateLimitStatus

if TYPE_CHECKING:
    from auth0_cte.auth_types.actor import Actor
    from auth0_cte.auth_types.domain import DomainResolverContext
    from auth0_cte.auth_types.login import LoginWithCustomTokenExchangeOptions
    from auth0_cte.auth_types.logout import LogoutOptions
    from auth0_cte.auth_types.mfa import MfaAuthenticator, MfaChallenge, MfaEnrollment
    from auth0_cte.auth_types.option_dicts import ExchangeOptionsDict
    from auth0_cte.auth_types.session import (
        LoginWithCustomTokenExchangeResult,
        Reexchange,
        Session,
        SessionClaims,
        TokenSet,
    )
    from auth0_cte.auth_types.session_transfer import SessionTransferTokenResult

__all__ = [
    "Actor",
    "AuthorizationParams",
    "CustomTokenExchangeOptions",
    "DefaultParams",
    "DomainResolver",
    "DomainResolverContext",
    "ExchangeOptionsDict",
    "LoginWithCustomTokenExchangeOptions",
    "LoginWithCustomTokenExchangeResult",
    "LogoutOptions",
    "MfaAuthenticator",
    "MfaChallenge",
    "MfaEnrollment",
    "RateLimitKind",
    "RateLimitStatus",
    "Reexchange",
    "Session",
    "SessionClaims",
    "SessionTransferTokenResult",
    "TokenExchangeResponse",
    "TokenSet",
    "TokenSource",
]

# Loaded when they are first used: an exchange needs none of them.
_LATE = {
    "Actor": "actor",
    "DomainResolverContext": "domain",
    "ExchangeOptionsDict": "option_dicts",
    "LoginWithCustomTokenExchangeOptions": "login",
    "LogoutOptions": "logout",
    "SessionTransferTokenResult": "session_transfer",
    "LoginWithCustomTokenExchangeResult": "session",
    "MfaAuthenticator": "mfa",
    "MfaChallenge": "mfa",
    "MfaEnrollment": "mfa",
    "Reexchange": "session",
    "Session": "session",
    "SessionClaims": "session",
    "TokenSet": "session",
}

if not TYPE_CHECKING:  # a type checker that saw it would accept every misspelt name

    def __getattr__(name: str) -> object:
        if name not in _LATE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
        globals()[name] = value
        return value
