"""Auth0's MFA API: which authenticators a user has, challenges to them, enrolling and removing them.

Source: Auth0 Authentication API, "Multi-factor Authentication".
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from attrs import frozen

from auth0_cte.auth_types.mfa import MfaAuthenticator, MfaChallenge, MfaEnrollment
from auth0_cte.foundation.strict_json import loads_array, loads_object
from auth0_cte.oauth.client_auth.mutual_tls import MutualTls
from auth0_cte.oauth.token_endpoint import TokenRequest
from auth0_cte.transport.client import HttpRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auth0_cte.oauth.call import Call
    from auth0_cte.oauth.client_auth.base import Form
    from auth0_cte.oauth.issuer import Issuer
    from auth0_cte.oauth.token_endpoint import TokenEndpoint

__all__ = ["MfaApi", "mfa_form"]

SENDER: Final = "the MFA API"

_GRANT: Final = "http://auth0.com/oauth/grant-type/mfa-"


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
        endpoint: The application's way to the token endpoint, with its settings, authentication and retries.
    """

    endpoint: TokenEndpoint

    def authenticators(self, issuer: Issuer, mfa_token: str, call: Call) -> list[MfaAuthenticator]:
        """Ask for the user's authenticators.

        Raises:
            CustomTokenExchangeError: The server refused, or its reply is not usable.
            TransportError: No reply came.
        """
        url, form = issuer.url("mfa/authenticators"), [("mfa_token", mfa_token)]
        asked = HttpRequest(method="GET", url=url, headers=self._headers(call, mfa_token))
        request = TokenRequest(issuer=issuer, url=url, form=form, call=call)
        return self.endpoint.ask(request, lambda _: (asked, form), _authenticators, sender=SENDER)

    def associate(self, issuer: Issuer, mfa_token: str, wanted: Mapping[str, Any], call: Call) -> MfaEnrollment:
        """Begin to enroll a factor.

        Args:
            issuer: Whose API it is.
            mfa_token: The token that continues the authentication, or an access token of the user's for the MFA API.
            wanted: ``authenticator_types``, ``oob_channels`` and the address, as far as they are given.
            call: The call, with its deadline.

        Raises:
            CustomTokenExchangeError: The server refused, or its reply is not usable.
            TransportError: No reply came.
        """
        url, form = issuer.url("mfa/associate"), [("mfa_token", mfa_token)]
        headers = {**self._headers(call, mfa_token), "Content-Type": "application/json"}
        asked = HttpRequest(method="POST", url=url, headers=headers, body=json.dumps(wanted))
        request = TokenRequest(issuer=issuer, url=url, form=form, call=call)
        return self.endpoint.ask(request, lambda _: (asked, form), _enrollment, sender=SENDER)

    def remove(self, issuer: Issuer, access_token: str, authenticator_id: str, call: Call) -> None:
        """Remove one of the user's authenticators.

        Raises:
            CustomTokenExchangeError: The server refused.
            TransportError: No reply came.
        """
        url, form = issuer.url(f"mfa/authenticators/{quote(authenticator_id, safe='')}"), [("token", access_token)]
        asked = HttpRequest(method="DELETE", url=url, headers=self._headers(call, access_token))
        request = TokenRequest(issuer=issuer, url=url, form=form, call=call)
        self.endpoint.ask(request, lambda _: (asked, form), lambda _: None, sender=SENDER)

    def _headers(self, call: Call, token: str | None = None) -> dict[str, str]:
        headers = dict(self.endpoint.headers)
        if call.forwarded_for is not None:
            headers["auth0-forwarded-for"] = call.forwarded_for
        return headers if token is None else {**headers, "Authorization": f"Bearer {token}"}

    def challenge(self, issuer: Issuer, mfa_token: str, wanted: dict[str, str], call: Call) -> MfaChallenge:
        """Request a challenge.

        Args:
            issuer: Whose API it is.
            mfa_token: The token that continues the authentication.
            wanted: ``challenge_type`` and ``authenticator_id``, as far as they are given.
            call: The call, with its deadline.

        Raises:
            CustomTokenExchangeError: The server refused, or its reply is not usable.
            TransportError: No reply came.
        """
        with_certificate = isinstance(self.endpoint.client_auth, MutualTls)
        alias = issuer.mutual_tls_alias("mfa_challenge_endpoint") if with_certificate else None
        form = [("client_id", self.endpoint.client_id), ("mfa_token", mfa_token), *wanted.items()]
        url = alias or issuer.url("mfa/challenge")
        request = TokenRequest(issuer=issuer, url=url, form=form, call=call)
        return self.endpoint.ask(request, self._as_json, _challenge, sender=SENDER)

    def _as_json(self, request: TokenRequest) -> tuple[HttpRequest, Form]:
        # Authenticated anew for each attempt: an assertion is good for one request.
        form, headers = list(request.form), {**self._headers(request.call), "Content-Type": "application/json"}
        self.endpoint.authenticate(request.issuer, form, headers)
        return HttpRequest(method="POST", url=request.url, headers=headers, body=json.dumps(dict(form))), form


def _authenticators(body: bytes) -> list[MfaAuthenticator]:
    return [_authenticator(each) for each in loads_array(body)]


def _authenticator(member: Any) -> MfaAuthenticator:
    if not isinstance(member, dict):
        raise ValueError("an authenticator must be an object")  # noqa: TRY004 - it is bad data
    # Auth0's pages show the channel under both names.
    channel = member.get("oob_channel") or member.get("oob_channels") or None
    return MfaAuthenticator(
        id=_text(member, "id"),
        authenticator_type=_text(member, "authenticator_type"),
        active=member.get("active", True) is True,
        oob_channel=_optional({"oob_channel": channel[0] if isinstance(channel, list) else channel}, "oob_channel"),
        name=_optional(member, "name"),
    )


def _challenge(body: bytes) -> MfaChallenge:
    member = loads_object(body)
    return MfaChallenge(
        challenge_type=_text(member, "challenge_type"),
        oob_code=_optional(member, "oob_code"),
        binding_method=_optional(member, "binding_method"),
    )


def _enrollment(body: bytes) -> MfaEnrollment:
    member = loads_object(body)
    codes = member.get("recovery_codes") or []
    if not isinstance(codes, list) or not all(isinstance(each, str) for each in codes):
        raise ValueError("recovery_codes must be a list of texts")
    names = ("secret", "barcode_uri", "oob_channel", "oob_code", "binding_method", "id")
    return MfaEnrollment(
        authenticator_type=_text(member, "authenticator_type"),
        recovery_codes=tuple(codes),
        **{name: _optional(member, name) for name in names},
    )


def _text(member: dict[str, Any], name: str) -> str:
    value = member.get(name)
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError(f"{name} must be text")
    return value


def _optional(member: dict[str, Any], name: str) -> str | None:
    return None if member.get(name) is None else _text(member, name)
