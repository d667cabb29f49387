"""Enrolling and removing second factors at the tenant (source: Auth0, Authentication API, "MFA")."""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
from typing import Any

import pytest

from auth0_cte.testing import FakeClock, LocalTenant
from tests.exchanges import claims_of
from tests.testing.test_exchange import TYPE, ask

OTP = "http://auth0.com/oauth/grant-type/mfa-otp"
OOB = "http://auth0.com/oauth/grant-type/mfa-oob"
RECOVERY = "http://auth0.com/oauth/grant-type/mfa-recovery-code"


@pytest.fixture
def tenant(clock: FakeClock) -> LocalTenant:
    made = LocalTenant(clock=clock)
    made.add_user("auth0|jane", mfa_required=True)
    made.accept(TYPE, "auth0|jane")
    return made


def totp(secret: str, now: float) -> str:
    """Compute a one-time password as an authenticator application does (RFC 6238)."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.new(key, struct.pack(">Q", int(now) // 30), hashlib.sha1).digest()
    offset = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[offset : offset + 4])[0] & 0x7FFFFFFF) % 1_000_000:06}"


def call(tenant: LocalTenant, method: str, path: str, token: str, **body: Any) -> Any:
    with tenant.session() as session:
        headers = {"Authorization": f"Bearer {token}"}
        return session.request(method, f"{tenant.issuer}mfa/{path}", json=body or None, headers=headers)


def associate(tenant: LocalTenant, token: str, **body: Any) -> Any:
    return call(tenant, "POST", "associate", token, **body)


def mfa_token(tenant: LocalTenant) -> str:
    return str(ask(tenant, scope="openid").json()["mfa_token"])


def finish(tenant: LocalTenant, token: str, grant: str, **proof: str) -> Any:
    return ask(tenant, grant_type=grant, mfa_token=token, subject_token=None, subject_token_type=None, **proof)


def test_requirements_name_what_can_be_enrolled(tenant: LocalTenant) -> None:
    """A user without a factor is told what to enroll; a tenant can offer fewer."""
    tenant.factors.enrollable = ("otp",)

    assert {"enroll": [{"type": "otp"}]} == ask(tenant).json()["mfa_requirements"]


def test_authenticator_application(tenant: LocalTenant, clock: FakeClock) -> None:
    """An authenticator application is enrolled by its secret, and confirmed by its first password."""
    token = mfa_token(tenant)
    reply = associate(tenant, token, authenticator_types=["otp"]).json()
    pending = [factor.active for factor in tenant.factors.of("auth0|jane")]
    done = finish(tenant, token, OTP, otp=totp(reply["secret"], clock()))

    assert {"authenticator_type", "secret", "barcode_uri", "recovery_codes"} == reply.keys()
    assert f"secret={reply['secret']}" in reply["barcode_uri"]
    assert ([False, False], [True, True]) == (pending, [each.active for each in tenant.factors.of("auth0|jane")])
    assert "auth0|jane" == claims_of(tenant, done.json()["id_token"])["sub"]
    assert {"challenge": [{"type": "otp"}]} == ask(tenant).json()["mfa_requirements"]


@pytest.mark.parametrize(
    ("channel", "address"),
    [
        ("sms", {"phone_number": "+491701234567"}),
        ("voice", {"phone_number": "+491701234567"}),
        ("email", {"email": "j@b.c"}),
    ],
)
def test_codes_out_of_band(tenant: LocalTenant, channel: str, address: dict[str, str]) -> None:
    """A telephone number or address is enrolled by the code that is sent there, and shown masked."""
    token = mfa_token(tenant)
    reply = associate(tenant, token, authenticator_types=["oob"], oob_channels=[channel], **address).json()
    factor = tenant.factors.of("auth0|jane")[0]
    done = finish(tenant, token, OOB, oob_code=reply["oob_code"], binding_code=factor.code())

    assert ("oob", channel, "prompt") == (reply["authenticator_type"], reply["oob_channel"], reply["binding_method"])
    assert (200, True) == (done.status_code, factor.active)
    assert (factor.name.endswith(next(iter(address.values()))[-4:]) and "X" in factor.name) or channel == "email"


def test_push(tenant: LocalTenant) -> None:
    """The Guardian application is enrolled by a QR code, and confirmed by the user's approval."""
    token = mfa_token(tenant)
    reply = associate(tenant, token, authenticator_types=["oob"], oob_channels=["auth0"]).json()
    waiting = finish(tenant, token, OOB, oob_code=reply["oob_code"])
    tenant.factors.of("auth0|jane")[0].approve()
    done = finish(tenant, token, OOB, oob_code=reply["oob_code"])

    assert ("auth0", True, False) == (reply["oob_channel"], "barcode_uri" in reply, "binding_method" in reply)
    assert ((400, "authorization_pending"), 200) == (
        (waiting.status_code, waiting.json()["error"]),
        done.status_code,
    )


def test_recovery_code_comes_with_the_first_factor(tenant: LocalTenant, clock: FakeClock) -> None:
    """The first enrolment brings a recovery code, which works later and is replaced by the next one."""
    token = mfa_token(tenant)
    reply = associate(tenant, token, authenticator_types=["otp"]).json()
    finish(tenant, token, OTP, otp=totp(reply["secret"], clock()))
    (code,) = reply["recovery_codes"]
    done = finish(tenant, mfa_token(tenant), RECOVERY, recovery_code=code)

    assert (200, True) == (done.status_code, done.json()["recovery_code"] != code)


