"""What is done with exchanged tokens afterwards: used again, forgotten, refreshed."""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING

from auth0_cte.error import exchange_failure
from auth0_cte.exchange.actor_token import with_actor_settled
from auth0_cte.exchange.exchanger import ClientSteps, StoreOptions, guarded
from auth0_cte.exchange.options import check_text, check_token
from auth0_cte.exchange.request import to_form, to_headers, to_refresh_form
from auth0_cte.foundation.deadline import Deadline
from auth0_cte.oauth.domain import resolve_domain

if TYPE_CHECKING:
    from auth0_cte.auth_types import CustomTokenExchangeOptions, TokenExchangeResponse
    from auth0_cte.exchange.cache_key import ExchangeRequest

__all__ = ["Reuse"]


class Reuse(ClientSteps):
    """The methods of `ServerClient` about tokens that belong to no session."""

    @guarded(exchange_failure)
    def forget_exchanged_token(self, access_token: str) -> bool:
        """Have the ``exchange_cache`` forget the response with an access token, because an API refused it, say.

        The next exchange for the same is made; other users' tokens, and newer ones of this user, stay.

        Args:
            access_token: The access token of the response.

        Returns:
            Whether it was kept; False without a cache.

        Raises:
            CustomTokenExchangeError: ``EXCHANGE_CACHE_UNAVAILABLE``; or ``INVALID_TOKEN_FORMAT``.
        """
        check_token("access_token", access_token)
        return self.exchange_cache is not None and self.exchange_cache.forget(access_token)

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
        check_token("refresh_token", refresh_token)
        for name, value in (("audience", audience), ("scope", scope)):
            if value is not None:
                check_text(name, value)
        deadline = Deadline(self._timeout)
        issuer = self._discovery.issuer(resolve_domain(self._domain, store_options), deadline)
        form = to_refresh_form(self._client_id, refresh_token, audience, scope)
        reply = self._token_endpoint.request_tokens(issuer, form, deadline)
        return self._to_response(reply, issuer, deadline)

    @cached_property
    def _credentials(self) -> list[str | None]:
        from auth0_cte.exchange.cache_key import credentials_of

        return credentials_of(self._token_endpoint.client_auth)

    def _exchange_or_reuse(
        self, options: CustomTokenExchangeOptions, store_options: StoreOptions, *, use_cache: bool = True
    ) -> TokenExchangeResponse:
        if self.exchange_cache is None or not use_cache:
            return self._exchange(options, store_options)[1]
        from auth0_cte.exchange.cache import may_reuse

        domain = resolve_domain(self._domain, store_options)
        if not may_reuse(options):
            return self._exchange(options, store_options, domain)[1]
        options = self._supplied(domain, options)
        deadline = Deadline(self._timeout)
        exchange = partial(self._exchange_response, domain, options, deadline)
        response = self.exchange_cache.fetch(self._request_for(domain, options), exchange, self._clock, deadline)
        return with_actor_settled(response, options)

    def _exchange_response(
        self, domain: str, options: CustomTokenExchangeOptions, deadline: Deadline
    ) -> TokenExchangeResponse:
        return self._exchange_supplied(domain, options, deadline)[1]

    def _request_for(self, domain: str, options: CustomTokenExchangeOptions) -> ExchangeRequest:
        from auth0_cte.exchange.cache_key import ExchangeRequest

        return ExchangeRequest(
            issuer=domain,
            client_id=self._client_id,
            credentials=self._credentials,
            form=to_form(options, self._client_id),
            headers=to_headers(options),
            dpop_thumbprint=self.dpop_thumbprint,
        )
