"""A user without any factor: from the interrupted login by enrolling one to the session; and factors removed."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from auth0_cte import (
    ConfigurationError,
    CustomTokenExchangeError,
    MemoryStateStore,
    MfaEnrollment,
    MfaRequiredError,
    ServerClient,
)
from auth0_cte.testing import FakeClock, LocalTenant
from tests.exchanges import LEGACY_LOGIN, SESSION_SECRET, make_legacy_tenant
from tests.testing.test_mfa_enrolment import totp


@pytest.fixture
def tenant(clock: FakeClock) -> LocalTenant:
    tenant = make_legacy_tenant(clock=clock, mfa_required=True)
    tenant.add_application(tenant.client_id, tenant.client_secret, trust_forwarded_for=True)
    return tenant


@pytest.fixture
def client(tenant: LocalTenant, clock: FakeClock, new_client: type[ServerClient]) -> ServerClient:
    return new_client(
        *(tenant.domain, tenant.client_id, tenant.client_secret),
        session=tenant.session(),
        secret=SESSION_SECRET,
        state_store=MemoryStateStore(),
        clock=clock,
    )


def interrupted(client: ServerClient) -> MfaRequiredError:
    with pytest.raises(MfaRequiredError) as caught:
        client.login_with_custom_token_exchange(LEGACY_LOGIN, {"cookies": {}})
    return caught.value


def test_an_authenticator_application(client: ServerClient, tenant: LocalTenant, clock: FakeClock) -> None:
    """The login of a user without a factor is finished by enrolling one and typing its first password."""
    error = interrupted(client)
    assert error.mfa_requirements is not None
    assert "enroll" in error.mfa_requirements
    begun = client.mfa.enroll_authenticator({"mfa_token": error.pending_login or "", "factor_type": "otp"})
    assert ("otp", True) == (begun.authenticator_type, str(begun.barcode_uri).startswith("otpauth://totp/"))
    assert 1 == len(begun.recovery_codes)
    jar: dict[str, str] = {}
    result = client.resume_login(error.pending_login or "", {"cookies": jar}, otp=totp(str(begun.secret), clock()))
    assert "auth0|ada" == result.user["sub"]
    user = client.get_user({"cookies": jar})
    assert user is not None
    assert "auth0|ada" == user["sub"]


@pytest.mark.parametrize(
    ("factor", "address", "channel"),
    [
        ("sms", {"phone_number": "+491701234567"}, "sms"),
        ("voice", {"phone_number": "+491701234567"}, "voice"),
        ("email", {"email": "ada@example.com"}, "email"),
    ],
)
def test_codes_that_are_sent(
    factor: str, address: dict[str, str], channel: str, client: ServerClient, tenant: LocalTenant
) -> None:
    """The code that arrives there confirms the factor and finishes the login."""
    error = interrupted(client)
    options: Any = {"mfa_token": error.pending_login, "factor_type": factor, **address}
    begun = client.mfa.enroll_authenticator(options)
    assert ("oob", channel, "prompt") == (begun.authenticator_type, begun.oob_channel, begun.binding_method)
    code = tenant.factors.of("auth0|ada")[0].code()
    result = client.resume_login(error.pending_login or "", {"cookies": {}}, oob_code=begun.oob_code, binding_code=code)
    assert "auth0|ada" == result.user["sub"]


@pytest.mark.parametrize("name", ["push", "auth0"])
def test_push_messages(name: str, client: ServerClient, tenant: LocalTenant) -> None:
    """Auth0's application is enrolled by a QR code, and confirmed by the user's approval."""
    error = interrupted(client)
    begun = client.mfa.enroll_authenticator({"mfa_token": error.mfa_token or "", "factor_type": name})
    assert ("auth0", None) == (begun.oob_channel, begun.binding_method)
    with pytest.raises(CustomTokenExchangeError) as waiting:
        client.mfa.verify({"mfa_token": error.mfa_token or "", "oob_code": begun.oob_code})
    assert "authorization_pending" == waiting.value.code
    tenant.factors.of("auth0|ada")[0].approve()
    assert client.mfa.verify({"mfa_token": error.mfa_token or "", "oob_code": begun.oob_code}).access_token


def test_a_wrong_code_leaves_another_try(client: ServerClient, tenant: LocalTenant, clock: FakeClock) -> None:
    """It is told by its code and a hint that is true of it, and the login can still be finished."""
    error = interrupted(client)
    begun = client.mfa.enroll_authenticator({"mfa_token": error.pending_login or "", "factor_type": "otp"})
    with pytest.raises(CustomTokenExchangeError) as caught:
        client.resume_login(error.pending_login or "", {"cookies": {}}, otp="000000")
    assert "invalid_grant" == caught.value.code
    assert "code is wrong" in caught.value.hint
    otp = totp(str(begun.secret), clock())
    assert client.resume_login(error.pending_login or "", {"cookies": {}}, otp=otp).user


def test_a_login_that_waited_too_long(client: ServerClient, clock: FakeClock) -> None:
    """After ten minutes enrolment is refused, by a code of its own."""
    error = interrupted(client)
    clock.advance(601)
    for token, code in ((error.pending_login, "INVALID_PENDING_LOGIN"), (error.mfa_token, "expired_token")):
        with pytest.raises(CustomTokenExchangeError) as caught:
            client.mfa.enroll_authenticator({"mfa_token": token or "", "factor_type": "otp"})
        assert code == caught.value.code


def test_a_login_is_finished_once(client: ServerClient, clock: FakeClock) -> None:
    """The same handle does not begin a second session."""
    error = interrupted(client)
    begun = client.mfa.enroll_authenticator({"mfa_token": error.pending_login or "", "factor_type": "otp"})
    client.resume_login(error.pending_login or "", {"cookies": {}}, otp=totp(str(begun.secret), clock()))
    clock.advance(30)
    with pytest.raises(CustomTokenExchangeError):
        client.resume_login(error.pending_login or "", {"cookies": {}}, otp=totp(str(begun.secret), clock()))


def test_nothing_of_an_enrolment_shows(client: ServerClient) -> None:
    """Secret, QR code, codes and recovery codes are in no repr."""
    error = interrupted(client)
    begun = client.mfa.enroll_authenticator({"mfa_token": error.mfa_token or "", "factor_type": "otp"})
    shown = repr(begun) + str(begun)
    assert [] == [each for each in (begun.secret, begun.barcode_uri, *begun.recovery_codes) if str(each) in shown]


def test_the_qr_code_is_an_svg_image(client: ServerClient) -> None:
    """It is one element for the page, which scales; without a code to show the error says so."""
    error = interrupted(client)
    begun = client.mfa.enroll_authenticator({"mfa_token": error.mfa_token or "", "factor_type": "otp"})
    svg = ET.fromstring(begun.qr_svg())
    assert svg.tag.endswith("svg")
    assert "viewBox" in svg.attrib
    with pytest.raises(ConfigurationError, match="no QR code"):
        MfaEnrollment(authenticator_type="oob", oob_channel="sms").qr_svg()


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"factor_type": "otp"}, "mfa_token"),
        ({"mfa_token": "t"}, "factor_type must be one of"),
        ({"mfa_token": "t", "factor_type": "fax"}, "factor_type must be one of"),
        ({"mfa_token": "t", "factor_type": "sms"}, "requires phone_number"),
        ({"mfa_token": "t", "factor_type": "voice", "email": "a@b.c"}, "requires phone_number"),
        ({"mfa_token": "t", "factor_type": "email"}, "requires email"),
        ({"mfa_token": "t", "factor_type": "sms", "phone": "1"}, "unknown options: phone"),
        ({"mfa_token": "t", "factor_type": "otp", "forwarded_for": "x"}, "forwarded_for must be"),
    ],
    ids=str,
)
def test_bad_options_send_nothing(options: Any, fault: str, client: ServerClient, tenant: LocalTenant) -> None:
    """The message names what is wrong."""
    with pytest.raises(CustomTokenExchangeError, match=fault):
        client.mfa.enroll_authenticator(options)
    assert [] == [request for request in tenant.requests if request.path.startswith("/mfa/")]


def test_the_users_address_goes_with_every_step(client: ServerClient, tenant: LocalTenant, clock: FakeClock) -> None:
    """Listing, enrolling, challenging and verifying tell Auth0 the address that is given."""
    error = interrupted(client)
    more: dict[str, Any] = {"mfa_token": error.mfa_token, "forwarded_for": "192.0.2.7"}
    mfa: Any = client.mfa
    begun = mfa.enroll_authenticator({**more, "factor_type": "otp"})
    mfa.verify({**more, "otp": totp(str(begun.secret), clock())})
    more["mfa_token"] = interrupted(client).mfa_token
    mfa.list_authenticators(more)
    mfa.challenge_authenticator({**more, "factor_type": "otp"})
    seen = {
        request.path: request.headers.get("auth0-forwarded-for")
        for request in tenant.requests
        if request.path.startswith("/mfa/")
    }
    assert dict.fromkeys(("/mfa/associate", "/mfa/authenticators", "/mfa/challenge"), "192.0.2.7") == seen
    assert "192.0.2.7" in [request.headers.get("auth0-forwarded-for") for request in tenant.token_requests]


def test_a_factor_is_removed(client: ServerClient, tenant: LocalTenant, clock: FakeClock) -> None:
    """With an access token of the MFA API; what does not exist is told."""
    factor = tenant.enroll_factor("auth0|ada", "otp")
    error = interrupted(client)
    tenant.add_api(f"{tenant.issuer}mfa/", scopes=["remove:authenticators"])
    asked = {**LEGACY_LOGIN, "audience": f"{tenant.issuer}mfa/", "scope": "remove:authenticators"}
    with pytest.raises(MfaRequiredError) as caught:
        client.custom_token_exchange(asked)
    token = client.mfa.verify({"mfa_token": caught.value.mfa_token or "", "otp": factor.code()}).access_token
    client.mfa.delete_authenticator({"access_token": token, "authenticator_id": factor.id})
    assert [] == tenant.factors.of("auth0|ada")
    with pytest.raises(CustomTokenExchangeError) as missing:
        client.mfa.delete_authenticator({"access_token": token, "authenticator_id": factor.id})
    assert 404 == missing.value.status_code
    with pytest.raises(CustomTokenExchangeError):
        client.mfa.delete_authenticator({"access_token": error.mfa_token or "", "authenticator_id": factor.id})


def test_what_cannot_be_an_enrolment_is_refused(client: ServerClient, tenant: LocalTenant) -> None:
    """A reply of another shape is an `INVALID_RESPONSE`."""
    error = interrupted(client)
    bodies: list[Any] = [
        {"secret": "x"},
        {"authenticator_type": "otp", "recovery_codes": "x"},
        [],
        {"authenticator_type": 5},
    ]
    for body in bodies:
        tenant.fail_next(200, body=json.dumps(body), path="/mfa/associate")
        with pytest.raises(CustomTokenExchangeError) as caught:
            client.mfa.enroll_authenticator({"mfa_token": error.mfa_token or "", "factor_type": "otp"})
        assert "INVALID_RESPONSE" == caught.value.code
