"""The refresh of a session's tokens, which passes the checks of a login (RFC 6749 section 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import evolve

from auth0_cte.error import (
    AccessTokenError,
    CustomTokenExchangeError,
    IdTokenError,
    MfaRequiredAtRefreshError,
    MfaRequiredError,
    RateLimitError,
)
from auth0_cte.exchange.identity import check_identity
from auth0_cte.exchange.request import to_refresh_form
from auth0_cte.oauth.call import Call
from auth0_cte.oauth.client_auth.base import PublicClient
from auth0_cte.oauth.domain import issuer_url

if TYPE_CHECKING:
    from auth0_cte.auth_types import Session, TokenExchangeResponse
    from auth0_cte.exchange.exchanger import Exchanger
    from auth0_cte.session.access_tokens import Wanted

__all__ = ["SessionRefresh", "checked_for", "to_access_token_error"]

_OTHER_KEY: Final = (
    "The session's refresh token is bound to another DPoP key: give every process the same one "
    "(AUTH0_DPOP_PRIVATE_KEY), and keep it as long as its sessions; else log the user in again."
)


class SessionRefresh:
    """Sends the refresh grant of a session.

    Args:
        exchanger: Its way to the token endpoint is used.
    """

    def __init__(self, exchanger: Exchanger) -> None:
        self._exchanger = exchanger

    def __call__(self, session: Session, wanted: Wanted) -> TokenExchangeResponse:
        """Refresh the tokens of a session.

        Raises:
            AccessTokenError: The refresh was refused, or its ID token is not about the session's user, organization and
                actor.
            MfaRequiredAtRefreshError: Auth0 wants a second factor first.
            RateLimitError: Auth0 answered 429.
            TransportError: Auth0 could not be reached.
        """
        server = self._exchanger.server
        audience = None if wanted.audience in (None, session.default_audience) else wanted.audience
        form = to_refresh_form(server.client_id, session.refresh_token or "", audience, wanted.asked)
        domain = issuer_url(session.domain) if session.domain else server.domain_for(None)
        call = Call(domain, server.timeout, wanted.forwarded_for)
        try:
            response = self._exchanger.ask(call, form)[1]
        except MfaRequiredError as error:
            failure = MfaRequiredAtRefreshError(error.message)
            vars(failure).update(vars(error))
            raise failure from error.__cause__
        except RateLimitError:
            raise
        except CustomTokenExchangeError as error:
            raise self._refused(error, session) from error.with_traceback(None)
        return checked_for(session, response)

    def _refused(self, error: CustomTokenExchangeError, session: Session) -> AccessTokenError:
        failure = to_access_token_error(error)
        server = self._exchanger.server
        # A public client's refresh token is bound to the key, any other one to the credentials: RFC 9449 section 5.
        is_bound = session.dpop_thumbprint is not None and isinstance(server.token_endpoint.client_auth, PublicClient)
        if error.error and is_bound and session.dpop_thumbprint != server.dpop_thumbprint:
            failure.dpop_key_mismatch, failure._hint = True, _OTHER_KEY  # noqa: SLF001 - of our own error
        return failure


def to_access_token_error(error: CustomTokenExchangeError) -> AccessTokenError:
    """Return the error of a session whose tokens were not renewed."""
    return AccessTokenError(
        error.message,
        code=error.code if error.error else "FAILED_TO_REFRESH_TOKEN",
        status_code=error.status_code,
        error_description=error.error_description,
        is_retryable=error.is_retryable,
        retry_after=error.retry_after,
        request_id=error.request_id,
    )


def checked_for(session: Session, response: TokenExchangeResponse) -> TokenExchangeResponse:
    """Return a response as a session may take it.

    Raises:
        AccessTokenError: Its ID token is not about the session's user, organization and actor.
        OrganizationError: It belongs to no organization, and the session to one.
    """
    organization = session.user.get("org_id")
    try:
        check_identity(response, organization=organization, has_actor=session.act is not None, session=session)
    except IdTokenError as error:
        # Keys that cannot be had say nothing against the tokens: the session then stays as it was verified before.
        if not error.is_retryable:
            raise AccessTokenError(error.message, code="INVALID_ID_TOKEN") from error.with_traceback(None)
    # An ID token that failed verification must not take the place of one that passed.
    return response if response.claims is not None else evolve(response, id_token=None)
