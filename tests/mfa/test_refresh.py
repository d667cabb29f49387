"""A second factor that Auth0 wants at a refresh: its tokens go on in the session that asked for them."""

from __future__ import annotations

from typing import Any

import pytest

from auth0_cte import (
    CookieStateStore,
    CustomTokenExchangeError,
    MemoryStateStore,
    MfaRequiredAtRefreshError,
    ServerClient,
    SessionError,
)
from auth0_cte.testing import FakeClock, LocalTenant
from tests.exchanges import LEGACY_LOGIN, SESSION_SECRET, make_legacy_tenant

LIFETIME = 600
DAY = 86_400


@pytest.fixture
def tenant(clock: FakeClock) -> LocalTenant:
    tenant = make_legacy_tenant(clock=clock)
    tenant.add_api("https://app.example.com", token_lifetime=LIFETIME)
    tenant.apis.default_audience = "https://app.example.com"
    return tenant


@pytest.fixture(params=[CookieStateStore, MemoryStateStore], ids=["cookie", "memory"])
def client(
    tenant: LocalTenant, clock: FakeClock, new_client: type[ServerClient], request: pytest.FixtureRequest
) -> ServerClient:
    return new_client(
        *(tenant.domain, tenant.client_id, tenant.client_secret),
        session=tenant.session(),
        secret=SESSION_SECRET,
        state_store=request.param(),
        clock=clock,
    )


def log_in(client: ServerClient) -> dict[str, Any]:
    jar: dict[str, str] = {}
    client.login_with_custom_token_exchange(LEGACY_LOGIN, {"cookies": jar})
    return {"cookies": jar}


def interrupted(client: ServerClient, tenant: LocalTenant, clock: FakeClock, at: dict[str, Any]) -> str:
    """Let the token expire, and return the handle of the refresh that a second factor interrupts."""
    clock.advance(LIFETIME)
    tenant.fail_next(403, body={"error": "mfa_required", "mfa_token": "the-mfa-token"}, grant_type="refresh_token")
    with pytest.raises(MfaRequiredAtRefreshError) as caught:
        client.get_access_token(at)
    assert caught.value.pending_login is not None
    return caught.value.pending_login


def answer(tenant: LocalTenant, token: str, **claims: Any) -> None:
    """Script what the second factor brings."""
    body = {"access_token": token, "expires_in": DAY, "refresh_token": f"refresh-{token}", **claims}
    tenant.fail_next(200, body=body, grant_type="http://auth0.com/oauth/grant-type/mfa-otp")


def test_the_session_goes_on(client: ServerClient, tenant: LocalTenant, clock: FakeClock) -> None:
    """After the code the new tokens are the session's, and later calls do not ask again."""
    at = log_in(client)
    pending = interrupted(client, tenant, clock, at)
    answer(tenant, "fresh", id_token=tenant.id_token("auth0|ada"))
    result = client.resume_login(pending, at, otp="123456")
    assert "auth0|ada" == result.user["sub"]
    sent = len(tenant.token_requests)
    assert "fresh" == client.get_access_token(at)
    assert sent == len(tenant.token_requests)
    session = client.get_session(at)
    assert session is not None
    assert "refresh-fresh" == session["refresh_token"]


def test_another_browser_does_not_finish_it(client: ServerClient, tenant: LocalTenant, clock: FakeClock) -> None:
    """Neither another session of the same user nor nobody takes the tokens; the code is not sent."""
    at = log_in(client)
    pending = interrupted(client, tenant, clock, at)
    sent = len(tenant.token_requests)
    nobody: dict[str, Any] = {"cookies": {}}
    for other in (log_in(client), nobody):
        with pytest.raises(SessionError) as caught:
            client.resume_login(pending, other, otp="123456")
        assert "SESSION_MISMATCH" == caught.value.code
    assert sent + 1 == len(tenant.token_requests)  # the login


def test_another_user_is_refused(client: ServerClient, tenant: LocalTenant, clock: FakeClock) -> None:
    """An ID token of somebody else does not get into the session."""
    tenant.add_user("auth0|eve")
    at = log_in(client)
    pending = interrupted(client, tenant, clock, at)
    answer(tenant, "eves", id_token=tenant.id_token("auth0|eve"))
    with pytest.raises(Exception, match="another user") as caught:
        client.resume_login(pending, at, otp="123456")
    assert "SUBJECT_MISMATCH" == getattr(caught.value, "code", None)
    user = client.get_user(at)
    assert user is not None
    assert "auth0|ada" == user["sub"]


def test_it_is_finished_once(client: ServerClient, tenant: LocalTenant, clock: FakeClock) -> None:
    """A second time Auth0 refuses the token that continues, and the session keeps what it has."""
    at = log_in(client)
    pending = interrupted(client, tenant, clock, at)
    answer(tenant, "fresh", id_token=tenant.id_token("auth0|ada"))
    client.resume_login(pending, at, otp="123456")
    with pytest.raises(CustomTokenExchangeError):
        client.resume_login(pending, at, otp="123456")
    assert "fresh" == client.get_access_token(at)


def test_an_api_that_was_asked_for(client: ServerClient, tenant: LocalTenant, clock: FakeClock) -> None:
    """The token is kept for the audience and the scopes that the interrupted call asked for."""
    tenant.add_api("https://api.example.com", scopes=["read:data"])
    at = log_in(client)
    clock.advance(LIFETIME)
    tenant.fail_next(403, body={"error": "mfa_required", "mfa_token": "t-t-t-t"}, grant_type="refresh_token")
    with pytest.raises(MfaRequiredAtRefreshError) as caught:
        client.get_access_token(at, "https://api.example.com", "read:data")
    answer(tenant, "api-token", scope="read:data")
    client.resume_login(caught.value.pending_login or "", at, otp="123456")
    assert "api-token" == client.get_access_token(at, "https://api.example.com", "read:data")
