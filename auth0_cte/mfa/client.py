"""Multi-factor authentication: what an exchange or a login goes on with when Auth0 answered ``mfa_required``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from auth0_cte.auth_types import LoginWithCustomTokenExchangeResult
from auth0_cte.error import CustomTokenExchangeError, SessionError
from auth0_cte.error import CustomTokenExchangeErrorCode as Code
from auth0_cte.exchange.failure import exchange_failure
from auth0_cte.exchange.options import address_fault, check_text, check_token
from auth0_cte.exchange.renewal.refresh import checked_for
from auth0_cte.foundation.boundary import guarded
from auth0_cte.foundation.validation import unknown_fault
from auth0_cte.mfa.api import mfa_form
from auth0_cte.mfa.pending_login import PendingLogin, is_pending_login
from auth0_cte.oauth.call import Call
from auth0_cte.oauth.domain import domain_of, is_domain, issuer_url
from auth0_cte.session.serialization import to_state_data

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from auth0_cte.auth_types import TokenExchangeResponse
    from auth0_cte.auth_types.exchange import ForwardedFor, StoreOptions
    from auth0_cte.auth_types.mfa import (
        MfaAuthenticator,
        MfaChallenge,
        MfaChallengeOptions,
        MfaDeleteOptions,
        MfaEnrollment,
        MfaEnrollOptions,
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
_WRONG_CODE: Final = "The code is wrong, was used, or has expired: ask the user again. The mfa_token stays good."
ADDRESSES: Final = {"sms": "phone_number", "voice": "phone_number", "email": "email"}
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
            options: ``{"mfa_token": …}``, and ``forwarded_for`` as in every step: the user's IP address, or True for
                that of the request.
            store_options: ``{"request": …}``, for a ``domain`` that is a function.

        Raises:
            CustomTokenExchangeError: Auth0 refused: e.g. ``expired_token``; or it could not be reached.
        """
        given = _checked(options, "mfa_token", "forwarded_for")
        pending = self._pending(given, store_options)
        call, issuer = self._begin(pending, given, store_options)
        return self._api.authenticators(issuer, pending.mfa_token, call)

    @guarded(exchange_failure)
    def enroll_authenticator(self, options: MfaEnrollOptions, store_options: StoreOptions = None) -> MfaEnrollment:
        """Begin to enroll a factor, for a user who has none; a retry never begins twice.

        The first right code confirms it: give it to `verify`, or to `ServerClient.resume_login` to finish the login.

        Args:
            options: ``{"mfa_token": …, "factor_type": …}``. ``factor_type`` is ``otp`` (an authenticator application),
                ``sms`` or ``voice`` (with ``phone_number``), ``email`` (with ``email``), ``auth0`` or ``push`` (Auth0's
                own application). A user who has a factor already needs an access token for ``https://{domain}/mfa/``
                with the scope ``enroll`` in place of the ``mfa_token``.
            store_options: ``{"request": …}``, for a ``domain`` that is a function.

        Raises:
            CustomTokenExchangeError: Auth0 refused, e.g. because the user has a factor; or it could not be reached.
        """
        given = _checked(options, "mfa_token", "factor_type", "phone_number", "email", "forwarded_for")
        wanted = _association(given)
        pending = self._pending(given, store_options)
        call, issuer = self._begin(pending, given, store_options)
        return self._api.associate(issuer, pending.mfa_token, wanted, call)

    @guarded(exchange_failure)
    def delete_authenticator(self, options: MfaDeleteOptions, store_options: StoreOptions = None) -> None:
        """Remove one of the user's authenticators.

        Args:
            options: ``{"access_token": …, "authenticator_id": …}``. The access token is the user's, for the audience
                ``https://{domain}/mfa/``, with the scope ``remove:authenticators``; an ``mfa_token`` does not do.
            store_options: ``{"request": …}``, for a ``domain`` that is a function.

        Raises:
            CustomTokenExchangeError: Auth0 refused, or it could not be reached.
        """
        given = _checked(options, "access_token", "authenticator_id", "forwarded_for")
        check_token("access_token", given.get("access_token"))
        check_text("authenticator_id", given.get("authenticator_id"))
        domain = domain_of(self._exchanger.server.domain_for(store_options))
        call, issuer = self._begin(PendingLogin(mfa_token="", domain=domain), given, store_options)
        self._api.remove(issuer, given["access_token"], given["authenticator_id"], call)

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
        given = _checked(options, "mfa_token", "factor_type", "authenticator_id", "challenge_type", "forwarded_for")
        wanted = _texts(given, "authenticator_id", "challenge_type")
        if given.get("factor_type") is not None:
            wanted["challenge_type"] = _challenge_type(given["factor_type"], wanted.get("challenge_type"))
        pending = self._pending(given, store_options)
        call, issuer = self._begin(pending, given, store_options)
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
        pending = self._pending_logins.open(pending_login, store_options)
        if not is_domain(pending.domain, domain_of(self._exchanger.server.domain_for(store_options))):
            raise SessionError("the login was begun at another domain", code="DOMAIN_MISMATCH")
        address = self._address(forwarded_for, store_options)
        if pending.session is not None:
            return self._resume_session(pending, given, store_options, address)
        carrier = self._sessions().manager.writable_carrier(store_options)
        issuer, response = self._complete(pending, given, address)
        result = self._logins().begin(carrier, pending.options(), issuer, response)
        self._pending_logins.forget(pending, carrier)
        return result

    def _resume_session(
        self, pending: PendingLogin, proof: dict[str, str], store_options: StoreOptions, address: str | None
    ) -> LoginWithCustomTokenExchangeResult:
        """Finish the refresh of a session: the new tokens are that session's, and nobody else's."""
        sessions = self._sessions()
        with sessions.adopting(store_options, str(pending.session)) as (before, adopt):
            response = checked_for(before, self._complete(pending, proof, address)[1])
            session = adopt(response, pending.audience, pending.scope or None)
        return LoginWithCustomTokenExchangeResult(
            session=session,
            state_data=to_state_data(session),
            authorization_details=response.extra.get("authorization_details"),
            recovery_code=response.extra.get("recovery_code"),
        )

    def _pending(self, options: Mapping[str, Any], store_options: StoreOptions) -> PendingLogin:
        mfa_token = options.get("mfa_token")
        if is_pending_login(mfa_token):
            return self._pending_logins.open(mfa_token, store_options)
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
        try:
            return self._exchanger.ask(Call(issuer_url(pending.domain), server.timeout, address), form)
        except CustomTokenExchangeError as error:
            if error.code == "invalid_grant":
                error._hint = _WRONG_CODE  # noqa: SLF001 - of our own error
            raise

    def _begin(
        self, pending: PendingLogin, given: Mapping[str, Any], store_options: StoreOptions
    ) -> tuple[Call, Issuer]:
        address = self._address(given.get("forwarded_for"), store_options)
        call = Call(issuer_url(pending.domain), self._exchanger.server.timeout, address)
        return call, self._exchanger.server.issuer(call)


