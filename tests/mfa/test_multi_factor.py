"""Multi-factor authentication: authenticators, challenges, and how an exchange or a login goes on."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import responses

from auth0_cte import (
    CustomTokenExchangeError,
    LoginWithCustomTokenExchangeOptions,
    MemoryStateStore,
    MfaRequiredError,
    OrganizationError,
    ServerClient,
    SessionError,
)
from auth0_cte.mfa.pending_login import PendingLogin
from auth0_cte.testing import FakeClock, LocalTenant

SECRET = "a secret of thirty-two bytes or more, for tests alone"
AUDIENCE = "https://api.example.com"
OTP = "http://auth0.com/oauth/grant-type/mfa-otp"


@pytest.fixture
def tenant(clock: FakeClock) -> Iterator[LocalTenant]:
    with LocalTenant(clock=clock) as tenant:
        tenant.add_user("auth0|eve", name="Eve", email="eve@example.com")
        tenant.add_api(AUDIENCE, scopes=["read:data"])

        @tenant.action("urn:acme:legacy")
        def exchange(event: Any, api: Any) -> None:
            api.authentication.set_user_by_id(event.transaction.subject_token)

        yield tenant


@pytest.fixture
def client(tenant: LocalTenant) -> ServerClient:
    return tenant.client(secret=SECRET)


def options(**more: Any) -> LoginWithCustomTokenExchangeOptions:
    return LoginWithCustomTokenExchangeOptions(
        **{"subject_token": "auth0|eve", "subject_token_type": "urn:acme:legacy", "audience": AUDIENCE, **more}
    )


def interrupted(client: ServerClient, jar: dict[str, str] | None = None, **more: Any) -> MfaRequiredError:
    """Begin a login, or without a jar an exchange, that a second factor interrupts."""
    with pytest.raises(MfaRequiredError) as caught:
        if jar is None:
            client.custom_token_exchange(options(scope="openid read:data", **more))
        else:
            client.login_with_custom_token_exchange(options(**more), {"cookies": jar})
    return caught.value


def subject_tokens(tenant: LocalTenant) -> int:
    return sum("subject_token" in request.form for request in tenant.requests)


def test_an_exchange_goes_on_with_a_one_time_password(tenant: LocalTenant, client: ServerClient) -> None:
    """The tokens are those that the interrupted exchange asked for; the subject token was sent once."""
    factor = tenant.enroll_factor("auth0|eve", "otp")
    error = interrupted(client)
    assert {"challenge": [{"type": "otp"}]} == error.mfa_requirements
    response = client.complete_mfa(str(error.mfa_token), otp=factor.code())
    assert response.claims is not None
    assert ("auth0|eve", None) == (response.claims["sub"], response.scope)
    assert 1 == subject_tokens(tenant)


@pytest.mark.parametrize("kind", ["sms", "voice", "email"])
def test_a_code_is_sent_and_typed(tenant: LocalTenant, client: ServerClient, kind: Any) -> None:
    """The authenticators are listed, one is challenged, and the code that it received finishes."""
    tenant.enroll_factor("auth0|eve", "recovery-code")
    factor = tenant.enroll_factor("auth0|eve", kind, name="*** 42")
    mfa_token = str(interrupted(client).mfa_token)
    listed = client.list_mfa_authenticators(mfa_token)
    assert ["recovery-code", "oob"] == [each.authenticator_type for each in listed]
    assert (factor.id, kind, "*** 42", True) == (listed[1].id, listed[1].oob_channel, listed[1].name, listed[1].active)
    challenge = client.challenge_mfa(mfa_token, authenticator_id=listed[1].id, challenge_type="oob")
    assert ("oob", "prompt") == (challenge.challenge_type, challenge.binding_method)
    response = client.complete_mfa(mfa_token, oob_code=challenge.oob_code, binding_code=factor.code())
    assert response.access_token


def test_a_push_message_is_polled_for(tenant: LocalTenant, client: ServerClient) -> None:
    """While the user has not answered the code says so and the token stays good; then the exchange goes on."""
    factor = tenant.enroll_factor("auth0|eve", "push")
    mfa_token = str(interrupted(client).mfa_token)
    challenge = client.challenge_mfa(mfa_token)
    assert ("oob", None) == (challenge.challenge_type, challenge.binding_method)
    with pytest.raises(CustomTokenExchangeError) as caught:
        client.complete_mfa(mfa_token, oob_code=challenge.oob_code)
    assert "authorization_pending" == caught.value.code
    assert "call again" in caught.value.hint
    factor.approve()
    assert client.complete_mfa(mfa_token, oob_code=challenge.oob_code).access_token


def test_a_declined_push_message(tenant: LocalTenant, client: ServerClient) -> None:
    """A user who declines gets no tokens."""
    factor = tenant.enroll_factor("auth0|eve", "push")
    mfa_token = str(interrupted(client).mfa_token)
    challenge = client.challenge_mfa(mfa_token)
    factor.deny()
    with pytest.raises(CustomTokenExchangeError) as caught:
        client.complete_mfa(mfa_token, oob_code=challenge.oob_code)
    assert "invalid_grant" == caught.value.code


def test_a_recovery_code_is_replaced(tenant: LocalTenant, client: ServerClient) -> None:
    """A recovery code works once; the reply brings the next."""
    factor = tenant.enroll_factor("auth0|eve", "recovery-code")
    first = factor.code()
    response = client.complete_mfa(str(interrupted(client).mfa_token), recovery_code=first)
    assert (factor.code(), True) == (response.extra["recovery_code"], factor.code() != first)
    with pytest.raises(CustomTokenExchangeError) as caught:
        client.complete_mfa(str(interrupted(client).mfa_token), recovery_code=first)
    assert "invalid_grant" == caught.value.code


def test_a_wrong_code_can_be_corrected(tenant: LocalTenant, client: ServerClient) -> None:
    """A wrong code does not use up the mfa_token, and is sent once."""
    factor = tenant.enroll_factor("auth0|eve", "otp")
    mfa_token = str(interrupted(client).mfa_token)
    wrong = "000000" if factor.code() != "000000" else "000001"
    with pytest.raises(CustomTokenExchangeError) as caught:
        client.complete_mfa(mfa_token, otp=wrong)
    assert ("invalid_grant", 403, False) == (caught.value.code, caught.value.status_code, caught.value.is_retryable)
    assert 1 == sum(request.form.get("otp") == wrong for request in tenant.requests)
    assert client.complete_mfa(mfa_token, otp=factor.code()).access_token


def test_too_late(tenant: LocalTenant, client: ServerClient, clock: FakeClock) -> None:
    """After ten minutes the code is expired_token, and the hint says to begin again."""
    factor = tenant.enroll_factor("auth0|eve", "otp")
    mfa_token = str(interrupted(client).mfa_token)
    clock.advance(601)
    with pytest.raises(CustomTokenExchangeError) as caught:
        client.complete_mfa(mfa_token, otp=factor.code())
    assert "expired_token" == caught.value.code
    assert "begin the login again" in caught.value.hint


def test_a_login_is_resumed_into_its_session(tenant: LocalTenant, client: ServerClient) -> None:
    """The session is the one that the login would have begun; the subject token is not sent again."""
    factor = tenant.enroll_factor("auth0|eve", "otp")
    jar: dict[str, str] = {}
    error = interrupted(client, jar, scope="offline_access read:data")
    assert {} == jar
    result = client.resume_login(str(error.pending_login), {"cookies": jar}, otp=factor.code())
    assert "auth0|eve" == result.state_data["user"]["sub"]
    assert (AUDIENCE, "openid offline_access read:data") == (
        result.session.default_audience,
        result.session.default_scope,
    )
    user = client.get_user({"cookies": jar})
    assert "auth0|eve" == (user or {}).get("sub")
    assert client.get_access_token({"cookies": jar})
    assert result.session.refresh_token
    assert 1 == subject_tokens(tenant)


def test_a_pending_login_serves_where_the_mfa_token_does(tenant: LocalTenant, client: ServerClient) -> None:
    """A web application needs to keep nothing but the sealed login between its requests."""
    factor = tenant.enroll_factor("auth0|eve", "email")
    pending = str(interrupted(client, {}).pending_login)
    (listed,) = client.list_mfa_authenticators(pending)
    challenge = client.challenge_mfa(pending, authenticator_id=listed.id)
    jar: dict[str, str] = {}
    client.resume_login(pending, {"cookies": jar}, oob_code=challenge.oob_code, binding_code=factor.code())
    assert jar


def test_a_resumed_login_shows_the_new_recovery_code(tenant: LocalTenant, client: ServerClient) -> None:
    """The new recovery code is on the result, and in no repr."""
    factor = tenant.enroll_factor("auth0|eve", "recovery-code")
    pending = str(interrupted(client, {}).pending_login)
    result = client.resume_login(pending, {"cookies": {}}, recovery_code=factor.code())
    assert factor.code() == result.recovery_code
    assert factor.code() not in repr(result)


def test_the_organization_of_the_login_is_checked(tenant: LocalTenant) -> None:
    """A login for an organization is not resumed into a session without it."""
    tenant.add_organization("org_acme", name="acme", members=["auth0|eve"])
    factor = tenant.enroll_factor("auth0|eve", "otp")
    client = tenant.client(secret=SECRET)
    error = interrupted(client, {}, organization="org_acme")
    tenant.sessions.id_token_claims = lambda _user_id, _application: {"org_id": "org_other"}
    jar: dict[str, str] = {}
    with pytest.raises(OrganizationError):
        client.resume_login(str(error.pending_login), {"cookies": jar}, otp=factor.code())
    assert {} == jar


def test_the_upstream_session_is_a_ceiling(tenant: LocalTenant, client: ServerClient, clock: FakeClock) -> None:
    """A login that is resumed after the upstream session's end begins no session."""
    tenant.add_user("auth0|eve", session_expiry=int(clock()) + 60)
    factor = tenant.enroll_factor("auth0|eve", "otp")
    error = interrupted(client, {})
    clock.advance(120)
    jar: dict[str, str] = {}
    with pytest.raises(SessionError):
        client.resume_login(str(error.pending_login), {"cookies": jar}, otp=factor.code())
    assert {} == jar


