"""The steps that public methods put in order, each written once: exchange, verify, begin, load and refresh."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from attrs import evolve

from auth0_cte.auth_server.base_client import BaseClient
from auth0_cte.auth_server.domain import domain_of, is_domain, resolve_domain
from auth0_cte.auth_server.retry import Deadline
from auth0_cte.auth_server.token_exchange import from_reply, to_form, to_refresh_form
from auth0_cte.error import (
    AccessTokenError,
    Auth0CTEError,
    CustomTokenExchangeError,
    IdTokenError,
    MfaRequiredError,
    RateLimitError,
)

if TYPE_CHECKING:
    from auth0_cte.auth_server.discovery import Issuer
    from auth0_cte.auth_types import (
        CustomTokenExchangeOptions,
        LoginWithCustomTokenExchangeResult,
        Session,
        TokenExchangeResponse,
    )
    from auth0_cte.session.manager import Loaded
    from auth0_cte.session.refresh import AccessTokens, Wanted

__all__ = ["ClientSteps", "StoreOptions", "guarded", "login_result"]

C = TypeVar("C", bound=BaseClient)
P = ParamSpec("P")
R = TypeVar("R")
StoreOptions = Mapping[str, Any] | None


def guarded(
    present: Callable[[Auth0CTEError], Auth0CTEError],
) -> Callable[[Callable[Concatenate[C, P], R]], Callable[Concatenate[C, P], R]]:
    """Have a public method raise its errors as ``present`` makes them, from a frame that holds no secrets."""

    def decorate(method: Callable[Concatenate[C, P], R]) -> Callable[Concatenate[C, P], R]:
        @wraps(method)
        def guarded(self: C, /, *args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return method(self, *args, **kwargs)
            except Auth0CTEError as error:
                failure, cause = present(error), error.__cause__
            del args, kwargs  # options in a dict would show their tokens to whoever collects the frames' variables
            raise failure from cause

        return guarded

    return decorate


class ClientSteps(BaseClient):
    """What the public methods of `ServerClient` consist of."""

    def _exchange(
        self, options: CustomTokenExchangeOptions, store_options: StoreOptions
    ) -> tuple[Issuer, TokenExchangeResponse]:
        deadline = Deadline(self._timeout)
        issuer = self._discovery.issuer(resolve_domain(self._domain, store_options), deadline)
        headers = {} if options.forwarded_for is None else {"auth0-forwarded-for": options.forwarded_for}
        form = to_form(options, self._client_id)
        reply = self._token_endpoint.request_tokens(issuer, form, deadline, headers)
        return issuer, self._with_claims(from_reply(reply, self._clock()), issuer, deadline)

    def _new_session(
        self, options: CustomTokenExchangeOptions, issuer: Issuer, response: TokenExchangeResponse
    ) -> Session:
        from auth0_cte.session.state import check_organization, from_login

        claims = response.claims
        if claims is None:
            raise response.id_token_error or IdTokenError("the login brought no ID token", code="MISSING_ID_TOKEN")
        check_organization(claims, options.organization)
        sid = claims.get("sid")
        return from_login(
            claims,
            response,
            domain=domain_of(issuer.issuer),
            audience=options.audience,
            scope=str(options.scope or ""),
            sid=sid if isinstance(sid, str) and sid else secrets.token_urlsafe(24),
            now=self._clock(),
        )

    def _load(self, store_options: StoreOptions) -> Loaded | None:
        loaded = self._sessions.load(self._sessions.carrier(store_options))
        if loaded is None:
            return None
        # A session of one tenant is none at another, whatever secret they share.
        expected = domain_of(resolve_domain(self._domain, store_options))
        return loaded if is_domain(loaded.session.domain, expected) else None

    @cached_property
    def _access_tokens(self) -> AccessTokens:
        from auth0_cte.session.refresh import AccessTokens

        return AccessTokens(sessions=self._sessions, refresh=self._refresh, clock=self._clock, timeout=self._timeout)

    def _refresh(self, session: Session, wanted: Wanted) -> TokenExchangeResponse:
        deadline = Deadline(self._timeout)
        issuer = self._discovery.issuer(resolve_domain(session.domain or self._domain, None), deadline)
        audience = None if wanted.audience in (None, session.default_audience) else wanted.audience
        form = to_refresh_form(self._client_id, session.refresh_token or "", audience, wanted.scope)
        try:
            reply = self._token_endpoint.request_tokens(issuer, form, deadline)
        except (MfaRequiredError, RateLimitError):
            raise
        except CustomTokenExchangeError as error:
            raise _refresh_error(error) from error.with_traceback(None)
        response = self._with_claims(from_reply(reply, self._clock()), issuer, deadline)
        if response.claims is not None and response.claims["sub"] != session.user["sub"]:
            raise AccessTokenError("the refreshed ID token is another user's", code="SUBJECT_MISMATCH")
        # An ID token that failed verification must not take the place of one that passed.
        return response if response.claims is not None else evolve(response, id_token=None)

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


def _refresh_error(error: CustomTokenExchangeError) -> AccessTokenError:
    return AccessTokenError(
        error.message,
        code=error.code if error.error else "FAILED_TO_REFRESH_TOKEN",
        status_code=error.status_code,
        error_description=error.error_description,
        is_retryable=error.is_retryable,
        retry_after=error.retry_after,
        request_id=error.request_id,
    )


def login_result(session: Session, response: TokenExchangeResponse) -> LoginWithCustomTokenExchangeResult:
    """Build what a login returns."""
    from auth0_cte.auth_types import LoginWithCustomTokenExchangeResult
    from auth0_cte.session.state import to_state_data

    return LoginWithCustomTokenExchangeResult(
        session=session,
        state_data=to_state_data(session),
        authorization_details=response.extra.get("authorization_details"),
    )
