"""`ServerClient`: what a client consists of, and its public methods, each of which says what it does in one place."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any, Self, Unpack

from auth0_cte.auth_server import pieces
from auth0_cte.auth_server import settings as check
from auth0_cte.auth_server.settings import ClientSettings
from auth0_cte.auth_server.unsupported import refuses_unsupported, unsupported_attribute
from auth0_cte.auth_types import CustomTokenExchangeOptions
from auth0_cte.exchange.exchanger import Exchanger
from auth0_cte.exchange.failure import exchange_failure
from auth0_cte.exchange.options import one_of
from auth0_cte.foundation.boundary import guarded
from auth0_cte.foundation.concurrency import once
from auth0_cte.foundation.deadline import system_clock
from auth0_cte.foundation.validation import check_plain_function, check_positive, check_secrets
from auth0_cte.oauth.attack_brake import AttackBrake
from auth0_cte.oauth.authorization_server import AuthorizationServer
from auth0_cte.oauth.discovery import Discovery
from auth0_cte.oauth.peer import check_networks
from auth0_cte.oauth.token_endpoint import TokenEndpoint
from auth0_cte.token_types import ACCESS_TOKEN
from auth0_cte.transport.client import Http, TransportSettings
from auth0_cte.transport.headers import common_headers

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from ipaddress import IPv4Network, IPv6Network

    from auth0_cte.auth_types import (
        AuthorizationParams,
        DefaultParams,
        DomainResolver,
        ExchangeOptionsDict,
        LoginWithCustomTokenExchangeOptions,
        LoginWithCustomTokenExchangeResult,
        LogoutOptions,
        Reexchange,
        Session,
        SessionClaims,
        SessionTransferTokenResult,
        TokenExchangeResponse,
        TokenSource,
    )
    from auth0_cte.auth_types.exchange import ForwardedFor, StoreOptions
    from auth0_cte.auth_types.mfa import MfaAuthenticator, MfaChallenge
    from auth0_cte.exchange.cache import ExchangeCacheBackend
    from auth0_cte.exchange.delegation import Delegation
    from auth0_cte.exchange.login import Logins
    from auth0_cte.exchange.renewal.connection_token import ConnectionTokens
    from auth0_cte.mfa.client import MfaClient
    from auth0_cte.mfa.pending_login import PendingLogins
    from auth0_cte.oauth.client_auth.base import ClientAuth
    from auth0_cte.oauth.client_auth.private_key_jwt import AssertionKey
    from auth0_cte.oauth.dpop import DPoPKey
    from auth0_cte.oauth.event_reporter import EventReporter
    from auth0_cte.oauth.events import EventHook
    from auth0_cte.oauth.rate_limit.limiter import RateLimit
    from auth0_cte.oauth.retry import RetryPolicy
    from auth0_cte.oauth.token_endpoint import Interceptor, TokenRequest
    from auth0_cte.session.sessions import Sessions
    from auth0_cte.session.settings import SessionSettings
    from auth0_cte.session.stores.contract import StateStore
    from auth0_cte.transport.client import InjectedSession

__all__ = ["ServerClient"]


class ServerClient:
    """Exchanges tokens at one Auth0 tenant, or at the one that a resolver names. One instance serves all threads.

    Args:
        domain: The tenant's domain (``tenant.auth0.com``) or custom domain, or a function that is given a
            `DomainResolverContext` and returns it.
        client_id: The application's client id.
        client_secret: The application's secret, sent in the form (client_secret_post).
        secret: The secret that sessions are encrypted with, or several of which the first seals and all open;
            not needed to exchange tokens. At least 32 bytes of randomness.
        client_auth: Another way to authenticate: `PrivateKeyJwt`, `MutualTls`, `ClientSecretBasic`, `PublicClient`, or
            your own. It wins over ``client_secret`` and ``client_assertion_signing_key``.
        client_assertion_signing_key: The key of a `PrivateKeyJwt`, in short.
        client_assertion_signing_alg: Its algorithm; RS256 for an RSA key when None.
        organization: The organization of every exchange that names none.
        authorization_params: Parameters of every exchange; the call's own win. ``scope`` may be a dict of scopes by
            audience, ``{"https://api.example.com": "read:data"}`` (``"default"`` for none): they are asked for where a
            call names none, and by `get_access_token` for other APIs than the login's.
        id_token_algorithms: The signature algorithms accepted of ID tokens; HS256 only when it is named here.
        leeway: How far this machine's clock and the server's may differ, in seconds, at most 300.
        timeout: The total deadline of a call in seconds: connecting, body and retries included.
        connect_timeout: Seconds to connect, TLS included.
        read_timeout: Seconds to wait for each part of a reply.
        pool_size: Connections opened at most; give as many as threads exchange at once.
        ca_bundle: A file or directory of CA certificates to trust instead of the default ones.
        ssl_context: A context to use as it is; it must verify certificates and host names.
        session: A `requests.Session` whose adapters, proxies, certificates and hooks are used as they are; its
            cookies, headers, ``auth`` and redirects are not.
        state_store: Where sessions are kept; in encrypted cookies when None.
        state_identifier: The name of the session cookies; part of the key that they are sealed with.
        session_settings: How long sessions last, and the attributes of the cookies; its ``identifier`` wins.
        session_claims: Which claims of ID tokens enter sessions: their names, or a function of all claims that returns
            names or a mapping of claims; all when None. ``iss``, ``sub``, ``aud``, ``sid``, ``org_id``, ``org_name``,
            ``act``, ``exp``, ``iat`` and ``session_expiry`` always do. Sessions in cookies then do not hold the ID
            token itself, which has all claims.
        reexchange: A function that goes on with sessions in which an actor acts for the user, for which Auth0 issues no
            refresh token: it is given the session, without tokens, when `get_access_token` finds the access token
            expired, and returns the options of the exchange (subject and actor token) that brings the next one.
        retry: What is tried again, and how often.
        rate_limit: The tenant's limit on exchanges, ``"4/s"``, or a `RateLimit`: exchanges wait for their slot, within
            the deadline, so that the limit is not overrun.
        on_event: A function that is called with a `ClientEvent` before, after and on every retry of an exchange and of
            a token request. What it raises is logged, and changes nothing.
        dpop: The private key that access tokens are bound to (RFC 9449): a `DPoPKey`, or its PEM or JWK. Every request
            to the token endpoint carries a fresh proof of its possession.
        exchange_cache: Where exchanged tokens are kept to be used again: an `ExchangeCache`, a `RedisExchangeCache`, or
            a class of your own (`ExchangeCacheBackend`). None for nowhere: each call exchanges.
        trusted_proxies: The networks of the proxies in front of the application, ``["10.0.0.0/8"]``, by which
            ``forwarded_for=True`` finds the user's address in ``X-Forwarded-For``.
        telemetry: Whether requests name this library in an ``Auth0-Client`` header.
        clock: The time in Unix seconds; injectable for tests.

    Attributes:
        settings: What the client was constructed with.
        authorization_server: The tenant's metadata, keys and token endpoint.

    Raises:
        ConfigurationError: An argument cannot work; the message says what to give.
    """

    @guarded()
    @refuses_unsupported
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
        authorization_params: DefaultParams | None = None,
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
        session_claims: SessionClaims | None = None,
        reexchange: Reexchange | None = None,
        retry: RetryPolicy | None = None,
        rate_limit: RateLimit | str | None = None,
        on_event: EventHook | None = None,
        dpop: DPoPKey | str | Mapping[str, Any] | None = None,
        exchange_cache: ExchangeCacheBackend | None = None,
        trusted_proxies: Sequence[str | IPv4Network | IPv6Network] = (),
        telemetry: bool = True,
        clock: Callable[[], float] = system_clock,
    ) -> None:
        client_id = check.check_client_id(client_id)
        assertion = (client_assertion_signing_key, client_assertion_signing_alg)
        defaults = check.check_defaults(organization, authorization_params)
        self.settings: ClientSettings = ClientSettings(
            domain=check.check_domain(domain),
            client_id=client_id,
            client_secret=client_secret,
            secrets=check_secrets(secret),
            client_auth=check.check_client_auth(client_auth, client_secret, assertion, clock),
            organization=organization,
            authorization_params=dict(authorization_params or {}),
            id_token_algorithms=check.check_algorithms(id_token_algorithms, client_secret),
            leeway=check.check_leeway(leeway),
            timeout=check_positive("timeout", timeout),
            connect_timeout=check_positive("connect_timeout", connect_timeout),
            read_timeout=check_positive("read_timeout", read_timeout),
            pool_size=pieces.check_pool_size(pool_size),
            ca_bundle=check.check_ca_bundle(ca_bundle),
            ssl_context=pieces.check_ssl_context(ssl_context),
            session=pieces.check_session(session),
            state_store=pieces.check_state_store(state_store),
            state_identifier=pieces.check_state_identifier(state_identifier),
            session_settings=pieces.check_session_settings(session_settings),
            session_claims=check.check_session_claims(session_claims),
            reexchange=check_plain_function("reexchange", reexchange),
            retry=pieces.check_retry(retry),
            rate_limit=check.check_rate_limit(rate_limit),
            on_event=on_event,
            dpop=check.check_dpop(dpop, clock),
            exchange_cache=pieces.check_exchange_cache(exchange_cache),
            trusted_proxies=check_networks(trusted_proxies),
            telemetry=telemetry,
            clock=pieces.check_clock(clock),
        )
        load_certificate = check.check_certificate(client_auth, ssl_context, session)
        self._http = Http(_transport_settings(self.settings, load_certificate), session)
        events = _event_reporter(on_event)
        self.authorization_server: AuthorizationServer = _authorization_server(self.settings, self._http, events)
        self._exchanger = Exchanger(self.authorization_server, events, defaults, exchange_cache)

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

    @property
    def pool_size(self) -> int:
        """Connections opened at most."""
        return self.settings.pool_size

    @property
    def exchange_cache(self) -> ExchangeCacheBackend | None:
        """Where exchanged tokens are kept to be used again, or None."""
        return self.settings.exchange_cache

    @property
    def dpop(self) -> DPoPKey | None:
        """The DPoP key, with the client's clock, to sign proofs for APIs; None without one."""
        return self.settings.dpop

    @property
    def clock(self) -> Callable[[], float]:
        """The time in Unix seconds, by which ``expires_at`` is told."""
        return self.settings.clock

    @property
    def dpop_thumbprint(self) -> str | None:
        """The thumbprint of the DPoP key (RFC 7638): the ``cnf.jkt`` of bound access tokens; None without a key."""
        return self.authorization_server.dpop_thumbprint

    @once
    def sessions(self) -> Sessions:
        """The sessions of the application's users."""
        # Here and not above, as everything that an exchange does without: it brings jwcrypto.
        from auth0_cte.exchange.renewal.reexchange import SessionReexchange
        from auth0_cte.exchange.renewal.refresh import SessionRefresh
        from auth0_cte.session.claims import ClaimsChoice
        from auth0_cte.session.manager import SessionManager
        from auth0_cte.session.sessions import Sessions
        from auth0_cte.session.settings import SessionSettings
        from auth0_cte.session.stores.cookie import CookieStateStore

        given = self.settings
        settings = given.session_settings or SessionSettings(identifier=given.state_identifier)
        # Not "or": an empty store is false.
        store = CookieStateStore() if given.state_store is None else given.state_store
        claims = ClaimsChoice(given.session_claims)
        manager = SessionManager(store, given.secrets, settings, given.clock, client_id=given.client_id, claims=claims)
        again = None if given.reexchange is None else SessionReexchange(self._exchanger, given.reexchange)
        refresh = SessionRefresh(self._exchanger)
        return Sessions(
            manager,
            self.authorization_server,
            refresh,
            again,
            lambda *told: self._pending_logins.note_refresh(*told),
            None if self._exchanger.defaults is None else self._exchanger.defaults.scopes,
        )

    @once
    def mfa(self) -> MfaClient:
        """The second factors of users: list, challenge and verify them."""
        from auth0_cte.mfa.api import MfaApi
        from auth0_cte.mfa.client import MfaClient

        api = MfaApi(self.authorization_server.token_endpoint)
        return MfaClient(
            self._exchanger, api, self._pending_logins, sessions=lambda: self.sessions, logins=lambda: self._logins
        )

    @once
    def _pending_logins(self) -> PendingLogins:
        from auth0_cte.mfa.browser import Browsers
        from auth0_cte.mfa.pending_login import MAX_AGE, PendingLogins

        return PendingLogins(
            self.settings.secrets, self.settings.clock, lambda: Browsers(self.sessions.manager.settings, MAX_AGE)
        )

    @once
    def _logins(self) -> Logins:
        from auth0_cte.exchange.login import Logins

        return Logins(self._exchanger, self.sessions.manager, lambda *login: self._pending_logins.note(*login))

    @once
    def _delegation(self) -> Delegation:
        from auth0_cte.exchange.delegation import Delegation

        return Delegation(self._exchanger, lambda: self.sessions)

    @once
    def _connection_tokens(self) -> ConnectionTokens:
        from auth0_cte.exchange.renewal.connection_token import ConnectionTokens

        return ConnectionTokens(self._exchanger, self.sessions)

    if not TYPE_CHECKING:  # a type checker that saw it would accept every misspelt name
        __getattr__ = unsupported_attribute

    def __repr__(self) -> str:
        domain = self.settings.domain if isinstance(self.settings.domain, str) else "<resolver>"
        return f"{type(self).__name__}(domain={domain!r}, client_id={self.settings.client_id!r})"

    @guarded(exchange_failure)
    def custom_token_exchange(
        self,
        options: CustomTokenExchangeOptions | Mapping[str, Any] | None = None,
        store_options: StoreOptions = None,
        *,
        use_cache: bool = True,
        **named: Unpack[ExchangeOptionsDict],
    ) -> TokenExchangeResponse:
        """Exchange a token of another system for Auth0 tokens (RFC 8693), without a session.

        Args:
            options: What to exchange, and for what; a dict with the same keys serves, too.
            store_options: ``{"request": …}``, for a ``domain`` that is a function.
            use_cache: Whether the ``exchange_cache``, if there is one, may have the response already, or keep it.
            **named: The options by keywords, e.g. ``subject_token=…``, instead of ``options``.

        Returns:
            The tokens. An ID token among them has been verified; when it did not pass, ``id_token_error`` says why.

        Raises:
            CustomTokenExchangeError: The exchange failed; ``code``, ``hint`` and ``is_retryable`` tell more.
            ConfigurationError: The domain that the resolver returned is not acceptable.
        """
        options = one_of(options, named) if named else options
        return self._exchanger.exchange(options, store_options, use_cache=use_cache)

    @guarded(exchange_failure)
    def login_with_custom_token_exchange(
        self,
        options: LoginWithCustomTokenExchangeOptions | CustomTokenExchangeOptions | Mapping[str, Any] | None = None,
        store_options: StoreOptions = None,
        **named: Unpack[ExchangeOptionsDict],
    ) -> LoginWithCustomTokenExchangeResult:
        """Exchange a token and log the user in with the result.

        A session that could not be written is refused before the subject token is spent. A new session id is issued,
        and whatever session there was before is gone.

        Args:
            options: What to exchange, and for what; ``openid`` is added to the scope.
            store_options: ``{"request": …, "response": …}`` of Flask, Django or Starlette.
            **named: The options by keywords, e.g. ``subject_token=…``, instead of ``options``.

        Raises:
            SessionError: ``secret`` or the response to set cookies on is missing, the store cannot be reached, the
                session is too large for cookies, or the upstream session has ended.
            CustomTokenExchangeError: The exchange failed.
            IdTokenError: The ID token is missing, or it failed verification.
            OrganizationError: The user does not belong to the organization that was asked for.
            MfaRequiredError: Auth0 wants a second factor first; its ``pending_login`` is for `resume_login`.
        """
        options = one_of(options, named) if named else options
        return self._logins.log_in(options, store_options)

    @guarded(exchange_failure)
    def resume_login(
        self,
        pending_login: str,
        store_options: StoreOptions = None,
        *,
        otp: str | None = None,
        oob_code: str | None = None,
        binding_code: str | None = None,
        recovery_code: str | None = None,
        forwarded_for: ForwardedFor = None,
    ) -> LoginWithCustomTokenExchangeResult:
        """Go on with a login that a second factor interrupted, to the session that it would have begun.

        The ID token, the organization that the login asked for and the upstream session's end are checked as
        `login_with_custom_token_exchange` checks them. A session that could not be written is refused before the code
        is used up.

        Args:
            pending_login: `MfaRequiredError.pending_login` of the login; or that of `get_access_token`, whose tokens
                then become those of the session that asked for them.
            store_options: ``{"request": …, "response": …}`` of Flask, Django or Starlette.
            otp: As for `complete_mfa`.
            oob_code: As for `complete_mfa`.
            binding_code: As for `complete_mfa`.
            recovery_code: As for `complete_mfa`; the result's ``recovery_code`` is the new one.
            forwarded_for: The user's IP address; True for that of the request.

        Raises:
            CustomTokenExchangeError: As for `complete_mfa`; ``INVALID_PENDING_LOGIN`` when the login was not begun
                here, or more than ten minutes ago.
            SessionError: As for a login; ``DOMAIN_MISMATCH`` when the request belongs to another domain,
                ``SESSION_MISMATCH`` when the second factor was asked for in another session.
            IdTokenError: The ID token is missing, or it failed verification.
            OrganizationError: The user does not belong to the organization that was asked for.
        """
        proof = {"otp": otp, "oob_code": oob_code, "binding_code": binding_code, "recovery_code": recovery_code}
        return self.mfa.resume(pending_login, proof, store_options, forwarded_for)

    @guarded()
    def get_session(self, store_options: StoreOptions = None) -> Session | None:
        """Return the session of a request, or None.

        Args:
            store_options: ``{"request": …}``, with ``"response"`` where the session may be renewed by being used.

        Raises:
            SessionError: ``secret`` or the request is missing, or the store cannot be reached.
        """
        return self.sessions.get(store_options)

    @guarded()
    def get_user(self, store_options: StoreOptions = None) -> Mapping[str, Any] | None:
        """Return the verified claims of the user of a request, or None.

        Args:
            store_options: As for `get_session`.

        Raises:
            SessionError: As for `get_session`.
        """
        session = self.sessions.get(store_options)
        return None if session is None else session.user

    @guarded()
    def get_access_token(
        self,
        store_options: StoreOptions = None,
        audience: str | None = None,
        scope: str | None = None,
        *,
        forwarded_for: ForwardedFor = None,
        force_refresh: bool = False,
        leeway: float = 10,
    ) -> str:
        """Return a valid access token of the session, refreshed when it has expired.

        However many threads (and, with a Redis or SQL store, processes) ask at the same time, one refresh is made. The
        rotated refresh token is stored before the access token is returned.

        Args:
            store_options: ``{"request": …, "response": …}``.
            audience: The API; the one of the login when None.
            scope: The scopes that the token must have at least, separated by spaces; any when None.
            forwarded_for: The user's IP address for a refresh; True for that of the request.
            force_refresh: Whether the token is refreshed although it has not expired, e.g. because an API refused it.
            leeway: For how many seconds the token must be good still. One that Auth0 has just issued is returned even
                if it is not: ask for less than tokens of the API live, or each call refreshes.

        Raises:
            AccessTokenError: Nobody is logged in, the refresh token is missing, or it was refused
                (``invalid_grant`` ends the session).
            MfaRequiredError: Auth0 wants a second factor first.
            RateLimitError: Auth0 answered 429.
            TransportError: Auth0 could not be reached; the session is as it was.
            SessionError: The session could not be read or written.
        """
        return self.sessions.access_token(
            store_options, audience, scope, forwarded_for, force=force_refresh, leeway=leeway
        )

    @guarded()
    def get_access_token_for_connection(
        self,
        options: Mapping[str, Any] | None = None,
        store_options: StoreOptions = None,
        *,
        connection: str | None = None,
        login_hint: str | None = None,
        forwarded_for: ForwardedFor = None,
    ) -> str:
        """Return a valid access token of another provider, whose account the user has connected (Auth0, "Token Vault").

        The token is kept in the session, where auth0-server-python keeps it, and fetched again when it has expired.

        Args:
            options: ``{"connection": "google-oauth2", "login_hint": …}``: the connection, and which of the user's
                accounts there; the first one without a hint.
            store_options: ``{"request": …, "response": …}``.
            connection: The connection, instead of the options.
            login_hint: The account, instead of the options.
            forwarded_for: The user's IP address; True for that of the request.

        Raises:
            AccessTokenForConnectionError: ``MISSING_REFRESH_TOKEN``: nobody is logged in, or without a refresh token;
                ``API_ERROR``: Auth0 refused, e.g. because the account is not connected; ``FETCH_ERROR``: it could not
                be reached; ``INVALID_OPTIONS``.
            SessionError: The session could not be read or written.
        """
        from auth0_cte.exchange.renewal.connection_token import WantedAccount

        wanted = WantedAccount.of(options, connection, login_hint)
        return self._connection_tokens.get(wanted, store_options, forwarded_for)

    @guarded()
    def logout(
        self,
        options: LogoutOptions | Mapping[str, Any] | None = None,
        store_options: StoreOptions = None,
        *,
        return_to: str | None = None,
        revoke: bool = False,
    ) -> str:
        """End the session here, and return the URL that ends it at Auth0.

        Args:
            options: How the session is ended at Auth0; a dict with the same keys serves, too.
            store_options: ``{"request": …, "response": …}``.
            return_to: The option of that name, in short.
            revoke: Whether the session's refresh token is revoked at Auth0, after the session has ended here. Always
                with ``SessionSettings(revoke_refresh_tokens=True)``.

        Returns:
            The URL of Auth0's ``/v2/logout`` or ``/oidc/logout``, to redirect the browser to.

        Raises:
            RevocationError: ``revoke`` is True, and the refresh token was not revoked. The user is logged out all the
                same; ``logout_url`` is where to send the browser. A failure by the setting is logged only.
            SessionError: The response to delete the cookies on is missing, or the store cannot be reached: the user is
                still logged in.
            ConfigurationError: ``return_to`` is not an absolute http or https URL; or the request was given in place of
                the options.
        """
        return self.sessions.log_out(options, store_options, return_to, revoke=revoke)

    @guarded()
    def revoke_refresh_token(self, refresh_token: str | None = None, store_options: StoreOptions = None) -> None:
        """Revoke a refresh token, and those that rotation makes of it (RFC 7009).

        Args:
            refresh_token: The token; that of the session at hand when None. The session goes on without it, until its
                access token expires.
            store_options: ``{"request": …, "response": …}``, to find the session, or for a ``domain`` that is a
                function.

        Raises:
            RevocationError: Auth0 refused or could not be reached: the token may still be good.
            AccessTokenError: Nobody is logged in.
            SessionError: The session could not be read or written.
        """
        self.sessions.revoke(refresh_token, store_options)

    @guarded()
    def handle_backchannel_logout(self, logout_token: str, store_options: StoreOptions = None) -> int:
        """End the sessions that a logout token is about (OpenID Connect Back-Channel Logout 1.0).

        Args:
            logout_token: The form parameter ``logout_token`` of Auth0's request.
            store_options: ``{"request": …}``, for a ``domain`` that is a function.

        Returns:
            How many sessions were ended.

        Raises:
            IdTokenError: The token is not acceptable, or was used before: answer 400.
            SessionError: The store cannot be reached, or cannot find sessions of others (cookies): answer 501.
        """
        return self.sessions.end_by_logout_token(logout_token, store_options)

    @guarded(exchange_failure)
    def list_mfa_authenticators(self, mfa_token: str, store_options: StoreOptions = None) -> list[MfaAuthenticator]:
        """Return the authenticators that the user has enrolled.

        Args:
            mfa_token: What the `MfaRequiredError` brought.
            store_options: ``{"request": …}``, for a ``domain`` that is a function.

        Raises:
            CustomTokenExchangeError: Auth0 refused (e.g. ``expired_token``), or could not be reached.
        """
        return self.mfa.list_authenticators({"mfa_token": mfa_token}, store_options)

    @guarded(exchange_failure)
    def challenge_mfa(
        self,
        mfa_token: str,
        *,
        authenticator_id: str | None = None,
        challenge_type: str | None = None,
        store_options: StoreOptions = None,
    ) -> MfaChallenge:
        """Have a code or a push message sent to the user; never sent twice by a retry.

        Args:
            mfa_token: What the `MfaRequiredError` brought.
            authenticator_id: Which of the user's authenticators; the first that fits when None.
            challenge_type: ``otp``, ``oob``, or both separated by a space; any when None.
            store_options: ``{"request": …}``, for a ``domain`` that is a function.

        Raises:
            CustomTokenExchangeError: Auth0 refused, or it could not be reached.
        """
        return self.mfa.challenge_authenticator(
            {"mfa_token": mfa_token, "authenticator_id": authenticator_id, "challenge_type": challenge_type},
            store_options,
        )

    @guarded(exchange_failure)
    def complete_mfa(
        self,
        mfa_token: str,
        *,
        otp: str | None = None,
        oob_code: str | None = None,
        binding_code: str | None = None,
        recovery_code: str | None = None,
        store_options: StoreOptions = None,
    ) -> TokenExchangeResponse:
        """Finish an exchange or a refresh that wanted a second factor, without a session.

        Args:
            mfa_token: What the `MfaRequiredError` brought.
            otp: The password that the authenticator application shows.
            oob_code: The challenge that `challenge_mfa` made; alone for a push message.
            binding_code: With ``oob_code``: the code that the user received.
            recovery_code: The recovery code; ``response.extra["recovery_code"]`` is the new one, to be shown once.
            store_options: ``{"request": …}``, for a ``domain`` that is a function.

        Returns:
            The tokens that the interrupted request asked for.

        Raises:
            CustomTokenExchangeError: ``invalid_grant`` for a wrong code, ``authorization_pending`` while the user has
                not answered the push message: the ``mfa_token`` stays good. ``expired_token`` when it does not.
        """
        return self.mfa.verify(
            {
                "mfa_token": mfa_token,
                "otp": otp,
                "oob_code": oob_code,
                "binding_code": binding_code,
                "recovery_code": recovery_code,
            },
            store_options,
        )

    @guarded(exchange_failure)
    def request_session_transfer_token(
        self,
        subject_token: TokenSource,
        subject_token_type: str,
        actor_token: TokenSource | None = None,
        actor_token_type: str | None = None,
        scope: str | Sequence[str] | None = None,
        organization: str | None = None,
        store_options: StoreOptions = None,
        *,
        reason: str | None = None,
        forwarded_for: ForwardedFor = None,
        authorization_params: AuthorizationParams | None = None,
    ) -> SessionTransferTokenResult:
        """Request a token that logs an agent in at another application as a customer (Auth0, "Session Delegation").

        The agent is the actor: by default the user of the session at hand, by the session's ID token, which is
        refreshed first when it is about to expire. Everything else is checked before a refresh token is spent.

        Args:
            subject_token: Your proof of who the customer is, for your Action; or a function that returns it.
            subject_token_type: A URI that names its kind, and the profile whose Action runs.
            actor_token: The agent's token instead of the session's ID token; or a function that returns it.
            actor_token_type: Its kind; an Auth0 ID token when None.
            scope: Scopes, separated by spaces or as a sequence.
            organization: The organization to log in at; the redirect hands it on.
            store_options: ``{"request": …, "response": …}``, to find the agent's session.
            reason: Why, for the Action (``event.request.body.reason``).
            forwarded_for: The agent's IP address. The token is bound to it, so give it whenever a browser redeems it.
            authorization_params: Further parameters for the Action.

        Returns:
            The token, for `build_session_transfer_redirect`. It is neither kept nor cached.

        Raises:
            CustomTokenExchangeError: ``ACTOR_UNAVAILABLE`` when no actor is given and the session has none;
                ``INVALID_RESPONSE`` when Auth0 issued another kind of token.
            SessionError: The store cannot be reached, or the refreshed session cannot be written.
            ConfigurationError: The application is a public one.
        """
        given = CustomTokenExchangeOptions(
            subject_token=subject_token,
            subject_token_type=subject_token_type,
            scope=scope,
            actor_token=actor_token,
            actor_token_type=actor_token_type,
            organization=organization,
            forwarded_for=forwarded_for,
            authorization_params=authorization_params,
        )
        return self._delegation.session_transfer_token(given, reason, store_options)

    @guarded()
    def build_session_transfer_redirect(
        self,
        target_login_url: str,
        result: SessionTransferTokenResult | TokenExchangeResponse,
        organization: str | None = None,
        *,
        allowed_hosts: Iterable[str] | None = None,
    ) -> str:
        """Build the URL that hands a session transfer token to another application's login. Nothing is sent.

        That login passes ``session_transfer_token`` and ``organization`` on to ``/authorize``. Redirect the browser
        there at once, from the address that the token was requested for (``forwarded_for``), and do not log the URL.

        Args:
            target_login_url: The application's login (``initiate_login_url``): an absolute https URL, http on loopback
                alone, without user information or fragment. Its query is kept as it is. Never take it from a request.
            result: What `request_session_transfer_token` returned. A bare string is refused, because nobody can tell
                it from an access token.
            organization: The organization to log in at; the one that the token was requested for when None.
            allowed_hosts: The hosts that the URL may have, ``app.example`` or ``app.example:8443``; any when None.

        Raises:
            ConfigurationError: The URL could leak the token, or the result is another kind of token.
        """
        from auth0_cte.exchange.session_transfer import to_redirect

        return to_redirect(target_login_url, result, organization, allowed_hosts)

    @guarded(exchange_failure)
    def get_token_on_behalf_of(
        self,
        access_token: TokenSource,
        audience: str,
        scope: str | Sequence[str] | None = None,
        store_options: StoreOptions = None,
        *,
        organization: str | None = None,
        forwarded_for: ForwardedFor = None,
        authorization_params: AuthorizationParams | None = None,
    ) -> TokenExchangeResponse:
        """Exchange the access token that a user called your API with for one of another API (Auth0, "On-Behalf-Of").

        The user stays the subject; the new token's ``act`` names this application, and those before it behind. It is
        for the other API to verify; the reply brings neither an ID token nor a refresh token.

        Args:
            access_token: The token that came with the request, which your API has verified; without ``Bearer``.
            audience: The identifier of the API to call.
            scope: The scopes asked for, separated by spaces or as a sequence.
            store_options: ``{"request": …}``, for a ``domain`` that is a function.
            organization: The organization, by id or name.
            forwarded_for: The user's IP address.
            authorization_params: Further parameters of the token request.

        Raises:
            CustomTokenExchangeError: The exchange failed.
            ConfigurationError: The application is a public one.
        """
        given = CustomTokenExchangeOptions(
            subject_token=access_token,
            subject_token_type=ACCESS_TOKEN,
            requested_token_type=ACCESS_TOKEN,
            audience=audience,
            scope=scope,
            organization=organization,
            forwarded_for=forwarded_for,
            authorization_params=authorization_params,
        )
        return self._delegation.token_on_behalf_of(given, store_options)

    @guarded(exchange_failure)
    def refresh_exchanged_token(
        self,
        refresh_token: str,
        audience: str | None = None,
        scope: str | None = None,
        store_options: StoreOptions = None,
    ) -> TokenExchangeResponse:
        """Trade the refresh token that an exchange brought for new tokens (RFC 6749 section 6).

        Sessions are refreshed by `get_access_token`; this is for tokens of your own keeping. With rotation, a refresh
        token is good for one use: keep the response's ``refresh_token``, if it has one, instead of yours.

        Args:
            refresh_token: The refresh token.
            audience: The API; the one of the exchange when None.
            scope: The scopes, separated by spaces; those of the exchange when None.
            store_options: ``{"request": …}``, for a ``domain`` that is a function.

        Raises:
            CustomTokenExchangeError: The refresh failed; ``invalid_grant`` when the refresh token is spent or revoked.
        """
        return self._exchanger.refresh(refresh_token, audience, scope, store_options)

    @guarded(exchange_failure)
    def forget_exchanged_token(self, access_token: str) -> bool:
        """Have the ``exchange_cache`` forget the response with an access token, e.g. because an API refused it.

        The next exchange for the same is made; other users' tokens, and newer ones of this user, stay.

        Args:
            access_token: The access token of the response.

        Returns:
            Whether it was kept; False without a cache.

        Raises:
            CustomTokenExchangeError: ``EXCHANGE_CACHE_UNAVAILABLE``; or ``INVALID_TOKEN_FORMAT``.
        """
        return self._exchanger.forget(access_token)

    def close(self) -> None:
        """Close the pooled connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


def _transport_settings(
    settings: ClientSettings, load_certificate: Callable[[ssl.SSLContext], None] | None
) -> TransportSettings:
    return TransportSettings(
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.read_timeout,
        pool_size=settings.pool_size,
        ca_bundle=settings.ca_bundle,
        ssl_context=settings.ssl_context,
        load_certificate=load_certificate,
    )


def _event_reporter(hook: EventHook | None) -> EventReporter | None:
    if hook is None:
        return None
    from auth0_cte.oauth.event_reporter import EventReporter

    return EventReporter(hook)


def _interceptors(
    settings: ClientSettings, events: EventReporter | None
) -> list[Callable[[TokenRequest], Interceptor]]:
    """Return what surrounds the attempts of token requests, in order: who waits for a slot comes first."""
    interceptors: list[Callable[[TokenRequest], Interceptor]] = []
    if settings.rate_limit is not None:
        from auth0_cte.oauth.rate_limit.limiter import LimitedRequest

        interceptors.append(partial(LimitedRequest, settings.rate_limit, settings.clock))
    if settings.dpop is not None:
        from auth0_cte.oauth.dpop import DPoPNonceStore, ProvenRequest

        interceptors.append(partial(ProvenRequest, settings.dpop, DPoPNonceStore()))
    if events is not None:
        interceptors.append(events.token_request)
    return interceptors


def _authorization_server(settings: ClientSettings, http: Http, events: EventReporter | None) -> AuthorizationServer:
    headers = common_headers(telemetry=settings.telemetry)
    token_endpoint = TokenEndpoint(
        http=http,
        client_id=settings.client_id,
        client_auth=settings.client_auth,
        retry=settings.retry,
        headers=headers,
        clock=settings.clock,
        interceptors=_interceptors(settings, events),
        brake=AttackBrake.of(settings.retry),
    )
    return AuthorizationServer(
        client_id=settings.client_id,
        domain=settings.domain,
        discovery=Discovery(http, headers, settings.retry),
        token_endpoint=token_endpoint,
        clock=settings.clock,
        timeout=settings.timeout,
        leeway=settings.leeway,
        id_token_algorithms=settings.id_token_algorithms,
        client_secret=settings.client_secret,
        dpop_thumbprint=None if settings.dpop is None else settings.dpop.thumbprint,
        trusted_proxies=settings.trusted_proxies,
    )