def test_a_session_that_cannot_be_written_spares_the_code(tenant: LocalTenant, client: ServerClient) -> None:
    """Without anything to set cookies on, nothing is sent, and the code stays good."""
    factor = tenant.enroll_factor("auth0|eve", "otp")
    error = interrupted(client, {})
    sent = len(tenant.requests)
    with pytest.raises(SessionError):
        client.resume_login(str(error.pending_login), {}, otp=factor.code())
    assert sent == len(tenant.requests)
    assert client.resume_login(str(error.pending_login), {"cookies": {}}, otp=factor.code())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda sealed: sealed[:-2],
        lambda sealed: sealed[:40] + ("A" if sealed[40] != "A" else "B") + sealed[41:],
        lambda sealed: sealed.removeprefix("pending-login."),
        lambda sealed: "pending-login.",
        lambda sealed: "",
        lambda sealed: None,
        lambda sealed: 5,
    ],
)
def test_a_changed_pending_login_is_refused(
    tenant: LocalTenant, client: ServerClient, spoil: Callable[[str], Any]
) -> None:
    """What is not exactly what the application sealed is refused before anything is sent."""
    factor = tenant.enroll_factor("auth0|eve", "otp")
    sealed = str(interrupted(client, {}).pending_login)
    sent = len(tenant.requests)
    with pytest.raises(CustomTokenExchangeError) as caught:
        client.resume_login(spoil(sealed), {"cookies": {}}, otp=factor.code())
    assert "INVALID_PENDING_LOGIN" == caught.value.code
    assert sent == len(tenant.requests)