def test_enrolled_user_needs_an_access_token(tenant: LocalTenant, clock: FakeClock) -> None:
    """With a factor, an mfa_token enrolls no further one; an access token with the scope enroll does."""
    tenant.enroll_factor("auth0|jane", "sms")
    refused = associate(tenant, mfa_token(tenant), authenticator_types=["otp"])
    tenant.users["auth0|jane"].mfa_required = False
    audience = f"{tenant.issuer}mfa/"
    access = ask(tenant, audience=audience, scope="enroll openid").json()
    reply = associate(tenant, access["access_token"], authenticator_types=["otp"]).json()
    done = finish(tenant, access["access_token"], OTP, otp=totp(reply["secret"], clock()))

    assert (403, "User is already enrolled.") == (refused.status_code, refused.json()["error_description"])
    assert (600, False, 200) == (access["expires_in"], "recovery_codes" in reply, done.status_code)
    assert ["sms", "otp"] == [factor.kind for factor in tenant.factors.active("auth0|jane")]


def test_authenticators_are_removed_by_access_token(tenant: LocalTenant) -> None:
    """DELETE needs an access token with remove:authenticators; an mfa_token will not do."""
    factor = tenant.enroll_factor("auth0|jane", "sms")
    token = mfa_token(tenant)
    tenant.users["auth0|jane"].mfa_required = False
    audience = f"{tenant.issuer}mfa/"
    wanted = "remove:authenticators read:authenticators"
    access = ask(tenant, audience=audience, scope=wanted).json()["access_token"]
    narrow = ask(tenant, audience=audience, scope="read:authenticators").json()["access_token"]
    listed = call(tenant, "GET", "authenticators", access).json()
    path = f"authenticators/{factor.id}"

    assert [factor.id] == [each["id"] for each in listed]
    assert [401, 403, 204, 404] == [
        call(tenant, "DELETE", path, each).status_code for each in (token, narrow, access, access)
    ]
    assert [] == tenant.factors.of("auth0|jane")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"authenticator_types": ["sms"]},
        {"authenticator_types": ["oob"]},
        {"authenticator_types": ["oob"], "oob_channels": ["pigeon"]},
        {"authenticator_types": ["oob"], "oob_channels": ["sms"]},
        {"authenticator_types": ["otp", "oob"]},
    ],
)
def test_bad_associations(tenant: LocalTenant, body: Any) -> None:
    """An unknown or incomplete kind of factor is a 400."""
    assert 400 == associate(tenant, mfa_token(tenant), **body).status_code


@pytest.mark.parametrize("token", ["", "unknown", "eyJhbGciOiJub25lIn0.e30."])
def test_bad_tokens(tenant: LocalTenant, token: str) -> None:
    """Without a token that is good, nothing is told and nothing enrolled."""
    replies = [associate(tenant, token, authenticator_types=["otp"]), call(tenant, "GET", "authenticators", token)]

    assert ([401, 401], []) == ([each.status_code for each in replies], tenant.factors.of("auth0|jane"))


def test_challenge_without_a_factor(tenant: LocalTenant) -> None:
    """A challenge before any enrolment is association_required."""
    with tenant.session() as session:
        body = {"mfa_token": mfa_token(tenant), "client_id": tenant.client_id, "client_secret": tenant.client_secret}
        reply = session.post(f"{tenant.issuer}mfa/challenge", json=body)

    assert (400, "association_required") == (reply.status_code, reply.json()["error"])


def test_sent_codes_live_five_minutes(tenant: LocalTenant, clock: FakeClock) -> None:
    """A code that was sent works for five minutes, and once."""
    results = []
    for wait in (299, 300):
        token = mfa_token(tenant)
        form = {"authenticator_types": ["oob"], "oob_channels": ["sms"], "phone_number": "+49170"}
        reply = associate(tenant, token, **form).json()
        factor = tenant.factors.of("auth0|jane")[-2]
        clock.advance(wait)
        proof = {"oob_code": reply["oob_code"], "binding_code": factor.code()}
        results.append(finish(tenant, token, OOB, **proof).status_code)
        for each in tenant.factors.of("auth0|jane"):
            tenant.factors.remove("auth0|jane", each.id)

    assert [200, 403] == results


def test_ten_tries_then_one_per_six_minutes(tenant: LocalTenant, clock: FakeClock) -> None:
    """After ten wrong codes an mfa_token has one more try every six minutes (source: MFA API, limits)."""
    factor = tenant.enroll_factor("auth0|jane", "otp")
    token = mfa_token(tenant)
    statuses = [finish(tenant, token, OTP, otp="000000").status_code for _ in range(11)]
    clock.advance(360)
    statuses.append(finish(tenant, token, OTP, otp=factor.code()).status_code)

    assert [403] * 10 + [429, 200] == statuses


def test_what_is_sent_can_be_shown(tenant: LocalTenant) -> None:
    """A function of the test's own sees each code that a user would get; none by an authenticator application."""
    shown: list[tuple[str, str]] = []
    tenant.factors.deliver = lambda factor: shown.append((factor.kind, factor.code()))
    token = mfa_token(tenant)
    associate(tenant, token, authenticator_types=["otp"])
    assert [] == shown
    associate(tenant, token, authenticator_types=["oob"], oob_channels=["sms"], phone_number="+4915123456789")
    (phone,) = (factor for factor in tenant.factors.of("auth0|jane") if factor.kind == "sms")
    assert [("sms", phone.code())] == shown
