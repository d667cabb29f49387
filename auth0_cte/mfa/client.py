"""Multi-factor authentication: what an exchange or a login goes on with when Auth0 answered ``mfa_required``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from auth0_cte.error import CustomTokenExchangeError, SessionError
from auth0_cte.error import CustomTokenExchangeErrorCode as Code
from auth0_cte.exchange.failure import exchange_failure
from auth0_cte.exchange.options import address_fault, check_text, check_token
from auth0_cte.foundation.boundary import guarded
from auth0_cte.mfa.api import mfa_form
from auth0_cte.mfa.pending_login import PendingLogin, is_pending_login
from auth0_cte.oauth.call import Call
from auth0_cte.oauth.domain import domain_of, is_domain, issuer_url

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from auth0_cte.auth_types import LoginWithCustomTokenExchangeResult, TokenExchangeResponse
    from auth0_cte.auth_types.exchange import ForwardedFor, StoreOptions
    from auth0_cte.auth_types.mfa import (
        MfaAuthenticator,
        MfaChallenge,
        MfaChallengeOptions,
        MfaListOptions,
        MfaVerifyOptions,
    )
    from auth0_cte.exchange.exchanger import Exchanger
    from auth0_cte.exchange.login import Logins
    from auth0_cte.mfa.api import MfaApi
    from auth0_cte.mfa.pending_login import PendingLogins
    from auth0_cte.oauth.issuer import Issuer
    from auth0_cte.session.sessions import Sessions

__all__ = ["MfaClient"]

CHALLENGE_TYPES: Final = {"otp": "otp", "sms": "oob", "voice": "oob", "email": "oob", "auth0": "oob", "push": "oob"}
"""How each kind of factor is challenged; ``auth0`` and ``push`` are the same: Auth0's own application."""
PROOFS: Final = ("otp", "oob_code", "binding_code", "recovery_code")