def test_a_pending_login_ends(tenant: LocalTenant, client: ServerClient, clock: FakeClock) -> None:
    """Ten minutes after the login it is refused here already."""
    tenant.enroll_factor("auth0|eve", "otp")
    sealed = str(interrupted(client, {}).pending_login)
    clock.advance(601)
    sent = len(tenant.requests)
    with pytest.raises(CustomTokenExchangeError, match="too old") as caught:
        client.resume_login(sealed, {"cookies": {}}, otp="123456")
    assert ("INVALID_PENDING_LOGIN", sent) == (caught.value.code, len(tenant.requests))


def test_a_session_is_no_pending_login(tenant: LocalTenant, client: ServerClient) -> None:
    """A sealed session does not open as a pending login, nor the other way round."""
    jar: dict[str, str] = {}
    client.login_with_custom_token_exchange(options(), {"cookies": jar})
    tenant.enroll_factor("auth0|eve", "otp")
    sealed = str(interrupted(client, {}).pending_login)
    with pytest.raises(CustomTokenExchangeError) as caught:
        client.resume_login("pending-login." + jar["_a0_session_0"], {"cookies": {}}, otp="123456")
    assert "INVALID_PENDING_LOGIN" == caught.value.code
    assert client.get_session({"cookies": {"_a0_session_0": sealed.removeprefix("pending-login.")}}) is None