def _checked(options: Any, *known: str) -> Mapping[str, Any]:
    try:
        given = dict(options)
    except (TypeError, ValueError):
        raise _invalid(f'options must be a dict such as {{"mfa_token": …}}, not a {type(options).__name__}') from None
    fault = unknown_fault(given, known)
    if fault is not None:
        raise _invalid(f"{fault}; known are {', '.join(known)}")
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


def _association(options: Mapping[str, Any]) -> dict[str, Any]:
    factor = options.get("factor_type")
    kind = _challenge_type(factor, None)
    wanted: dict[str, Any] = {"authenticator_types": [kind]}
    if kind == "oob":
        wanted["oob_channels"] = ["auth0" if factor == "push" else factor]
    addresses = _texts(options, "phone_number", "email")
    needed = ADDRESSES.get(str(factor))
    if needed is not None and needed not in addresses:
        raise _invalid(f"factor_type {factor!r} requires {needed}")
    return wanted | addresses


def _proof(options: Mapping[str, Any]) -> dict[str, str]:
    proof = _texts(options, *PROOFS)
    if len(proof.keys() - {"binding_code"}) != 1 or ("binding_code" in proof and "oob_code" not in proof):
        raise _invalid("give one of otp, recovery_code, and oob_code (with binding_code, unless it is a push message)")
    return proof


def _invalid(message: str) -> CustomTokenExchangeError:
    return CustomTokenExchangeError(message, code=Code.INVALID_OPTIONS)
