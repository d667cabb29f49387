"""Auth0 Custom Token Exchange (RFC 8693), synchronous first.

Everything public can be imported from here; each name is loaded when it is first used (PEP 562), so that importing the
package alone costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from auth0_cte._version import __version__ as __version__

if TYPE_CHECKING:
    from auth0_cte.auth_server.async_server_client import AsyncServerClient
    from auth0_cte.auth_server.server_client import ServerClient
    from auth0_cte.auth_types import (
        Actor,
        AuthorizationParams,
        CustomTokenExchangeOptions,
        DefaultParams,
        DomainResolver,
        DomainResolverContext,
        ExchangeOptionsDict,
        LoginWithCustomTokenExchangeOptions,
        LoginWithCustomTokenExchangeResult,
        LogoutOptions,
        MfaAuthenticator,
        MfaChallenge,
        MfaEnrollment,
        Reexchange,
        Session,
        SessionClaims,
        SessionTransferTokenResult,
        TokenExchangeResponse,
        TokenSet,
        TokenSource,
    )
    from auth0_cte.error import (
        AccessTokenError,
        AccessTokenErrorCode,
        AccessTokenForConnectionError,
        AccessTokenForConnectionErrorCode,
        ApiError,
        Auth0CTEError,
        Auth0Error,
        BackchannelLogoutError,
        ConfigurationError,
        CustomTokenExchangeError,
        CustomTokenExchangeErrorCode,
        DiscoveryError,
        DomainResolverError,
        ExchangeDiscoveryError,
        ExchangeTimeoutError,
        ExchangeTransportError,
        IdTokenError,
        MfaRequiredAtRefreshError,
        MfaRequiredError,
        OrganizationError,
        OrganizationTokenValidationError,
        RateLimitError,
        RateLimitKind,
        RateLimitStatus,
        RevocationError,
        SessionError,
        SessionExpiredError,
        TransportError,
        TransportTimeoutError,
    )
    from auth0_cte.exchange.cache import ExchangeCache, ExchangeCacheBackend
    from auth0_cte.exchange.cache_key import ExchangeRequest
    from auth0_cte.exchange.redis_cache import RedisExchangeCache
    from auth0_cte.oauth.client_auth.base import (
        ClientAuth,
        ClientSecretBasic,
        ClientSecretPost,
        PublicClient,
    )
    from auth0_cte.oauth.client_auth.mutual_tls import MutualTls
    from auth0_cte.oauth.client_auth.private_key_jwt import PrivateKeyJwt
    from auth0_cte.oauth.dpop import DPoPKey, DPoPNonceStore
    from auth0_cte.oauth.events import (
        ClientEvent,
        EventHook,
        ExchangeFailed,
        ExchangeReused,
        ExchangeStarted,
        ExchangeSucceeded,
        RateLimitWaitStarted,
        TokenRequestFailed,
        TokenRequestRetried,
        TokenRequestStarted,
        TokenRequestSucceeded,
    )
    from auth0_cte.oauth.rate_limit.limiter import RateLimit
    from auth0_cte.oauth.retry import RetryBudget, RetryPolicy
    from auth0_cte.requests_auth import ExchangeAuth
    from auth0_cte.session.carrier import Carrier, DictCarrier
    from auth0_cte.session.settings import CookieSettings, SessionSettings
    from auth0_cte.session.stores.contract import Rotations, SearchableStore, StateStore
    from auth0_cte.session.stores.cookie import CookieStateStore
    from auth0_cte.session.stores.memory import MemoryStateStore
    from auth0_cte.session.stores.redis import RedisStateStore
    from auth0_cte.session.stores.redis_rotations import RedisRotations
    from auth0_cte.session.stores.rotations import MemoryRotations
    from auth0_cte.session.stores.sql import SQLStateStore
    from auth0_cte.session.stores.sql_rotations import SQLRotations

__all__ = [
    "AccessTokenError",
    "AccessTokenErrorCode",
    "AccessTokenForConnectionError",
    "AccessTokenForConnectionErrorCode",
    "Actor",
    "ApiError",
    "AsyncServerClient",
    "Auth0CTEError",
    "Auth0Error",
    "AuthorizationParams",
    "BackchannelLogoutError",
    "Carrier",
    "ClientAuth",
    "ClientEvent",
    "ClientSecretBasic",
    "ClientSecretPost",
    "ConfigurationError",
    "CookieSettings",
    "CookieStateStore",
    "CustomTokenExchangeError",
    "CustomTokenExchangeErrorCode",
    "CustomTokenExchangeOptions",
    "DefaultParams",
    "DictCarrier",
    "DiscoveryError",
    "DomainResolver",
    "DomainResolverContext",
    "DomainResolverError",
    "DPoPKey",
    "DPoPNonceStore",
    "EventHook",
    "ExchangeAuth",
    "ExchangeCache",
    "ExchangeCacheBackend",
    "ExchangeDiscoveryError",
    "ExchangeFailed",
    "ExchangeOptionsDict",
    "ExchangeRequest",
    "ExchangeReused",
    "ExchangeStarted",
    "ExchangeSucceeded",
    "ExchangeTimeoutError",
    "ExchangeTransportError",
    "IdTokenError",
    "LoginWithCustomTokenExchangeOptions",
    "LoginWithCustomTokenExchangeResult",
    "LogoutOptions",
    "MemoryRotations",
    "MemoryStateStore",
    "MfaAuthenticator",
    "MfaChallenge",
    "MfaEnrollment",
    "MfaRequiredAtRefreshError",
    "MfaRequiredError",
    "MutualTls",
    "OrganizationError",
    "OrganizationTokenValidationError",
    "PrivateKeyJwt",
    "PublicClient",
    "RateLimit",
    "RateLimitError",
    "RateLimitKind",
    "RateLimitStatus",
    "RateLimitWaitStarted",
    "RedisExchangeCache",
    "RedisRotations",
    "RedisStateStore",
    "Reexchange",
    "RetryBudget",
    "RetryPolicy",
    "RevocationError",
    "Rotations",
    "SearchableStore",
    "ServerClient",
    "Session",
    "SessionClaims",
    "SessionError",
    "SessionExpiredError",
    "SessionSettings",
    "SessionTransferTokenResult",
    "SQLRotations",
    "SQLStateStore",
    "StateStore",
    "TokenExchangeResponse",
    "TokenRequestFailed",
    "TokenRequestRetried",
    "TokenRequestStarted",
    "TokenRequestSucceeded",
    "TokenSet",
    "TokenSource",
    "TransportError",
    "TransportTimeoutError",
]

_HOMES = {
    "auth_server.async_server_client": ("AsyncServerClient",),
    "oauth.client_auth.base": (
        "ClientAuth",
        "ClientSecretBasic",
        "ClientSecretPost",
        "PublicClient",
    ),
    "oauth.client_auth.mutual_tls": ("MutualTls",),
    "oauth.client_auth.private_key_jwt": ("PrivateKeyJwt",),
    "oauth.dpop": ("DPoPKey", "DPoPNonceStore"),
    "oauth.events": (
        "ClientEvent",
        "EventHook",
        "ExchangeFailed",
        "ExchangeReused",
        "ExchangeStarted",
        "ExchangeSucceeded",
        "RateLimitWaitStarted",
        "TokenRequestFailed",
        "TokenRequestRetried",
        "TokenRequestStarted",
        "TokenRequestSucceeded",
    ),
    "oauth.rate_limit.limiter": ("RateLimit",),
    "oauth.retry": ("RetryBudget", "RetryPolicy"),
    "auth_server.server_client": ("ServerClient",),
    "auth_types": (
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
        "Reexchange",
        "Session",
        "SessionClaims",
        "SessionTransferTokenResult",
        "TokenExchangeResponse",
        "TokenSet",
        "TokenSource",
    ),
    "exchange.cache": ("ExchangeCache", "ExchangeCacheBackend"),
    "exchange.cache_key": ("ExchangeRequest",),
    "exchange.redis_cache": ("RedisExchangeCache",),
    "requests_auth": ("ExchangeAuth",),
    "session.carrier": ("Carrier", "DictCarrier"),
    "session.settings": ("CookieSettings", "SessionSettings"),
    "session.stores.contract": ("Rotations", "SearchableStore", "StateStore"),
    "session.stores.cookie": ("CookieStateStore",),
    "session.stores.memory": ("MemoryStateStore",),
    "session.stores.redis": ("RedisStateStore",),
    "session.stores.redis_rotations": ("RedisRotations",),
    "session.stores.rotations": ("MemoryRotations",),
    "session.stores.sql": ("SQLStateStore",),
    "session.stores.sql_rotations": ("SQLRotations",),
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
