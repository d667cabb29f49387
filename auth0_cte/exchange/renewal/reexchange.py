"""The exchange of a delegated session, run again: Auth0 issues no refresh token when an actor took part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import evolve

from auth0_cte.auth_types import CustomTokenExchangeOptions
from auth0_cte.error import (
    AccessTokenError,
    Auth0CTEError,
    CustomTokenExchangeError,
    IdTokenError,
    MfaRequiredError,
    OrganizationError,
    RateLimitError,
    without_frames,
)
from auth0_cte.exchange.identity import check_identity
from auth0_cte.exchange.options import validate
from auth0_cte.exchange.renewal.refresh import to_access_token_error
from auth0_cte.foundation.validation import call_given
from auth0_cte.oauth.domain import issuer_url
from auth0_cte.session.serialization import DEFAULT_AUDIENCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auth0_cte.auth_types import Session, TokenExchangeResponse
    from auth0_cte.auth_types.session import Reexchange
    from auth0_cte.exchange.exchanger import Exchanger
    from auth0_cte.session.access_tokens import Wanted

__all__ = ["SessionReexchange"]

_IDENTITY_SCOPES: Final = ("openid", "profile", "email", "address", "phone")
_OF_THE_SESSION: Final = ("audience", "scope", "organization")
# What Auth0 says of the application, or of the request as such: the delegation itself may be as good as ever.
_OF_THE_APPLICATION: Final = frozenset(
    {
        *("unauthorized_client", "invalid_client", "unsupported_grant_type", "invalid_scope", "invalid_target"),
        *("consent_required", "invalid_dpop_proof", "use_dpop_nonce"),
    }
)


class SessionReexchange:
    """Runs the exchange of a session again, with the tokens that a function of the application's has for it.

    Args:
        exchanger: Exchanges them.
        reexchange: The function.
    """

    def __init__(self, exchanger: Exchanger, reexchange: Reexchange) -> None:
        self._exchanger, self._reexchange = exchanger, reexchange

    def __call__(self, session: Session, wanted: Wanted) -> TokenExchangeResponse:
        """Exchange for a session.

        Raises:
            AccessTokenError: The function failed, the exchange was refused, or its ID token is missing, or is not about
                the session's user, organization and whole chain of actors.
            RateLimitError: Auth0 answered 429.
            TransportError: Auth0 could not be reached.
        """
        exchanger = self._exchanger
        domain = issuer_url(session.domain) if session.domain else exchanger.server.domain_for(None)
        try:
            response = exchanger.exchange_at(domain, self._options(session, wanted))[1]
            check_identity(
                response, organization=session.user.get("org_id"), has_actor=session.act is not None, session=session
            )
        except (MfaRequiredError, RateLimitError):
            raise
        except CustomTokenExchangeError as error:
            failure = to_access_token_error(error)
            failure.code, failure.session_ended = error.code, _is_final(error, session, wanted)
            raise failure from error.with_traceback(None)
        except OrganizationError as error:
            raise AccessTokenError(error.message, code=error.code) from error.with_traceback(None)
        except IdTokenError as error:
            # Keys that cannot be had say nothing against the tokens, but nothing for them either.
            code = error.code if error.is_retryable else "INVALID_ID_TOKEN"
            raise AccessTokenError(error.message, code=code, is_retryable=error.is_retryable) from without_frames(error)
        if response.claims is None:
            raise AccessTokenError("the exchange brought no ID token", code="MISSING_ID_TOKEN", session_ended=True)
        return response

    def _options(self, session: Session, wanted: Wanted) -> CustomTokenExchangeOptions:
        """Ask for what to exchange; what it is exchanged for is the session's."""
        shown = evolve(session, id_token=None, refresh_token=None, token_sets=(), extra={})
        try:
            given: CustomTokenExchangeOptions | Mapping[str, Any] = call_given(
                self._reexchange,
                shown,
                name="reexchange",
                code="REEXCHANGE_FAILED",
                kind=AccessTokenError,
                shows_frames=True,
            )
        except AccessTokenError as error:
            if error.code == "REEXCHANGE_FAILED":
                raise
            raise _failed(error) from without_frames(error)
        except Auth0CTEError as error:
            raise _failed(error) from without_frames(error)
        options = validate(given, CustomTokenExchangeOptions)
        for name in _OF_THE_SESSION:
            if getattr(options, name) is not None:
                raise AccessTokenError(
                    f"reexchange must not return {name}, which is that of the session", code="REEXCHANGE_FAILED"
                )
        audience = wanted.audience_in(session)
        options = evolve(
            options,
            audience=None if audience == DEFAULT_AUDIENCE else audience,
            scope=_scope(session, wanted),
            organization=session.user.get("org_id"),
            forwarded_for=wanted.forwarded_for if options.forwarded_for is None else options.forwarded_for,
        )
        return validate(options, CustomTokenExchangeOptions, self._exchanger.defaults)


def _failed(error: Auth0CTEError) -> AccessTokenError:
    return AccessTokenError(f"reexchange failed: {error.message}", code="REEXCHANGE_FAILED")


def _scope(session: Session, wanted: Wanted) -> str:
    """Return the scopes to ask for: always those by which the ID token has the claims that it had."""
    usual = session.default_scope.split()
    if wanted.asked is not None:
        asked = wanted.asked.split()
    else:
        asked = usual if wanted.audience_in(session) == session.default_audience else []
    identity = [each for each in _IDENTITY_SCOPES if each == "openid" or each in usual]
    return " ".join(dict.fromkeys([*identity, *asked]))


def _is_final(error: CustomTokenExchangeError, session: Session, wanted: Wanted) -> bool:
    """Tell whether Auth0 refused the delegation itself, and not another API or scope than the login's."""
    if error.code == "invalid_grant":
        return True
    is_the_logins = wanted.audience_in(session) == session.default_audience
    is_the_logins &= set((wanted.scope or "").split()) <= set(session.default_scope.split())
    is_refusal = error.error is not None and error.status_code in (400, 403) and not error.is_retryable
    return is_the_logins and is_refusal and error.code not in _OF_THE_APPLICATION
