"""Every exception that the library raises.

Messages are for people, attributes for programs: ``code`` tells what happened, ``hint`` what to do about it.
No message, attribute or ``__cause__`` carries a token, a secret or a request body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from auth0_cte.error_base import Auth0CTEError
from auth0_cte.error_codes import (
    AccessTokenErrorCode,
    AccessTokenForConnectionErrorCode,
    CustomTokenExchangeErrorCode,
    RateLimitKind,
    RateLimitStatus,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "AccessTokenError",
    "AccessTokenErrorCode",
    "ApiError",
    "AccessTokenForConnectionError",
    "AccessTokenForConnectionErrorCode",
    "Auth0CTEError",
    "Auth0Error",
    "BackchannelLogoutError",
    "ConfigurationError",
    "CustomTokenExchangeError",
    "CustomTokenExchangeErrorCode",
    "DiscoveryError",
    "DomainResolverError",
    "ExchangeDiscoveryError",
    "ExchangeTimeoutError",
    "ExchangeTransportError",
    "IdTokenError",
    "MfaRequiredAtRefreshError",
    "MfaRequiredError",
    "OrganizationError",
    "OrganizationTokenValidationError",
    "RateLimitError",
    "RateLimitKind",
    "RateLimitStatus",
    "RevocationError",
    "SessionError",
    "SessionExpiredError",
    "TransportError",
    "TransportTimeoutError",
]


class ConfigurationError(Auth0CTEError, ValueError):
    """The client was given arguments that cannot work. Raised before any network traffic."""

    code = "CONFIGURATION_ERROR"
    _hint = "Correct the named setting; nothing was sent."


class DomainResolverError(ConfigurationError):
    """The ``domain`` function failed, or returned what is not a domain. Raised before any network traffic."""

    code = "DOMAIN_RESOLVER_FAILED"

    @property
    def original_error(self) -> BaseException | None:
        """What the function raised, or None."""
        return self.__cause__


class ApiError(Auth0CTEError):
    """A request to Auth0 failed, or was answered by what cannot be used: the base of what says so more exactly.

    Attributes:
        host: The host that was asked, or None.
    """

    host: str | None = None


class TransportError(ApiError):
    """The server could not be reached, or its reply could not be read.

    Attributes:
        phase: ``"connect"``, ``"proxy"`` (a proxy refused the connection) or ``"tls"``, when nothing of the request was
            sent; ``"send"`` (a test tool, an adapter or a response hook of the application's failed) or ``"response"``.
        may_have_reached_server: False only when the server provably saw nothing of the request.
        status_code: The HTTP status when a reply had begun, or that of the proxy which refused; else None.
    """

    code = "TRANSPORT_ERROR"
    _hint = "Check the network path to the Auth0 domain: DNS, firewall, proxy and TLS settings."
    phase: str = "response"
    may_have_reached_server: bool = True
    status_code: int | None = None


class TransportTimeoutError(TransportError):
    """A connect or read time-out, or the total deadline of the call, passed."""

    code = "TRANSPORT_TIMEOUT"
    _hint = "Auth0 did not answer in time; when may_have_reached_server is true the request may have been carried out."


class DiscoveryError(ApiError):
    """The domain's OpenID configuration or its keys are missing, malformed, or belong to another issuer."""

    code = "DISCOVERY_ERROR"
    _hint = "Check that the domain is an Auth0 tenant or custom domain."


class IdTokenError(ApiError):
    """An ID token failed verification (OpenID Connect Core 1.0, section 3.1.3.7).

    Attributes:
        claim: The claim or header parameter that failed, or None when the token as a whole did.
        is_retryable: Whether it was not verified because the issuer's keys could not be had: nothing is wrong with it.
    """

    code = "INVALID_ID_TOKEN"
    _fallback_hint = "Do not use the token: it is not proof of the user's identity for this application."
    claim: str | None = None
    is_retryable: bool = False


class BackchannelLogoutError(IdTokenError):
    """A logout token is not acceptable, or was used before."""


class OrganizationError(Auth0CTEError):
    """The ID token does not belong to the organization that was asked for."""

    code = "ORGANIZATION_MISMATCH"
    _hint = "Log the user in through the organization that was requested."


class SessionError(Auth0CTEError):
    """A session cannot be read, written or ended.

    Attributes:
        subject_token_spent: Whether it is a login that failed after its subject token was used.
    """

    code = "SESSION_ERROR"
    _fallback_hint = "Nothing was lost. Fix the reported problem and try again."
    subject_token_spent: bool = False

    def after_spending(self) -> SessionError:
        """Return the same failure as that of a login whose subject token was used."""
        return SessionError(
            f"the subject token is spent, and no session was begun: {self.message}",
            code=self.code,
            subject_token_spent=True,
            _hint=f"Begin the login again, with a new subject token. {self._hint}".rstrip(),
        )


class AccessTokenError(Auth0CTEError):
    """No access token can be had for a session.

    Attributes:
        status_code: The HTTP status of the refresh, or None when none was answered.
        error_description: The server's ``error_description``, or None.
        is_retryable: Whether a later attempt can succeed.
        retry_after: Seconds to wait before another attempt, or None.
        request_id: Auth0's correlation id, or None.
        dpop_key_mismatch: Whether the client had another DPoP key than the session's: it goes on with that one.
        session_ended: Whether it ended the session: Auth0 refused, or answered for another user, organization or actor.
    """

    code = "ACCESS_TOKEN_ERROR"
    _fallback_hint = "Look at code and status_code; the tenant log tells more."
    status_code: int | None = None
    error_description: str | None = None
    is_retryable: bool = False
    retry_after: float | None = None
    request_id: str | None = None
    dpop_key_mismatch: bool = False
    session_ended: bool = False


class AccessTokenForConnectionError(AccessTokenError):
    """No token of another provider can be had for a session (Auth0, "Token Vault").

    Attributes:
        error: The server's ``error``, or None when it gave none.
    """

    code = AccessTokenForConnectionErrorCode.FETCH_ERROR
    error: str | None = None


class RevocationError(ApiError):
    """A refresh token was not revoked: it may still be good.

    Attributes:
        error: The server's ``error``, or None when it gave none.
        error_description: The server's ``error_description``, or None.
        status_code: The HTTP status of the reply, or None when there was none.
        is_retryable: Whether a later attempt can succeed.
        retry_after: Seconds to wait before another attempt, or None.
        request_id: Auth0's correlation id, or None.
        logout_url: Where to send the browser, when a logout has ended the session all the same; or None.
    """

    code = "REVOCATION_FAILED"
    _fallback_hint = "Try again later with revoke_refresh_token, or revoke the user's refresh tokens in the dashboard."
    error: str | None = None
    error_description: str | None = None
    status_code: int | None = None
    is_retryable: bool = False
    retry_after: float | None = None
    request_id: str | None = None
    logout_url: str | None = None


class CustomTokenExchangeError(ApiError):
    """A token exchange failed. Catching this class catches every failure of an exchange.

    Attributes:
        error: The server's ``error``, or None when it gave none.
        error_description: The server's ``error_description``, cut at 512 characters, or None.
        status_code: The HTTP status of the reply, or None when there was none.
        headers: The reply's headers that are safe to keep (correlation, dates, rate limits), names in lower case.
        retry_after: Seconds to wait before another attempt, or None when the server gave none.
        is_retryable: Whether a later attempt with the same subject token can succeed without being harmful.
        request_id: Auth0's correlation id (``x-auth0-requestid``), or None.
        may_have_reached_server: False when the subject token provably was not seen by the server.
    """

    code = CustomTokenExchangeErrorCode.TOKEN_EXCHANGE_FAILED
    _fallback_hint = "The tenant's Action gave this code: the message says why, and the tenant log (fecte) tells more."
    error: str | None = None
    error_description: str | None = None
    status_code: int | None = None
    headers: Mapping[str, str] | None = None
    retry_after: float | None = None
    is_retryable: bool = False
    request_id: str | None = None
    may_have_reached_server: bool = False


class SessionExpiredError(SessionError, AccessTokenError):
    """The upstream session that a login rests on (``session_expiry``) has ended."""

    code = "SESSION_EXPIRED"


class MfaRequiredError(CustomTokenExchangeError):
    """Auth0 wants multi-factor authentication before it issues tokens.

    Attributes:
        mfa_token: The token that continues the authentication; a secret. None when the server gave none.
        mfa_requirements: What Auth0 asks for (``challenge``, ``enroll``), or None.
        domain: The Auth0 domain that asks.
        pending_login: The login that was interrupted, sealed, for `resume_login`; it may be kept by the browser,
            e.g. in a form. None when no login was.
    """

    code = "mfa_required"
    domain: str | None = None
    pending_login: str | None = None
    mfa_token: str | None = None
    mfa_requirements: Mapping[str, Sequence[Mapping[str, str]]] | None = None


class MfaRequiredAtRefreshError(MfaRequiredError, AccessTokenError):
    """Auth0 wants multi-factor authentication before it refreshes a session."""


class RateLimitError(CustomTokenExchangeError):
    """Auth0 answered 429, or would have: with ``kind`` "local" nothing was sent.

    Attributes:
        kind: ``"ip_block"`` (`blocked`), ``"tenant"`` (the limit of the subscription), ``"policy"`` (a custom policy),
            ``"local"`` (the client's own ``rate_limit`` has no slot left within the deadline), or ``"unknown"``.
        blocked: True for ``too_many_attempts``: the IP is blocked for about ten minutes, and retrying prolongs it.
        rate_limit: What the reply's headers told about the limit, or None.
        limit: Requests allowed in the window, or None when not told.
        remaining, reset_at: Requests left in the window, and when it ends, in Unix seconds, or None when not told.
    """

    code = "too_many_requests"
    kind: RateLimitKind = "unknown"
    blocked: bool = False
    rate_limit: RateLimitStatus | None = None
    limit: int | None = None
    remaining: int | None = None
    reset_at: float | None = None


class ExchangeTransportError(CustomTokenExchangeError, TransportError):
    """An exchange failed on the network: a `TransportError` that is a `CustomTokenExchangeError` as well."""

    code = CustomTokenExchangeErrorCode.TOKEN_EXCHANGE_FAILED
    may_have_reached_server: bool = True


class ExchangeTimeoutError(ExchangeTransportError, TransportTimeoutError):
    """An exchange timed out: a `TransportTimeoutError` that is a `CustomTokenExchangeError` as well."""

    code = CustomTokenExchangeErrorCode.TOKEN_EXCHANGE_FAILED


class ExchangeDiscoveryError(CustomTokenExchangeError, DiscoveryError):
    """An exchange failed before it began: a `DiscoveryError` that is a `CustomTokenExchangeError` as well."""

    code = CustomTokenExchangeErrorCode.TOKEN_EXCHANGE_FAILED


def without_frames(error: Auth0CTEError) -> Auth0CTEError:
    """Strip an error of the frames that it passed through: their local variables hold tokens."""
    error.__context__ = None
    return error.with_traceback(None)


# auth0-server-python's names.
Auth0Error: TypeAlias = Auth0CTEError
OrganizationTokenValidationError: TypeAlias = OrganizationError
MfaApiError: TypeAlias = CustomTokenExchangeError
MfaListAuthenticatorsError: TypeAlias = CustomTokenExchangeError
MfaEnrollmentError: TypeAlias = CustomTokenExchangeError
MfaChallengeError: TypeAlias = CustomTokenExchangeError
MfaVerifyError: TypeAlias = CustomTokenExchangeError
