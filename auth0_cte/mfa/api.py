"""Auth0's MFA API: which authenticators a user has, and challenges to them.

Source: Auth0 Authentication API, "Multi-factor Authentication".
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypeVar

from attrs import frozen

from auth0_cte.auth_types.mfa import MfaAuthenticator, MfaChallenge
from auth0_cte.error import Auth0CTEError, CustomTokenExchangeError
from auth0_cte.error import CustomTokenExchangeErrorCode as Code
from auth0_cte.foundation.strict_json import loads_array, loads_object
from auth0_cte.oauth.client_auth.mutual_tls import MutualTls
from auth0_cte.oauth.error_response import exchange_error
from auth0_cte.transport.client import HttpRequest, UnusableReplyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from auth0_cte.foundation.deadline import Deadline
    from auth0_cte.oauth.client_auth.base import Form
    from auth0_cte.oauth.discovery import Issuer
    from auth0_cte.oauth.token_endpoint import TokenEndpoint

__all__ = ["MfaApi", "mfa_form"]

_GRANT: Final = "http://auth0.com/oauth/grant-type/mfa-"

T = TypeVar("T")


def mfa_form(client_id: str, mfa_token: str, proof: dict[str, str]) -> Form:
    """Build the parameters of the token request that completes an authentication.

    Args:
        client_id: The application's client id.
        mfa_token: The token that continues the authentication.
        proof: ``otp``, ``recovery_code``, or ``oob_code`` with ``binding_code`` or without.
    """
    kind = "otp" if "otp" in proof else "recovery-code" if "recovery_code" in proof else "oob"
    return [("grant_type", _GRANT + kind), ("client_id", client_id), ("mfa_token", mfa_token), *proof.items()]


@frozen(eq=False, repr=False)
class MfaApi:
    """How one application speaks to the MFA API.

    Args:
        endpoint: The application's way to the token endpoint, whose settings and authentication serve here, too.
    """

    endpoint: TokenEndpoint

    def authenticators(self, issuer: Issuer, mfa_token: str, deadline: Deadline) -> list[MfaAuthenticator]:
        """Ask for the user's authenticators.

        Raises:
            CustomTokenExchangeError: The server refused, or its reply is not usable.
            TransportError: No reply came.
        """
        headers = {**self.endpoint.headers, "Authorization": f"Bearer {mfa_token}"}
        request = HttpRequest(method="GET", url=f"{issuer.issuer}mfa/authenticators", headers=headers)
        form = [("mfa_token", mfa_token)]
        body = self._ask(lambda: request, form, deadline)
        return _read(lambda: [_authenticator(each) for each in loads_array(body)])

    def challenge(self, issuer: Issuer, mfa_token: str, wanted: dict[str, str], deadline: Deadline) -> MfaChallenge:
        """Have a challenge sent.

        Args:
            issuer: Whose API it is.
            mfa_token: The token that continues the authentication.
            wanted: ``challenge_type`` and ``authenticator_id``, as far as they are given.
            deadline: When to give up, at the latest.

        Raises:
            CustomTokenExchangeError: The server refused, or its reply is not usable.
            TransportError: No reply came.
        """
        form = [("client_id", self.endpoint.client_id), ("mfa_token", mfa_token), *wanted.items()]
        with_certificate = isinstance(self.endpoint.client_auth, MutualTls)
        alias = issuer.mutual_tls_alias("mfa_challenge_endpoint") if with_certificate else None
        url = alias or f"{issuer.issuer}mfa/challenge"

        def request() -> HttpRequest:
            # Authenticated anew each time: an assertion is good for one request.
            parameters, headers = list(form), {**self.endpoint.headers, "Content-Type": "application/json"}
            self.endpoint.client_auth.apply(self.endpoint.client_id, issuer, parameters, headers)
            return HttpRequest(method="POST", url=url, headers=headers, body=json.dumps(dict(parameters)))

        body = self._ask(request, form, deadline)
        return _read(lambda: _challenge(loads_object(body)))

    def _ask(self, request: Callable[[], HttpRequest], form: Form, deadline: Deadline) -> bytes:
        attempt = 0
        while True:
            attempt += 1
            try:
                return self._ask_once(request(), form, deadline)
            except Auth0CTEError as error:
                if not self.endpoint.retry.wait_before_retry(error, attempt, deadline):
                    raise

    def _ask_once(self, request: HttpRequest, form: Form, deadline: Deadline) -> bytes:
        try:
            reply = self.endpoint.http.send(request, deadline)
        except UnusableReplyError as error:
            raise _unusable(str(error)) from None
        if reply.status >= 400:
            raise exchange_error(reply, form, self.endpoint.clock())
        if reply.status != 200:
            raise _unusable(f"status {reply.status} is no success")
        return reply.body


def _read(parse: Callable[[], T]) -> T:
    try:
        return parse()
    except (ValueError, KeyError, TypeError) as error:
        raise _unusable(str(error) if type(error) is ValueError else "a member is missing or of a wrong type") from None


def _authenticator(member: Any) -> MfaAuthenticator:
    if not isinstance(member, dict):
        raise TypeError
    # Auth0's pages show the channel under both names.
    channel = member.get("oob_channel") or member.get("oob_channels")
    return MfaAuthenticator(
        id=_text(member["id"]),
        authenticator_type=_text(member["authenticator_type"]),
        active=member.get("active", True) is True,
        oob_channel=_optional(channel[0] if isinstance(channel, list) else channel),
        name=_optional(member.get("name")),
    )


def _challenge(member: dict[str, Any]) -> MfaChallenge:
    return MfaChallenge(
        challenge_type=_text(member["challenge_type"]),
        oob_code=_optional(member.get("oob_code")),
        binding_method=_optional(member.get("binding_method")),
    )


def _text(value: object) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise TypeError
    return value


def _optional(value: object) -> str | None:
    return None if value is None else _text(value)


def _unusable(fault: str) -> CustomTokenExchangeError:
    return CustomTokenExchangeError(
        f"the reply of the MFA API is not usable: {fault}", code=Code.INVALID_RESPONSE, may_have_reached_server=True
    )
