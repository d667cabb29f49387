"""What a client consists of: arguments checked and parts put together. The steps are in `ServerClient`."""

from __future__ import annotations

import os
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from auth0_cte.auth_server import settings as check
from auth0_cte.foundation.validation import check_positive, check_secrets
from auth0_cte.oauth.discovery import Discovery
from auth0_cte.oauth.observer import Observer
from auth0_cte.oauth.retry import RetryPolicy
from auth0_cte.oauth.token_endpoint import TokenEndpoint
from auth0_cte.transport.client import Http, TransportSettings
from auth0_cte.transport.headers import common_headers

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping, Sequence

    from auth0_cte.auth_types import AuthorizationParams, DomainResolver
    from auth0_cte.exchange.cache import ExchangeCacheBackend
    from auth0_cte.oauth.client_auth.base import ClientAuth
    from auth0_cte.oauth.client_auth.private_key_jwt import AssertionKey
    from auth0_cte.oauth.dpop import DPoPKey
    from auth0_cte.oauth.events import EventHook
    from auth0_cte.oauth.id_token import IdTokenVerifier
    from auth0_cte.oauth.rate_limit.limiter import RateLimit
    from auth0_cte.session.logout import LogoutTokens
    from auth0_cte.session.manager import SessionManager
    from auth0_cte.session.settings import SessionSettings
    from auth0_cte.session.stores.contract import StateStore
    from auth0_cte.transport.client import InjectedSession

__all__ = ["BaseClient"]


class BaseClient:
    """The constructor and the parts of `ServerClient`, which documents the arguments, and of its mirror."""

    def __init__(
        self,
        domain: str | DomainResolver,
        client_id: str,
        client_secret: str | None = None,
        *,
        secret: str | Sequence[str] | None = None,
        client_auth: ClientAuth | None = None,
        client_assertion_signing_key: AssertionKey | None = None,
        client_assertion_signing_alg: str | None = None,
        organization: str | None = None,
        authorization_params: AuthorizationParams | None = None,
        id_token_algorithms: Sequence[str] = ("RS256", "PS256", "ES256"),
        leeway: float = 30.0,
        timeout: float = 15.0,
        connect_timeout: float = 5.0,
        read_timeout: float = 10.0,
        pool_size: int = 64,
        ca_bundle: str | os.PathLike[str] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        session: InjectedSession | None = None,
        state_store: StateStore | None = None,
        state_identifier: str = "_a0_session",
        session_settings: SessionSettings | None = None,
        retry: RetryPolicy | None = None,
        rate_limit: RateLimit | str | None = None,
        on_event: EventHook | None = None,
        dpop: DPoPKey | str | Mapping[str, Any] | None = None,
        exchange_cache: ExchangeCacheBackend | None = None,
        telemetry: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._domain, self._client_id = check.check_domain(domain), check.check_client_id(client_id)
        self._secrets = check_secrets(secret)
        self._timeout, self._clock = check_positive("timeout", timeout), clock
        self._algorithms = check.check_algorithms(id_token_algorithms, client_secret)
        self._leeway = check.check_leeway(leeway)
        self._client_secret = client_secret
        self._defaults = check.check_defaults(organization, authorization_params)
        assertion = (client_assertion_signing_key, client_assertion_signing_alg)
        authentication = check.check_client_auth(client_auth, client_secret, assertion, clock)
        settings = TransportSettings(
            connect_timeout=check_positive("connect_timeout", connect_timeout),
            read_timeout=check_positive("read_timeout", read_timeout),
            pool_size=check_positive("pool_size", pool_size),
            ca_bundle=check.check_ca_bundle(ca_bundle),
            ssl_context=check.check_ssl_context(ssl_context),
            load_certificate=check.check_certificate(client_auth, ssl_context, session),
        )
        self._state_store, self._session_settings = state_store, session_settings
        self._state_identifier = state_identifier
        self.pool_size: int = settings.pool_size
        self.exchange_cache: ExchangeCacheBackend | None = check.check_exchange_cache(exchange_cache)
        self._http = Http(settings, session)
        headers = common_headers(telemetry=telemetry)
        retry = retry or RetryPolicy()
        self._observer = Observer(on_event)
        proving = check.check_dpop(dpop, clock)
        self.dpop: DPoPKey | None = None if proving is None else proving[0]
        self._discovery = Discovery(self._http, headers, retry)
        self._token_endpoint = TokenEndpoint(
            http=self._http,
            client_id=self._client_id,
            client_auth=authentication,
            retry=retry,
            headers=headers,
            clock=clock,
            rate_limit=check.check_rate_limit(rate_limit),
            observer=self._observer,
            dpop=proving,
        )

    @classmethod
    def from_env(cls, **options: Any) -> Self:
        """Make a client of the ``AUTH0_*`` environment variables that all Auth0 SDKs share.

        Read are ``AUTH0_DOMAIN``, ``AUTH0_CLIENT_ID``, ``AUTH0_CLIENT_SECRET`` or
        ``AUTH0_CLIENT_ASSERTION_SIGNING_KEY`` (with ``AUTH0_CLIENT_ASSERTION_SIGNING_ALG``), and if set
        ``AUTH0_SECRET``, ``AUTH0_ORGANIZATION``, ``AUTH0_AUDIENCE``, ``AUTH0_SCOPE`` and ``AUTH0_DPOP_PRIVATE_KEY``.
        Keys are PEM or JWK.

        Args:
            **options: Arguments of the constructor, which win over the environment.

        Raises:
            ConfigurationError: Variables are missing; the message lists all of them.
        """
        return cls(**check.options_from_names(options, os.environ))

    @classmethod
    def sharing(cls, other: BaseClient) -> Self:
        """Make a client with the very parts of another one: its connections, caches and settings."""
        self = cls.__new__(cls)
        vars(self).update(vars(other))
        return self

    @property
    def clock(self) -> Callable[[], float]:
        """The time in Unix seconds, by which ``expires_at`` is told."""
        return self._clock

    @property
    def dpop_thumbprint(self) -> str | None:
        """The thumbprint of the DPoP key (RFC 7638): the ``cnf.jkt`` of bound access tokens; None without a key."""
        return None if self.dpop is None else self.dpop.thumbprint

    def __repr__(self) -> str:
        domain = self._domain if isinstance(self._domain, str) else "<resolver>"
        return f"{type(self).__name__}(domain={domain!r}, client_id={self._client_id!r})"

    @cached_property
    def _sessions(self) -> SessionManager:
        # Here and not above, because it brings jwcrypto, which takes longer to import than everything else.
        from auth0_cte.session.manager import SessionManager
        from auth0_cte.session.settings import SessionSettings
        from auth0_cte.session.stores.cookie import CookieStateStore

        settings = self._session_settings or SessionSettings(identifier=self._state_identifier)
        # Not "or": an empty store is false.
        store = CookieStateStore() if self._state_store is None else self._state_store
        return SessionManager(store, self._secrets, settings, self._clock)

    @cached_property
    def _logout_tokens(self) -> LogoutTokens:
        from auth0_cte.session.logout import LogoutTokens

        return LogoutTokens(self._clock)

    @cached_property
    def _verifier(self) -> IdTokenVerifier:
        from auth0_cte.oauth.id_token import IdTokenVerifier

        return IdTokenVerifier(
            client_id=self._client_id,
            discovery=self._discovery,
            clock=self._clock,
            algorithms=self._algorithms,
            client_secret=self._client_secret,
            leeway=self._leeway,
        )
