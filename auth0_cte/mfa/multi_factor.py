"""Multi-factor authentication: what an exchange or a login goes on with when Auth0 answered ``mfa_required``."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from attrs import evolve

from auth0_cte.auth_types import LoginWithCustomTokenExchangeOptions
from auth0_cte.error import CustomTokenExchangeError, MfaRequiredError, SessionError, exchange_failure
from auth0_cte.error import CustomTokenExchangeErrorCode as Code
from auth0_cte.exchange.exchanger import ClientSteps, StoreOptions, guarded, login_result
from auth0_cte.exchange.options import check_text, check_token
from auth0_cte.foundation.deadline import Deadline
from auth0_cte.oauth.domain import domain_of, is_domain, issuer_url, resolve_domain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from auth0_cte.auth_types import (
        CustomTokenExchangeOptions,
        LoginWithCustomTokenExchangeResult,
        TokenExchangeResponse,
    )
    from auth0_cte.auth_types.mfa import MfaAuthenticator, MfaChallenge
    from auth0_cte.mfa.client import MfaApi
    from auth0_cte.mfa.pending_login import PendingLogin, PendingLogins
    from auth0_cte.oauth.discovery import Issuer

__all__ = ["MultiFactor"]


class MultiFactor(ClientSteps):
    """The methods of `ServerClient` that finish a multi-factor authentication.

    ``mfa_token`` is `MfaRequiredError.mfa_token`, or `MfaRequiredError.pending_login`, which may go through the
    browser.
    """

    @guarded(exchange_failure)
    def list_mfa_authenticators(self, mfa_token: str, store_options: StoreOptions = None) -> list[MfaAuthenticator]:
        """Return the authenticators that the user has enrolled.

        Args:
            mfa_token: What the `MfaRequiredError` brought.
            store_options: ``{"request": …}``, for a ``domain`` that is a function.

        Raises:
            CustomTokenExchangeError: Auth0 refused: ``expired_token``, say; or it could not be reached.
        """
        pending = self._pending(mfa_token, store_options)
        deadline = Deadline(self._timeout)
        return self._mfa_api.authenticators(self._issuer_of(pending, deadline), pending.mfa_token, deadline)

    @guarded(exchange_failure)
    def challenge_mfa(
        self,
        mfa_token: str,
        *,
        authenticator_id: str | None = None,
        challenge_type: str | None = None,
        store_options: StoreOptions = None,
    ) -> MfaChallenge:
        """Have a code or a push message sent to the user; never sent twice by a retry.

        Args:
            mfa_token: What the `MfaRequiredError` brought.
            authenticator_id: Which of the user's authenticators; the first that fits when None.
            challenge_type: ``otp``, ``oob``, or both separated by a space; any when None.
            store_options: ``{"request": …}``, for a ``domain`` that is a function.

        Raises:
            CustomTokenExchangeError: Auth0 refused, or it could not be reached.
        """
        wanted = _given(authenticator_id=authenticator_id, challenge_type=challenge_type)
        pending = self._pending(mfa_token, store_options)
        deadline = Deadline(self._timeout)
        return self._mfa_api.challenge(self._issuer_of(pending, deadline), pending.mfa_token, wanted, deadline)

    @guarded(exchange_failure)
    def complete_mfa(
        self,
        mfa_token: str,
        *,
        otp: str | None = None,
        oob_code: str | None = None,
        binding_code: str | None = None,
        recovery_code: str | None = None,
        store_options: StoreOptions = None,
    ) -> TokenExchangeResponse:
        """Finish an exchange or a refresh that wanted a second factor, without a session.

        Args:
            mfa_token: What the `MfaRequiredError` brought.
            otp: The password that the authenticator application shows.
            oob_code: The challenge that `challenge_mfa` made; alone for a push message.
            binding_code: With ``oob_code``: the code that the user received.
            recovery_code: The recovery code; ``response.extra["recovery_code"]`` is the new one, to be shown once.
            store_options: ``{"request": …}``, for a ``domain`` that is a function.

        Returns:
            The tokens that the interrupted request asked for.

        Raises:
            CustomTokenExchangeError: ``invalid_grant`` for a wrong code, ``authorization_pending`` while the user has
                not answered the push message: the ``mfa_token`` stays good. ``expired_token`` when it does not.
        """
        proof = _proof(otp=otp, oob_code=oob_code, binding_code=binding_code, recovery_code=recovery_code)
        return self._complete(self._pending(mfa_token, store_options), proof)[1]

    @guarded(exchange_failure)
    def resume_login(
        self,
        pending_login: str,
        store_options: StoreOptions = None,
        *,
        otp: str | None = None,
        oob_code: str | None = None,
        binding_code: str | None = None,
        recovery_code: str | None = None,
    ) -> LoginWithCustomTokenExchangeResult:
        """Go on with a login that a second factor interrupted, to the session that it would have begun.

        The ID token, the organization that the login asked for and the upstream session's end are checked as
        `login_with_custom_token_exchange` checks them. A session that could not be written is refused before the code
        is used up.

        Args:
            pending_login: `MfaRequiredError.pending_login` of the login.
            store_options: ``{"request": …, "response": …}`` of Flask, Django or Starlette.
            otp: As for `complete_mfa`.
            oob_code: As for `complete_mfa`.
            binding_code: As for `complete_mfa`.
            recovery_code: As for `complete_mfa`; the result's ``recovery_code`` is the new one.

        Raises:
            CustomTokenExchangeError: As for `complete_mfa`; ``INVALID_PENDING_LOGIN`` when the login was not begun
                here, or more than ten minutes ago.
            SessionError: As for a login; ``DOMAIN_MISMATCH`` when the request belongs to another domain.
            IdTokenError: There is no ID token, or it failed verification.
            OrganizationError: The user does not belong to the organization that was asked for.
        """
        proof = _proof(otp=otp, oob_code=oob_code, binding_code=binding_code, recovery_code=recovery_code)
        pending = self._pending_logins.open(pending_login)
        if not is_domain(pending.domain, domain_of(resolve_domain(self._domain, store_options))):
            raise SessionError("the login was begun at another domain", code="DOMAIN_MISMATCH")
        carrier = self._sessions.writable_carrier(store_options)
        issuer, response = self._complete(pending, proof)
        session = self._new_session(_options(pending), issuer, response)
        self._sessions.start(carrier, session, issuer.issuer)
        return login_result(session, response)

    @contextmanager
    def _resumable(self, options: CustomTokenExchangeOptions) -> Iterator[None]:
        """Give an `MfaRequiredError` what a login is resumed with."""
        try:
            yield
        except MfaRequiredError as error:
            if error.mfa_token is not None and error.domain is not None:
                from auth0_cte.mfa.pending_login import PendingLogin

                pending = PendingLogin(
                    mfa_token=error.mfa_token,
                    domain=error.domain,
                    organization=options.organization,
                    audience=options.audience,
                    scope=str(options.scope or ""),
                )
                error.pending_login = self._pending_logins.seal(pending)
            raise

    def _pending(self, mfa_token: str, store_options: StoreOptions) -> PendingLogin:
        from auth0_cte.mfa.pending_login import PendingLogin, is_pending_login

        if is_pending_login(mfa_token):
            return self._pending_logins.open(mfa_token)
        check_token("mfa_token", mfa_token)
        return PendingLogin(mfa_token=mfa_token, domain=domain_of(resolve_domain(self._domain, store_options)))

    def _complete(self, pending: PendingLogin, proof: dict[str, str]) -> tuple[Issuer, TokenExchangeResponse]:
        from auth0_cte.mfa.client import mfa_form

        deadline = Deadline(self._timeout)
        issuer = self._issuer_of(pending, deadline)
        form = mfa_form(self._client_id, pending.mfa_token, proof)
        reply = self._token_endpoint.request_tokens(issuer, form, deadline)
        return issuer, self._to_response(reply, issuer, deadline)

    def _issuer_of(self, pending: PendingLogin, deadline: Deadline) -> Issuer:
        return self._discovery.issuer(issuer_url(pending.domain), deadline)

    @cached_property
    def _mfa_api(self) -> MfaApi:
        # Here and not above: most logins want no second factor.
        from auth0_cte.mfa.client import MfaApi

        return MfaApi(self._token_endpoint)

    @cached_property
    def _pending_logins(self) -> PendingLogins:
        from auth0_cte.mfa.pending_login import PendingLogins

        return PendingLogins(self._secrets, self._clock)


def _options(pending: PendingLogin) -> LoginWithCustomTokenExchangeOptions:
    # What the session is made of; the subject token was the interrupted request's, and is spent.
    options = LoginWithCustomTokenExchangeOptions(subject_token="", subject_token_type="")
    return evolve(options, organization=pending.organization, audience=pending.audience, scope=pending.scope)


def _given(**values: str | None) -> dict[str, str]:
    given = {name: value for name, value in values.items() if value is not None}
    for name, value in given.items():
        check_text(name, value)
    return given


def _proof(**values: str | None) -> dict[str, str]:
    proof = _given(**values)
    if len(proof.keys() - {"binding_code"}) != 1 or ("binding_code" in proof and "oob_code" not in proof):
        raise CustomTokenExchangeError(
            "give one of otp, recovery_code, and oob_code (with binding_code, unless it is a push message)",
            code=Code.INVALID_OPTIONS,
        )
    return proof