class MfaClient:
    """The second factors of users whose exchange or login Auth0 answered with ``mfa_required``: ``client.mfa``.

    Options are dicts with the keys of auth0-server-python. Their ``mfa_token`` is `MfaRequiredError.mfa_token`, or
    `MfaRequiredError.pending_login`, which may go through the browser.

    Args:
        exchanger: Its way to the token endpoint is used.
        api: The MFA API.
        pending_logins: Opens what logins were interrupted with.
        sessions: Returns the sessions, in which a login is resumed.
        logins: Returns what begins a session.
    """

    def __init__(
        self,
        exchanger: Exchanger,
        api: MfaApi,
        pending_logins: PendingLogins,
        sessions: Callable[[], Sessions],
        logins: Callable[[], Logins],
    ) -> None:
        self._exchanger, self._api, self._pending_logins = exchanger, api, pending_logins
        self._sessions, self._logins = sessions, logins

    @guarded(exchange_failure)
    def list_authenticators(
        self, options: MfaListOptions, store_options: StoreOptions = None
    ) -> list[MfaAuthenticator]:
        """Return the authenticators that the user has enrolled.

        Args:
            options: ``{"mfa_token": …}``.
            store_options: ``{"request": …}``, for a ``domain`` that is a function.

        Raises:
            CustomTokenExchangeError: Auth0 refused: e.g. ``expired_token``; or it could not be reached.
        """
        pending = self._pending(_checked(options, "mfa_token"), store_options)
        call, issuer = self._begin(pending)
        return self._api.authenticators(issuer, pending.mfa_token, call)

    @guarded(exchange_failure)
    def challenge_authenticator(self, options: MfaChallengeOptions, store_options: StoreOptions = None) -> MfaChallenge:
        """Send a code or a push message to the user; a retry never sends it twice.

        Args:
            options: ``{"mfa_token": …, "factor_type": …, "authenticator_id": …}``. ``factor_type`` is ``otp``, ``sms``,
                ``voice``, ``email``, ``auth0`` or ``push``; any that the user has when absent. Instead of it
                ``challenge_type`` can be given as Auth0 takes it: ``otp``, ``oob``, or both separated by a space.
                ``authenticator_id`` names one of the user's authenticators; the first that fits when absent.
            store_options: ``{"request": …}``, for a ``domain`` that is a function.

        Raises:
            CustomTokenExchangeError: Auth0 refused, or it could not be reached.
        """
        given = _checked(options, "mfa_token", "factor_type", "authenticator_id", "challenge_type")
        wanted = _texts(given, "authenticator_id", "challenge_type")
        if given.get("factor_type") is not None:
            wanted["challenge_type"] = _challenge_type(given["factor_type"], wanted.get("challenge_type"))
        pending = self._pending(given, store_options)
        call, issuer = self._begin(pending)
        return self._api.challenge(issuer, pending.mfa_token, wanted, call)

    @guarded(exchange_failure)
    def verify(self, options: MfaVerifyOptions, store_options: StoreOptions = None) -> TokenExchangeResponse:
        """Finish an exchange or a refresh that wanted a second factor, without a session.

        Args:
            options: ``{"mfa_token": …}`` and one of: ``otp``, the password that the authenticator application shows;
                ``oob_code``, what `challenge_authenticator` returned, with ``binding_code``, the code that the user
                received, or alone for a push message; ``recovery_code``, after which
                ``response.extra["recovery_code"]`` is the new one, to be shown once.
            store_options: ``{"request": …}``, for a ``domain`` that is a function.

        Returns:
            The tokens that the interrupted request asked for.

        Raises:
            CustomTokenExchangeError: ``invalid_grant`` for a wrong code, ``authorization_pending`` while the user has
                not answered the push message: the ``mfa_token`` stays good. ``expired_token`` when it does not.
        """
        given = _checked(options, "mfa_token", "forwarded_for", *PROOFS)
        proof = _proof(given)
        address = self._address(given.get("forwarded_for"), store_options)
        return self._complete(self._pending(given, store_options), proof, address)[1]

    def resume(
        self,
        pending_login: str,
        proof: Mapping[str, str | None],
        store_options: StoreOptions,
        forwarded_for: ForwardedFor = None,
    ) -> LoginWithCustomTokenExchangeResult:
        """Finish a login that a second factor interrupted. See `ServerClient.resume_login`."""
        given = _proof(proof)
        pending = self._pending_logins.open(pending_login)
        if not is_domain(pending.domain, domain_of(self._exchanger.server.domain_for(store_options))):
            raise SessionError("the login was begun at another domain", code="DOMAIN_MISMATCH")
        carrier = self._sessions().manager.writable_carrier(store_options)
        issuer, response = self._complete(pending, given, self._address(forwarded_for, store_options))
        return self._logins().begin(carrier, pending.options(), issuer, response)

    def _pending(self, options: Mapping[str, Any], store_options: StoreOptions) -> PendingLogin:
        mfa_token = options.get("mfa_token")
        if is_pending_login(mfa_token):
            return self._pending_logins.open(mfa_token)
        check_token("mfa_token", mfa_token)
        domain = self._exchanger.server.domain_for(store_options)
        return PendingLogin(mfa_token=str(mfa_token), domain=domain_of(domain))

    def _address(self, forwarded_for: ForwardedFor, store_options: StoreOptions) -> str | None:
        fault = None if forwarded_for in (None, True) else address_fault(forwarded_for)
        if fault is not None:
            raise _invalid(f"forwarded_for {fault}")
        return self._exchanger.server.address_for(forwarded_for, store_options)

    def _complete(
        self, pending: PendingLogin, proof: dict[str, str], address: str | None
    ) -> tuple[Issuer, TokenExchangeResponse]:
        server = self._exchanger.server
        form = mfa_form(server.client_id, pending.mfa_token, proof)
        return self._exchanger.ask(Call(issuer_url(pending.domain), server.timeout, address), form)

    def _begin(self, pending: PendingLogin) -> tuple[Call, Issuer]:
        call = Call(issuer_url(pending.domain), self._exchanger.server.timeout)
        return call, self._exchanger.server.issuer(call)


def _checked(options: Any, *known: str) -> Mapping[str, Any]:
    try:
        given = dict(options)
    except (TypeError, ValueError):
        raise _invalid(f'options must be a dict such as {{"mfa_token": …}}, not a {type(options).__name__}') from None
    unknown = sorted(str(name) for name in given if name not in known)
    if unknown:
        raise _invalid(f"unknown options: {', '.join(unknown)}; known are {', '.join(known)}")
    return given


def _texts(options: Mapping[str, Any], *names: str) -> dict[str, str]:
    given = {name: options[name] for name in names if options.get(name) is not None}
    for name, value in given.items():
        check_text(name, value)
    return given


def _challenge_type(factor_type: object, challenge_type: str | None) -> str:
    wanted = CHALLENGE_TYPES.get(factor_type) if isinstance(factor_type, str) else None
    if wanted is None:
        raise _invalid(f"factor_type must be one of {', '.join(CHALLENGE_TYPES)}")
    if challenge_type not in (None, wanted):
        raise _invalid("factor_type and challenge_type contradict each other")
    return wanted


def _proof(options: Mapping[str, Any]) -> dict[str, str]:
    proof = _texts(options, *PROOFS)
    if len(proof.keys() - {"binding_code"}) != 1 or ("binding_code" in proof and "oob_code" not in proof):
        raise _invalid("give one of otp, recovery_code, and oob_code (with binding_code, unless it is a push message)")
    return proof


def _invalid(message: str) -> CustomTokenExchangeError:
    return CustomTokenExchangeError(message, code=Code.INVALID_OPTIONS)
