"""`ServerClient`: the only place where the steps of an exchange, a login and a session's life are put in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from auth0_cte.auth_types import (
    CustomTokenExchangeOptions,
    LoginWithCustomTokenExchangeOptions,
    TokenExchangeResponse,
)
from auth0_cte.error import AccessTokenError, exchange_failure, without_frames
from auth0_cte.exchange.delegation import Delegation
from auth0_cte.exchange.exchanger import ClientSteps, StoreOptions, guarded, login_result
from auth0_cte.exchange.options import validate, with_openid
from auth0_cte.foundation.deadline import Deadline
from auth0_cte.mfa.multi_factor import MultiFactor
from auth0_cte.oauth.domain import resolve_domain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auth0_cte.auth_types import LoginWithCustomTokenExchangeResult, Session

__all__ = ["ServerClient"]


class ServerClient(Delegation, MultiFactor, ClientSteps):
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
        authorization_params: Parameters of every exchange; the call's own win.
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
        retry: What is tried again, and how often.
        rate_limit: The tenant's limit on exchanges, ``"4/s"``, or a `RateLimit`: exchanges wait for their turn, within
            the deadline, so that the limit is not overrun.
        on_event: A function that is called with a `ClientEvent` before, after and on every retry of an exchange and of
            a token request. What it raises is logged, and changes nothing.
        dpop: The private key that access tokens are bound to (RFC 9449): a `DPoPKey`, or its PEM or JWK. Every request
            to the token endpoint carries a fresh proof of its possession.
        exchange_cache: Where exchanged tokens are kept to be used again: an `ExchangeCache`, a `RedisExchangeCache`, or
            a class of your own (`ExchangeCacheBackend`). None for nowhere: each call exchanges.
        telemetry: Whether requests name this library in an ``Auth0-Client`` header.
        clock: The time in Unix seconds; injectable for tests.

    Attributes:
        pool_size: Connections opened at most.
        exchange_cache: Where exchanged tokens are kept to be used again, or None.
        dpop: The DPoP key, with the client's clock, to sign proofs for APIs; None without one.

    Raises:
        ConfigurationError: An argument cannot work; the message says what to give.
    """

    @guarded(exchange_failure)
    def custom_token_exchange(
        self,
        options: CustomTokenExchangeOptions | Mapping[str, Any],
        store_options: StoreOptions = None,
        *,
        use_cache: bool = True,
    ) -> TokenExchangeResponse:
        """Exchange a token of another system for Auth0 tokens (RFC 8693), without a session.

        Args:
            options: What to exchange, and for what; a dict with the same keys serves, too.
            store_options: ``{"request": …}``, for a ``domain`` that is a function.
            use_cache: Whether the ``exchange_cache``, if there is one, may have the response already, or keep it.

        Returns:
            The tokens. An ID token among them has been verified; when it did not pass, ``id_token_error`` says why.

        Raises:
            CustomTokenExchangeError: The exchange failed; ``code``, ``hint`` and ``is_retryable`` tell more.
            ConfigurationError: The domain that the resolver returned is not acceptable.
        """
        given = validate(options, CustomTokenExchangeOptions, self._defaults)
        return self._exchange_or_reuse(given, store_options, use_cache=use_cache)

    @guarded(exchange_failure)
    def login_with_custom_token_exchange(
        self,
        options: LoginWithCustomTokenExchangeOptions | CustomTokenExchangeOptions | Mapping[str, Any],
        store_options: StoreOptions = None,
    ) -> LoginWithCustomTokenExchangeResult:
        """Exchange a token and log the user in with the result.

        A session that could not be written is refused before the subject token is spent. A new session id is issued,
        and whatever session there was before is gone.

        Args:
            options: What to exchange, and for what; ``openid`` is added to the scope.
            store_options: ``{"request": …, "response": …}`` of Flask, Django or Starlette.

        Raises:
            SessionError: There is no ``secret``, no response to set cookies on, the store cannot be reached, the
                session is too large for cookies, or the upstream session has ended.
            CustomTokenExchangeError: The exchange failed.
            IdTokenError: There is no ID token, or it failed verification.
            OrganizationError: The user does not belong to the organization that was asked for.
            MfaRequiredError: Auth0 wants a second factor first; its ``pending_login`` is for `resume_login`.
        """
        given = with_openid(validate(options, LoginWithCustomTokenExchangeOptions, self._defaults))
        carrier = self._sessions.writable_carrier(store_options)
        with self._resumable(given):
            issuer, response = self._exchange(given, store_options)
        session = self._new_session(given, issuer, response)
        self._sessions.start(carrier, session, issuer.issuer)
        return login_result(session, response)

    @guarded(without_frames)
    def get_session(self, store_options: StoreOptions = None) -> Session | None:
        """Return the session of a request, or None.

        Args:
            store_options: ``{"request": …}``, with ``"response"`` where the session may be renewed by being used.

        Raises:
            SessionError: There is no ``secret`` or no request, or the store cannot be reached.
        """
        loaded = self._load(store_options)
        return None if loaded is None else loaded.session

    @guarded(without_frames)
    def get_user(self, store_options: StoreOptions = None) -> Mapping[str, Any] | None:
        """Return the verified claims of the user of a request, or None.

        Args:
            store_options: As for `get_session`.

        Raises:
            SessionError: As for `get_session`.
        """
        loaded = self._load(store_options)
        return None if loaded is None else loaded.session.user

    @guarded(without_frames)
    def get_access_token(
        self, store_options: StoreOptions = None, audience: str | None = None, scope: str | None = None
    ) -> str:
        """Return a valid access token of the session, refreshed when it has expired.

        However many threads (and, with a Redis or SQL store, processes) ask at the same time, one refresh is made. The
        rotated refresh token is stored before the access token is returned.

        Args:
            store_options: ``{"request": …, "response": …}``.
            audience: The API; the one of the login when None.
            scope: The scopes that the token must have at least, separated by spaces; any when None.

        Raises:
            AccessTokenError: There is no session, no refresh token, or it was refused (``invalid_grant`` ends the
                session).
            MfaRequiredError: Auth0 wants a second factor first.
            RateLimitError: Auth0 answered 429.
            TransportError: Auth0 could not be reached; the session is as it was.
            SessionError: The session could not be read or written.
        """
        from auth0_cte.session.access_tokens import Wanted

        carrier = self._sessions.carrier(store_options)
        loaded = self._load(store_options)
        if loaded is None:
            raise AccessTokenError("there is no session", code="MISSING_SESSION")
        return self._access_tokens.get(carrier, loaded, Wanted(audience, scope))

    @guarded(without_frames)
    def logout(self, store_options: StoreOptions = None, return_to: str | None = None) -> str:
        """End the session here, and return the URL that ends it at Auth0.

        Args:
            store_options: ``{"request": …, "response": …}``.
            return_to: Where Auth0 sends the browser then; an absolute URL that the application allows.

        Returns:
            The URL of Auth0's ``/v2/logout``, to redirect the browser to.

        Raises:
            SessionError: There is no response to delete the cookies on, or the store cannot be reached: the user is
                still logged in.
            ConfigurationError: ``return_to`` is no absolute http or https URL.
        """
        from auth0_cte.session.logout import logout_url

        url = logout_url(resolve_domain(self._domain, store_options), self._client_id, return_to)
        carrier = self._sessions.carrier(store_options)
        self._sessions.require_writable(carrier)
        self._sessions.end(carrier)
        return url

    @guarded(without_frames)
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
        deadline = Deadline(self._timeout)
        issuer = self._discovery.issuer(resolve_domain(self._domain, store_options), deadline)
        claims = self._verifier.verify_logout_token(logout_token, issuer, deadline)
        return self._logout_tokens.carry_out(claims, self._sessions.store)

    def close(self) -> None:
        """Close the pooled connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()
