"""Auth0 Custom Token Exchange (RFC 8693), synchronous first.

Everything public can be imported from here; each name is loaded when it is first used (PEP 562), so that importing the
package alone costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from auth0_cte.auth_server.async_server_client import AsyncServerClient
    from auth0_cte.auth_server.client_auth import ClientAuth, ClientSecretBasic, ClientSecretPost, PublicClient
    from auth0_cte.auth_server.retry import RetryBudget, RetryPolicy
    from auth0_cte.auth_server.server_client import ServerClient
    from auth0_cte.auth_types import (
        Actor,
        AuthorizationParams,
        CustomTokenExchangeOptions,
        DomainResolver,
        DomainResolverContext,
        LoginWithCustomTokenExchangeOptions,
        LoginWithCustomTokenExchangeResult,
        Session,
        TokenExchangeResponse,
        TokenSet,
        TokenSource,
    )
    from auth0_cte.error import (
        AccessTokenError,
        Auth0CTEError,
        ConfigurationError,
        CustomTokenExchangeError,
        CustomTokenExchangeErrorCode,
        DiscoveryError,
        ExchangeDiscoveryError,
        ExchangeTimeoutError,
        ExchangeTransportError,
        IdTokenError,
        MfaRequiredError,
        OrganizationError,
        RateLimitError,
        SessionError,
        TransportError,
        TransportTimeoutError,
    )
    from auth0_cte.session.carrier import Carrier, DictCarrier
    from auth0_cte.session.settings import CookieSettings, SessionSettings
    from auth0_cte.session.stores import CookieStateStore, MemoryStateStore, StateStore

__all__ = [
    "AccessTokenError",
    "Actor",
    "AsyncServerClient",
    "Auth0CTEError",
    "AuthorizationParams",
    "Carrier",
    "ClientAuth",
    "ClientSecretBasic",
    "ClientSecretPost",
    "ConfigurationError",
    "CookieSettings",
    "CookieStateStore",
    "CustomTokenExchangeError",
    "CustomTokenExchangeErrorCode",
    "CustomTokenExchangeOptions",
    "DictCarrier",
    "DiscoveryError",
    "DomainResolver",
    "DomainResolverContext",
    "ExchangeDiscoveryError",
    "ExchangeTimeoutError",
    "ExchangeTransportError",
    "IdTokenError",
    "LoginWithCustomTokenExchangeOptions",
    "LoginWithCustomTokenExchangeResult",
    "MemoryStateStore",
    "MfaRequiredError",
    "OrganizationError",
    "PublicClient",
    "RateLimitError",
    "RetryBudget",
    "RetryPolicy",
    "ServerClient",
    "Session",
    "SessionError",
    "SessionSettings",
    "StateStore",
    "TokenExchangeResponse",
    "TokenSet",
    "TokenSource",
    "TransportError",
    "TransportTimeoutError",
]

_HOMES = {
    "auth_server.async_server_client": ("AsyncServerClient",),
    "auth_server.client_auth": ("ClientAuth", "ClientSecretBasic", "ClientSecretPost", "PublicClient"),
    "auth_server.retry": ("RetryBudget", "RetryPolicy"),
    "auth_server.server_client": ("ServerClient",),
    "auth_types": (
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
    ),
    "session.carrier": ("Carrier", "DictCarrier"),
    "session.settings": ("CookieSettings", "SessionSettings"),
    "session.stores": ("CookieStateStore", "MemoryStateStore", "StateStore"),
}
# Whatever is not listed lives in auth0_cte.error.
_HOME = {name: home for home, names in _HOMES.items() for name in names}


if not TYPE_CHECKING:  # a type checker that saw it would take every misspelt name

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_HOME.get(name, 'error')}"), name)
        globals()[name] = value  # the next look-up finds it without this function
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