def test_a_login_of_another_domain_is_not_resumed(tenant: LocalTenant) -> None:
    """A login begun at one of many domains is resumed at that one alone."""
    factor = tenant.enroll_factor("auth0|eve", "otp")
    domain = tenant.domain
    client = ServerClient(
        lambda _context: domain,
        tenant.client_id,
        tenant.client_secret,
        secret=SECRET,
        session=tenant.session(),
        clock=tenant.clock,
        state_store=MemoryStateStore(),
    )
    error = interrupted(client, {})
    assert tenant.domain == error.domain
    domain = "other.auth0.local"
    with pytest.raises(SessionError) as caught:
        client.resume_login(str(error.pending_login), {"cookies": {}}, otp=factor.code())
    assert "DOMAIN_MISMATCH" == caught.value.code


@pytest.mark.parametrize(
    "proof",
    [
        {},
        {"otp": "123456", "recovery_code": "ABCD"},
        {"binding_code": "123456"},
        {"otp": "123456", "binding_code": "123456"},
        {"otp": ""},
        {"otp": 123456},
        {"otp": "12\n3456"},
        {"oob_code": " "},
    ],
)
def test_bad_proofs_are_refused_before_anything_is_sent(
    tenant: LocalTenant, client: ServerClient, proof: dict[str, Any]
) -> None:
    """Exactly one proof is given, as text."""
    tenant.enroll_factor("auth0|eve", "otp")
    mfa_token = str(interrupted(client).mfa_token)
    sent = len(tenant.requests)
    with pytest.raises(CustomTokenExchangeError) as caught:
        client.complete_mfa(mfa_token, **proof)
    assert ("INVALID_OPTIONS", sent) == (caught.value.code, len(tenant.requests))


@pytest.mark.parametrize("mfa_token", ["", " ", "Bearer abc", "a\nb", None, 5, lambda: "token"])
def test_bad_mfa_tokens_are_refused_before_anything_is_sent(client: ServerClient, mfa_token: Any) -> None:
    """An mfa_token is a bare token, as a subject token is."""
    for call in (
        lambda: client.list_mfa_authenticators(mfa_token),
        lambda: client.challenge_mfa(mfa_token),
        lambda: client.complete_mfa(mfa_token, otp="123456"),
    ):
        with pytest.raises(CustomTokenExchangeError) as caught:
            call()
        assert "INVALID_TOKEN_FORMAT" == caught.value.code


def test_a_challenge_is_never_repeated(tenant: LocalTenant, client: ServerClient) -> None:
    """When the answer to a challenge is lost the user does not get a second message."""
    tenant.enroll_factor("auth0|eve", "sms")
    mfa_token = str(interrupted(client).mfa_token)
    tenant.fail_next(502, path="/mfa/challenge")
    with pytest.raises(CustomTokenExchangeError) as caught:
        client.challenge_mfa(mfa_token)
    assert 502 == caught.value.status_code
    assert 1 == sum(request.path == "/mfa/challenge" for request in tenant.requests)


def test_refusals_of_the_api_come_out_typed(tenant: LocalTenant, client: ServerClient) -> None:
    """A wrong token, an unknown authenticator and a type that the user has not are the server's own errors."""
    tenant.enroll_factor("auth0|eve", "otp")
    mfa_token = str(interrupted(client).mfa_token)
    forged = "Fe26.2*" + "forged"
    with pytest.raises(CustomTokenExchangeError) as wrong:
        client.list_mfa_authenticators(forged)
    with pytest.raises(CustomTokenExchangeError) as unknown:
        client.challenge_mfa(mfa_token, authenticator_id="sms|dev_none")
    with pytest.raises(CustomTokenExchangeError) as missing:
        client.challenge_mfa(mfa_token, challenge_type="oob")
    codes = [caught.value.code for caught in (wrong, unknown, missing)]
    assert ["invalid_grant", "invalid_request", "unsupported_challenge_type"] == codes
    assert forged not in "".join(traceback.format_exception(wrong.value))


