"""The exchange: options to a request, and its reply to a response; with reuse, and refreshes of what was exchanged."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from attrs import evolve

from auth0_cte.auth_types import CustomTokenExchangeOptions
from auth0_cte.error import ConfigurationError, CustomTokenExchangeError, MfaRequiredError
from auth0_cte.error import CustomTokenExchangeErrorCode as Code
from auth0_cte.exchange.options import call_suppliers, check_text, check_token, validate
from auth0_cte.exchange.request import to_form, to_refresh_form
from auth0_cte.exchange.response import act_error_of, read_reply, to_response
from auth0_cte.foundation.validation import call_given
from auth0_cte.oauth.call import Call
from auth0_cte.oauth.client_auth.base import PublicClient
from auth0_cte.oauth.domain import domain_of
from auth0_cte.oauth.token_endpoint import TOKEN_EXCHANGE_GRANT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auth0_cte.auth_types import TokenExchangeResponse
    from auth0_cte.auth_types.exchange import StoreOptions
    from auth0_cte.exchange.actor_token import ActorRules
    from auth0_cte.exchange.cache import ExchangeCacheBackend
    from auth0_cte.exchange.defaults import ExchangeDefaults
    from auth0_cte.oauth.authorization_server import AuthorizationServer
    from auth0_cte.oauth.client_auth.base import Form
    from auth0_cte.oauth.event_reporter import EventReporter
    from auth0_cte.oauth.id_token import Identity
    from auth0_cte.oauth.issuer import Issuer

__all__ = ["Exchanger"]

logger: Final = logging.getLogger("auth0_cte")

Options = TypeVar("Options", bound=CustomTokenExchangeOptions)


class Exchanger:
    """Exchanges tokens at an authorization server.

    Args:
        server: The authorization server.
        events: What is told of each exchange, or None.
        defaults: What applies where options say nothing.
        cache: Where exchanged tokens are kept to be used again, or None.
    """

    def __init__(
        self,
        server: AuthorizationServer,
        events: EventReporter | None = None,
        defaults: ExchangeDefaults | None = None,
        cache: ExchangeCacheBackend | None = None,
    ) -> None:
        self.server: AuthorizationServer = server
        self.defaults: ExchangeDefaults | None = defaults
        self._events, self._cache = events, cache
        if cache is not None and self._credentials() is None:
            logger.warning(
                "the exchange_cache is not used: neither a client_auth of your own nor the certificate of an "
                "ssl_context or adapter can be told apart from another one"
            )

    def exchange(
        self,
        options: CustomTokenExchangeOptions | Mapping[str, Any] | None,
        store_options: StoreOptions,
        *,
        use_cache: bool = True,
    ) -> TokenExchangeResponse:
        """Exchange, or return what the cache has. See `ServerClient.custom_token_exchange`."""
        given = validate(options, CustomTokenExchangeOptions, self.defaults)
        fixed = self.server.fixed_domain if store_options is None else None
        domain = fixed or self.server.domain_for(store_options)
        if given.forwarded_for is True:
            given = self.located(given, store_options)
        if self._cache is not None and use_cache:
            return self._reuse(self._cache, domain, given)
        return self.exchange_at(domain, given)[1]

    def located(self, options: Options, store_options: StoreOptions) -> Options:
        """Return options with the address of the request for ``forwarded_for=True``.

        Raises:
            ConfigurationError: The request is missing, or its address cannot be told.
        """
        return evolve(options, forwarded_for=self.server.address_for(options.forwarded_for, store_options))

    def exchange_at(self, domain: str, options: CustomTokenExchangeOptions) -> tuple[Issuer, TokenExchangeResponse]:
        """Exchange at a domain, by options that were validated; the cache is not asked."""
        if callable(options.subject_token) or options.actor_token is not None:
            options = self._supplied(domain, options)
        forwarded_for = options.forwarded_for
        if forwarded_for is True:
            forwarded_for = self.server.address_for(True, None)  # there is no request, which it tells
        call = Call(domain, self.server.timeout, forwarded_for)
        return self.ask(call, to_form(options, self.server.client_id), options)

    def ask(
        self, call: Call, form: Form, options: CustomTokenExchangeOptions | None = None, *, is_told: bool = False
    ) -> tuple[Issuer, TokenExchangeResponse]:
        """Send a token request and read its reply: every grant goes this way.

        Args:
            call: The call.
            form: The parameters, without client authentication.
            options: The options of an exchange, by which the reply is judged; None for other grants.
            is_told: Whether the events of the exchange are told around this.
        """
        if self._events is not None and options is not None and not is_told:
            with self._events.exchange(call.domain, TOKEN_EXCHANGE_GRANT, options.subject_token_type):
                return self.ask(call, form, options, is_told=True)
        server = self.server
        issuer = server.discovery.issuer(call.domain, call.deadline)
        try:
            reply = server.token_endpoint.request_tokens(issuer, form, call)
        except MfaRequiredError as error:
            error.domain = domain_of(issuer.issuer)
            raise
        told = read_reply(reply, server.clock())
        identity: Identity = (None, None, None)
        if told["id_token"] is not None:
            identity = server.verifier.identify(told["id_token"], issuer, call.deadline, told["access_token"])
        response = to_response(told, identity, server.dpop_thumbprint, options)
        if options is not None and response.id_token is not None:
            has_actor = options.actor_token is not None
            if has_actor or options.organization is not None:
                from auth0_cte.exchange.identity import check_identity  # late, because most exchanges need no check

                check_identity(response, organization=options.organization, has_actor=has_actor)
        return issuer, response

    def refresh(
        self, refresh_token: str, audience: str | None, scope: str | None, store_options: StoreOptions
    ) -> TokenExchangeResponse:
        """Trade a refresh token for new tokens. See `ServerClient.refresh_exchanged_token`."""
        check_token("refresh_token", refresh_token)
        for name, value in (("audience", audience), ("scope", scope)):
            if value is not None:
                check_text(name, value)
        form = to_refresh_form(self.server.client_id, refresh_token, audience, scope)
        return self.ask(Call(self.server.domain_for(store_options), self.server.timeout), form)[1]

    def forget(self, access_token: str) -> bool:
        """Make the cache forget an access token. See `ServerClient.forget_exchanged_token`."""
        check_token("access_token", access_token)
        return self._cache is not None and self._cache.forget(access_token)

    def require_confidential(self, what: str) -> None:
        """Refuse what an application without credentials cannot ask for.

        Raises:
            ConfigurationError: The application is a public one.
        """
        if isinstance(self.server.token_endpoint.client_auth, PublicClient):
            raise ConfigurationError(f"{what} is for applications that authenticate: give client_secret or client_auth")

    def actor_rules(self, domain: str) -> ActorRules:
        """Return what an actor's ID token must be at a domain."""
        from auth0_cte.exchange.actor_token import ActorRules

        return ActorRules(
            client_id=self.server.client_id,
            issuer_url=domain,
            leeway=self.server.leeway,
            is_signed_here=partial(self.server.has_signed, domain=domain),
        )

    def _supplied(self, domain: str, options: CustomTokenExchangeOptions) -> CustomTokenExchangeOptions:
        if options.actor_token is None:
            return call_suppliers(options)
        return call_suppliers(options, partial(self.actor_rules(domain).check, now=self.server.clock()))

    def _credentials(self) -> list[str | None] | None:
        from auth0_cte.exchange.cache_key import credentials_of

        endpoint = self.server.token_endpoint
        return credentials_of(endpoint.client_auth, endpoint.http.certificate)

    def _reuse(
        self, cache: ExchangeCacheBackend, domain: str, options: CustomTokenExchangeOptions
    ) -> TokenExchangeResponse:
        from auth0_cte.exchange.cache import may_reuse
        from auth0_cte.exchange.cache_key import ExchangeRequest, end_of

        credentials = self._credentials()
        if credentials is None or not may_reuse(options):
            return self.exchange_at(domain, options)[1]
        options = self._supplied(domain, options)
        call = Call(domain, self.server.timeout, self.server.address_for(options.forwarded_for, None))
        form = to_form(options, self.server.client_id)
        key = ExchangeRequest(
            issuer=domain,
            client_id=self.server.client_id,
            credentials=credentials,
            form=form,
            headers={} if call.forwarded_for is None else {"auth0-forwarded-for": call.forwarded_for},
            dpop_thumbprint=self.server.dpop_thumbprint,
            ends_at=end_of(options.subject_token, options.actor_token),
        )
        brought: list[TokenExchangeResponse] = []

        def exchange() -> TokenExchangeResponse:
            brought.append(self.ask(call, form, options)[1])
            return brought[0]

        try:
            response: TokenExchangeResponse = call_given(
                *(cache.fetch, key, exchange, self.server.clock, call.deadline),
                name="the exchange_cache",
                code=Code.EXCHANGE_CACHE_UNAVAILABLE,
                kind=CustomTokenExchangeError,
            )
        except CustomTokenExchangeError as error:
            if not brought:
                raise
            logger.warning("the exchange_cache failed after the exchange, which is not kept: %s", error.message)
            response = brought[0]  # what was spent must not be lost
        if response.from_cache and self._events is not None:
            self._events.reused(domain, TOKEN_EXCHANGE_GRANT, options.subject_token_type)
        act_error = act_error_of(options, response.claims, response.act, response.id_token_error)
        return response if act_error is None else evolve(response, act_error=act_error)
