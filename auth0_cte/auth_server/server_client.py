"""`ServerClient`: the only place where the steps of an exchange are put in order."""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from attrs import evolve

from auth0_cte.auth_server import configuration as check
from auth0_cte.auth_server.discovery import Discovery
from auth0_cte.auth_server.domain import resolve_domain
from auth0_cte.auth_server.http import Http, TransportSettings
from auth0_cte.auth_server.option_rules import validate
from auth0_cte.auth_server.retry import Deadline, RetryPolicy
from auth0_cte.auth_server.telemetry import common_headers
from auth0_cte.auth_server.token_endpoint import TokenEndpoint
from auth0_cte.auth_server.token_exchange import from_reply, to_form
from auth0_cte.auth_types import CustomTokenExchangeOptions, TokenExchangeResponse
from auth0_cte.error import Auth0CTEError, IdTokenError, exchange_failure

if TYPE_CHECKING:
    import os
    import ssl
    from collections.abc import Callable, Mapping, Sequence

    import requests

    from auth0_cte.auth_server.client_auth import ClientAuth
    from auth0_cte.auth_server.discovery import Issuer
    from auth0_cte.auth_server.id_token import IdTokenVerifier
    from auth0_cte.auth_types import AuthorizationParams, DomainResolver

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
        client_auth: Another way to authenticate, instead of ``client_secret``.
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
        retry: What is tried again, and how often.
        telemetry: Whether requests name this library in an ``Auth0-Client`` header.
        clock: The time in Unix seconds; injectable for tests.

    Raises:
        ConfigurationError: An argument cannot work; the message says what to give.
    """

    def __init__(
        self,
        domain: str | DomainResolver,
        client_id: str,
        client_secret: str | None = None,
        *,
        secret: str | Sequence[str] | None = None,
        client_auth: ClientAuth | None = None,
        organization: str | None = None,
        authorization_params: AuthorizationParams | None = None,
        id_token_algorithms: Sequence[str] = ("RS256", "PS256", "ES256"),
        leeway: float = 30.0,
        timeout: float = 15.0,
        connect_timeout: float = 5.0,
        read_timeout: float = 10.0,
        pool_size: int = 100,
        ca_bundle: str | os.PathLike[str] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        session: requests.Session | None = None,
        retry: RetryPolicy | None = None,
        telemetry: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._domain, self._client_id = check.check_domain(domain), check.check_client_id(client_id)
        self._secrets = check.check_secrets(secret)
        self._timeout, self._clock = check.check_positive("timeout", timeout), clock
        self._algorithms = check.check_algorithms(id_token_algorithms, client_secret)
        self._leeway = check.check_leeway(leeway)
        self._client_secret = client_secret
        self._defaults = check.check_defaults(organization, authorization_params)
        settings = TransportSettings(
            connect_timeout=check.check_positive("connect_timeout", connect_timeout),
            read_timeout=check.check_positive("read_timeout", read_timeout),
            pool_size=check.check_positive("pool_size", pool_size),
            ca_bundle=check.check_ca_bundle(ca_bundle),
            ssl_context=check.check_ssl_context(ssl_context),
        )
        self._http = Http(settings, session)
        headers = common_headers(telemetry=telemetry)
        retry = retry or RetryPolicy()
        self._discovery = Discovery(self._http, headers, retry)
        self._token_endpoint = TokenEndpoint(
            http=self._http,
            client_id=self._client_id,
            client_auth=check.check_client_auth(client_auth, client_secret),
            retry=retry,
            headers=headers,
            clock=clock,
        )

    @classmethod
    def from_env(cls, **options: Any) -> Self:
        """Make a client of the ``AUTH0_*`` environment variables that all Auth0 SDKs share.

        Read are ``AUTH0_DOMAIN``, ``AUTH0_CLIENT_ID``, ``AUTH0_CLIENT_SECRET``, and if set ``AUTH0_SECRET``,
        ``AUTH0_ORGANIZATION``, ``AUTH0_AUDIENCE`` and ``AUTH0_SCOPE``.

        Args:
            **options: Arguments of the constructor, which win over the environment.

        Raises:
            ConfigurationError: Variables are missing; the message lists all of them.
        """
        return cls(**check.options_from_environment(options))

    def custom_token_exchange(
        self, options: CustomTokenExchangeOptions | Mapping[str, Any], store_options: Mapping[str, Any] | None = None
    ) -> TokenExchangeResponse:
        """Exchange a token of another system for Auth0 tokens (RFC 8693), without a session.

        Args:
            options: What to exchange, and for what; a dict with the same keys serves, too.
            store_options: ``{"request": …}``, for a ``domain`` that is a function.

        Returns:
            The tokens. An ID token among them has been verified; when it did not pass, ``id_token_error`` says why.

        Raises:
            CustomTokenExchangeError: The exchange failed; ``code``, ``hint`` and ``is_retryable`` tell more.
            ConfigurationError: The domain that the resolver returned is not acceptable.
        """
        try:
            given = validate(options, CustomTokenExchangeOptions, self._defaults)
            return self._exchange(given, store_options)[1]
        except Auth0CTEError as error:
            failure, cause = exchange_failure(error), error.__cause__
        del options  # a dict would show its tokens to whoever collects this frame's variables
        raise failure from cause

    def close(self) -> None:
        """Close the pooled connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        domain = self._domain if isinstance(self._domain, str) else "<resolver>"
        return f"{type(self).__name__}(domain={domain!r}, client_id={self._client_id!r})"

    def _exchange(
        self, options: CustomTokenExchangeOptions, store_options: Mapping[str, Any] | None
    ) -> tuple[Issuer, TokenExchangeResponse]:
        deadline = Deadline(self._timeout)
        issuer = self._discovery.issuer(resolve_domain(self._domain, store_options), deadline)
        headers = {} if options.forwarded_for is None else {"auth0-forwarded-for": options.forwarded_for}
        form = to_form(options, self._client_id)
        reply = self._token_endpoint.request_tokens(issuer, form, deadline, headers)
        return issuer, self._with_claims(from_reply(reply, self._clock()), issuer, deadline)

    @cached_property
    def _verifier(self) -> IdTokenVerifier:
        from auth0_cte.auth_server.id_token import IdTokenVerifier

        return IdTokenVerifier(
            client_id=self._client_id,
            discovery=self._discovery,
            clock=self._clock,
            algorithms=self._algorithms,
            client_secret=self._client_secret,
            leeway=self._leeway,
        )

    def _with_claims(
        self, response: TokenExchangeResponse, issuer: Issuer, deadline: Deadline
    ) -> TokenExchangeResponse:
        if response.id_token is None:
            return response
        from auth0_cte.auth_server.id_token import actor_chain

        try:
            claims = self._verifier.verify(response.id_token, issuer, deadline, access_token=response.access_token)
            return evolve(response, claims=claims, act=actor_chain(claims))
        except IdTokenError as error:
            # The frames of its traceback hold the token; whoever reads the response needs the reason alone.
            return evolve(response, id_token_error=error.with_traceback(None))