@pytest.mark.parametrize("body", ["{}", "null", "[1]", '[{"id": 5}]', "<html>", '[{"id": "a"}]', "[" * 100_000])
def test_unusable_lists_are_refused(wire: responses.RequestsMock, client: ServerClient, body: str) -> None:
    """Whatever answers instead of the MFA API is told by INVALID_RESPONSE."""
    plain = ServerClient("tenant.auth0.com", "client", "secret")
    base = "https://tenant.auth0.com"
    wire.get(
        f"{base}/.well-known/openid-configuration",
        json={"issuer": f"{base}/", "token_endpoint": f"{base}/oauth/token", "jwks_uri": f"{base}/jwks"},
    )
    wire.get(f"{base}/mfa/authenticators", body=body)
    with pytest.raises(CustomTokenExchangeError) as caught:
        plain.list_mfa_authenticators("token")
    assert "INVALID_RESPONSE" == caught.value.code


def test_what_is_sent(tenant: LocalTenant, client: ServerClient) -> None:
    """The list is asked for with the mfa_token as bearer; challenge and grant authenticate the application."""
    factor = tenant.enroll_factor("auth0|eve", "otp")
    mfa_token = str(interrupted(client).mfa_token)
    tenant.requests.clear()
    client.list_mfa_authenticators(mfa_token)
    client.challenge_mfa(mfa_token, challenge_type="otp")
    client.complete_mfa(mfa_token, otp=factor.code())
    listed, challenge, grant = (each for each in tenant.requests if not each.path.startswith("/.well-known/"))
    assert ("GET", f"Bearer {mfa_token}", "") == (listed.method, listed.headers["authorization"], listed.body)
    assert {
        "client_id": tenant.client_id,
        "client_secret": tenant.client_secret,
        "mfa_token": mfa_token,
        "challenge_type": "otp",
    } == json.loads(challenge.body)
    assert (OTP, tenant.client_secret) == (grant.form["grant_type"], grant.form["client_secret"])


def test_nothing_secret_is_shown(tenant: LocalTenant, client: ServerClient) -> None:
    """Neither the error of an interrupted login nor a challenge shows its tokens."""
    tenant.enroll_factor("auth0|eve", "sms")
    error = interrupted(client, {})
    challenge = client.challenge_mfa(str(error.pending_login))
    shown = "".join([repr(error), str(error), repr(challenge), *traceback.format_exception(error)])
    for secret in (error.mfa_token, error.pending_login, challenge.oob_code):
        assert str(secret) not in shown


@pytest.mark.parametrize(("ahead", "is_open"), [(59, True), (61, False), (-599, True), (-601, False)])
def test_clocks_of_two_machines_may_differ_a_little(
    ahead: int, is_open: bool, tenant: LocalTenant, client: ServerClient, clock: FakeClock
) -> None:
    """A pending login from a minute ahead is taken, and one of ten minutes; beyond that neither is."""
    tenant.enroll_factor("auth0|eve", "otp")
    other = tenant.client(secret=SECRET, clock=lambda: clock() + ahead)
    pending = str(interrupted(other, {}).pending_login)
    if is_open:
        assert client.list_mfa_authenticators(pending)
        return
    with pytest.raises(CustomTokenExchangeError, match="too old"):
        client.list_mfa_authenticators(pending)


def test_a_pending_login_lives_through_a_rotation_of_secrets(tenant: LocalTenant, client: ServerClient) -> None:
    """What was sealed with the secret before is opened while that is in the list, and by no other one."""
    tenant.enroll_factor("auth0|eve", "otp")
    pending = str(interrupted(client, {}).pending_login)
    new = "another secret of thirty-two bytes or more, for tests"
    assert tenant.client(secret=[new, SECRET]).list_mfa_authenticators(pending)
    with pytest.raises(CustomTokenExchangeError, match="not sealed with this secret"):
        tenant.client(secret=new).list_mfa_authenticators(pending)


def test_backchannel_logout_ends_a_resumed_login(tenant: LocalTenant) -> None:
    """Its session is filed under the issuer, as that of any login."""
    client, jar = tenant.client(secret=SECRET, state_store=MemoryStateStore()), dict[str, str]()
    factor = tenant.enroll_factor("auth0|eve", "otp")
    pending = str(interrupted(client, jar).pending_login)
    client.resume_login(pending, {"cookies": jar}, otp=factor.code())
    assert client.get_user({"cookies": jar})
    client.handle_backchannel_logout(tenant.logout_token(sub="auth0|eve"))
    assert client.get_user({"cookies": jar}) is None


def test_a_pending_login_shows_no_secrets() -> None:
    """Neither the mfa_token nor what marks the browser is in its repr."""
    pending = PendingLogin(mfa_token="s3cr3t-1", domain="tenant.auth0.com", browser="s3cr3t-2")
    assert "s3cr3t" not in repr(pending)
