"""The steps that public methods put in order, each written once: exchange, verify, begin, load and refresh."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial, wraps
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar

from attrs import evolve

from auth0_cte.auth_server.base_client import BaseClient
from auth0_cte.error import (
    AccessTokenError,
    Auth0CTEError,
    CustomTokenExchangeError,
    DiscoveryError,
    IdTokenError,
    MfaRequiredError,
    RateLimitError,
    TransportError,
)
from auth0_cte.exchange.actor_token import ActorRules, with_actor_settled
from auth0_cte.exchange.options import call_suppliers
from auth0_cte.exchange.request import from_reply, to_form, to_headers, to_refresh_form
from auth0_cte.foundation.deadline import Deadline
from auth0_cte.oauth.client_auth.base import PublicClient
from auth0_cte.oauth.domain import domain_of, is_domain, resolve_domain
from auth0_cte.oauth.proofs import with_binding
from auth0_cte.oauth.token_endpoint import TOKEN_EXCHANGE_GRANT

if TYPE_CHECKING:
    from auth0_cte.auth_types import (
        CustomTokenExchangeOptions,
        LoginWithCustomTokenExchangeResult,
        Session,
        TokenExchangeResponse,
    )
    from auth0_cte.jose import Jws
    from auth0_cte.oauth.discovery import Issuer
    from auth0_cte.session.access_tokens import AccessTokens, Wanted
    from auth0_cte.session.manager import Loaded

__all__ = ["ClientSteps", "StoreOptions", "guarded", "login_result"]

C = TypeVar("C", bound=BaseClient)
P = ParamSpec("P")
R = TypeVar("R")
StoreOptions = Mapping[str, Any] | None

_OTHER_KEY: Final = (
    "The session's refresh token is bound to another DPoP key: give every process the same one "
    "(AUTH0_DPOP_PRIVATE_KEY), and keep it as long as its sessions; else log the user in again."
)


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
        self, options: CustomTokenExchangeOptions, store_options: StoreOptions, domain: str | None = None
    ) -> tuple[Issuer, TokenExchangeResponse]:
        # Asked once a call: two answers of a resolver could be two tenants.
        domain = domain or resolve_domain(self._domain, store_options)
        return self._exchange_supplied(domain, self._supplied(domain, options), Deadline(self._timeout))

    def _supplied(self, domain: str, options: CustomTokenExchangeOptions) -> CustomTokenExchangeOptions:
        return call_suppliers(options, partial(self._actor_rules(domain).check, now=self._clock()))

    def _exchange_supplied(
        self, domain: str, options: CustomTokenExchangeOptions, deadline: Deadline
    ) -> tuple[Issuer, TokenExchangeResponse]:
        with self._observer.exchange(domain_of(domain), TOKEN_EXCHANGE_GRANT, options.subject_token_type):
            return self._exchange_at(domain, options, deadline)

    def _exchange_at(
        self, domain: str, options: CustomTokenExchangeOptions, deadline: Deadline
    ) -> tuple[Issuer, TokenExchangeResponse]:
        issuer = self._discovery.issuer(domain, deadline)
        form, headers = to_form(options, self._client_id), to_headers(options)
        try:
            reply = self._token_endpoint.request_tokens(issuer, form, deadline, headers)
        except MfaRequiredError as error:
            error.domain = domain_of(issuer.issuer)
            raise
        response = self._to_response(reply, issuer, deadline)
        return issuer, with_actor_settled(response, options)

    def _actor_rules(self, domain: str) -> ActorRules:
        return ActorRules(
            client_id=self._client_id,
            issuer_url=domain,
            leeway=self._leeway,
            is_signed_here=partial(self._is_signed_here, domain),
        )

    def _is_signed_here(self, domain: str, jws: Jws) -> bool:
        from auth0_cte.jose import JoseError

        deadline = Deadline(self._timeout)
        try:
            self._verifier.verify_signature(jws, self._discovery.issuer(domain, deadline), deadline)
        except JoseError:
            return False
        except (TransportError, DiscoveryError):
            return True  # Auth0 will tell
        return True

    def _new_session(
        self, options: CustomTokenExchangeOptions, issuer: Issuer, response: TokenExchangeResponse
    ) -> Session:
        import secrets  # late, as whatever exchanges alone have no use for

        from auth0_cte.session.serialization import check_organization, from_login

        claims = response.claims
        if claims is None:
            raise response.id_token_error or IdTokenError("the login brought no ID token", code="MISSING_ID_TOKEN")
        if response.act_error is not None:
            raise response.act_error  # the session would pass for the user's own
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
            dpop_thumbprint=self.dpop_thumbprint,
        )

    def _load(self, store_options: StoreOptions, domain: str | None = None) -> Loaded | None:
        loaded = self._sessions.load(self._sessions.carrier(store_options))
        if loaded is None or (loaded.session.domain is None and callable(self._domain)):
            return None  # a sibling's session without a domain could be any tenant's
        # A session of one tenant is none at another, whatever secret they share.
        expected = domain_of(domain or resolve_domain(self._domain, store_options))
        return loaded if is_domain(loaded.session.domain, expected) else None

    @cached_property
    def _access_tokens(self) -> AccessTokens:
        from auth0_cte.session.access_tokens import AccessTokens

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
            raise self._refresh_error(error, session) from error.with_traceback(None)
        response = self._to_response(reply, issuer, deadline)
        if response.claims is not None and response.claims["sub"] != session.user["sub"]:
            raise AccessTokenError("the refreshed ID token is another user's", code="SUBJECT_MISMATCH")
        # An ID token that failed verification must not take the place of one that passed.
        return response if response.claims is not None else evolve(response, id_token=None)

    def _refresh_error(self, error: CustomTokenExchangeError, session: Session) -> AccessTokenError:
        failure = _refused_refresh(error)
        # A public client's refresh token is bound to the key, any other one to the credentials: RFC 9449 section 5.
        is_bound = session.dpop_thumbprint is not None and isinstance(self._token_endpoint.client_auth, PublicClient)
        if error.error and is_bound and session.dpop_thumbprint != self.dpop_thumbprint:
            failure.dpop_key_mismatch, failure._hint = True, _OTHER_KEY  # noqa: SLF001 - of our own error
        return failure

    def _to_response(self, reply: Mapping[str, Any], issuer: Issuer, deadline: Deadline) -> TokenExchangeResponse:
        response = with_binding(from_reply(reply, self._clock()), self.dpop_thumbprint)
        if response.id_token is None:
            return response
        from auth0_cte.oauth.id_token import actor_chain

        try:
            claims = self._verifier.verify(response.id_token, issuer, deadline, access_token=response.access_token)
            return evolve(response, claims=claims, act=actor_chain(claims))
        except IdTokenError as error:
            # The frames of its traceback hold the token; whoever reads the response needs the reason alone.
            return evolve(response, id_token_error=error.with_traceback(None))


def _refused_refresh(error: CustomTokenExchangeError) -> AccessTokenError:
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
    from auth0_cte.session.serialization import to_state_data

    return LoginWithCustomTokenExchangeResult(
        session=session,
        state_data=to_state_data(session),
        authorization_details=response.extra.get("authorization_details"),
        recovery_code=response.extra.get("recovery_code"),
    )
