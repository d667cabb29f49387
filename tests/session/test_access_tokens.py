"""Access tokens of a session: from the store, refreshed, and refused."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from auth0_cte import (
    AccessTokenError,
    MfaRequiredError,
    RateLimitError,
    ServerClient,
    SessionError,
    SessionSettings,
    TransportError,
)
from auth0_cte.session.stores.contract import StateStore
from auth0_cte.testing import FakeClock, LocalTenant
from tests.session.clients import MakeClient, new_jar, options

API = "https://api.example.com"
OTHER = "https://other.example.com"


@pytest.fixture
def make_client(make_client: MakeClient) -> MakeClient:
    """Make a client whose sessions outlive many access tokens."""
    settings = SessionSettings(absolute_duration=10_000_000, inactivity_duration=10_000_000)
    return partial(make_client, session_settings=settings)


def log_in(client: ServerClient, jar: dict[str, str], **more: Any) -> None:
    client.login_with_custom_token_exchange(
        options(**{"audience": API, "scope": "offline_access read:data", **more}), {"cookies": jar}
    )


def refreshes(tenant: LocalTenant) -> list[dict[str, Any]]:
    forms = [dict(request.form) for request in tenant.token_requests]
    return [form for form in forms if form["grant_type"] == "refresh_token"]


def test_a_valid_token_comes_from_the_store(
    tenant: LocalTenant, store: StateStore, clock: FakeClock, make_client: MakeClient
) -> None:
    """As long as the token is good, Auth0 is not asked."""
    client, jar = make_client(tenant, store), new_jar()
    log_in(client, jar)
    first = client.get_access_token({"cookies": jar})
    clock.advance(80_000)
    assert first == client.get_access_token({"cookies": jar}) == client.get_access_token({"cookies": jar}, API)
    assert [] == refreshes(tenant)


def test_an_expired_token_is_refreshed_and_the_rotated_one_kept(
    tenant: LocalTenant, store: StateStore, clock: FakeClock, make_client: MakeClient
) -> None:
    """Each expiry costs one refresh, with the refresh token that the one before brought."""
    client, jar = make_client(tenant, store), new_jar()
    log_in(client, jar)
    tokens = {client.get_access_token({"cookies": jar})}
    for _ in range(2):
        clock.advance(86_400)
        before = client.get_session({"cookies": jar})
        tokens.add(client.get_access_token({"cookies": jar}))
        after = client.get_session({"cookies": jar})
        assert before is not None
        assert after is not None
        assert before.refresh_token != after.refresh_token
        assert (before.sid, before.created_at) == (after.sid, after.created_at)
        assert 1 == len(after.token_sets)
    assert 3 == len(tokens)
    assert 2 == len(refreshes(tenant))
    assert "audience" not in refreshes(tenant)[0]


def test_another_audience_has_a_token_of_its_own(
    tenant: LocalTenant, store: StateStore, make_client: MakeClient
) -> None:
    """A token for another API is got by the same refresh token, and kept beside the first."""
    client, jar = make_client(tenant, store), new_jar()
    log_in(client, jar)
    mine = client.get_access_token({"cookies": jar})
    other = client.get_access_token({"cookies": jar}, OTHER)
    assert mine != other
    assert (mine, other) == (
        client.get_access_token({"cookies": jar}),
        client.get_access_token({"cookies": jar}, OTHER),
    )
    assert [OTHER] == [form["audience"] for form in refreshes(tenant)]


def test_missing_scopes_are_asked_for(tenant: LocalTenant, clock: FakeClock, make_client: MakeClient) -> None:
    """A token with fewer scopes than wanted does not serve; one with more does."""
    client, jar = make_client(tenant), new_jar()
    log_in(client, jar, scope="offline_access read:data write:data")
    clock.advance(86_400)
    client.get_access_token({"cookies": jar}, scope="read:data")
    client.get_access_token({"cookies": jar}, scope="read:data")
    client.get_access_token({"cookies": jar}, scope="write:data read:data")
    assert ["read:data", "write:data read:data"] == [form["scope"] for form in refreshes(tenant)]


def test_a_reply_without_id_token_keeps_the_old_one(
    tenant: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """The refresh need not bring a new ID token."""
    client, jar = make_client(tenant), new_jar()
    log_in(client, jar)
    before = client.get_session({"cookies": jar})
    tenant.sessions.refresh_id_token = False
    clock.advance(86_400)
    client.get_access_token({"cookies": jar})
    after = client.get_session({"cookies": jar})
    assert before is not None
    assert after is not None
    assert before.id_token == after.id_token is not None


def test_an_id_token_that_fails_takes_nobodys_place(
    tenant: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """A refreshed ID token that does not verify is not kept; one of another user ends the matter."""
    client, jar = make_client(tenant), new_jar()
    log_in(client, jar)
    before = client.get_session({"cookies": jar})
    clock.advance(86_400)
    reply = {"access_token": "new", "expires_in": 86_400, "id_token": "not.a.token"}
    tenant.fail_next(200, body=reply)
    assert "new" == client.get_access_token({"cookies": jar})
    after = client.get_session({"cookies": jar})
    assert before is not None
    assert after is not None
    assert before.id_token == after.id_token
    clock.advance(86_400)
    tenant.add_user("auth0|eve")
    tenant.fail_next(200, body=reply | {"id_token": tenant.id_token("auth0|eve")})
    with pytest.raises(AccessTokenError) as caught:
        client.get_access_token({"cookies": jar})
    assert "SUBJECT_MISMATCH" == caught.value.code


def test_without_a_session_there_is_no_token(tenant: LocalTenant, store: StateStore, make_client: MakeClient) -> None:
    """A visitor gets a clear error."""
    with pytest.raises(AccessTokenError) as caught:
        make_client(tenant, store).get_access_token({"cookies": {}})
    assert "MISSING_SESSION" == caught.value.code
    assert caught.value.hint


def test_without_a_refresh_token_the_user_logs_in_again(
    tenant: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """An expired token without offline_access is an error that says so; so it is for a delegated session."""
    client, jar = make_client(tenant), new_jar()
    log_in(client, jar, scope="read:data")
    clock.advance(86_400)
    with pytest.raises(AccessTokenError, match="offline_access") as caught:
        client.get_access_token({"cookies": jar})
    assert "MISSING_REFRESH_TOKEN" == caught.value.code
    tenant.accept("urn:acme:support", "auth0|ada", actor={"sub": "agent|1"})
    delegated = {"subject_token": "t", "subject_token_type": "urn:acme:support", "scope": "offline_access"}
    client.login_with_custom_token_exchange(delegated, {"cookies": jar})
    clock.advance(86_400)
    with pytest.raises(AccessTokenError, match="delegated"):
        client.get_access_token({"cookies": jar})


def test_invalid_grant_ends_the_session(
    tenant: LocalTenant, store: StateStore, clock: FakeClock, make_client: MakeClient
) -> None:
    """A refused refresh token is told by its code, and the session is over."""
    client, jar = make_client(tenant, store), new_jar()
    log_in(client, jar)
    stolen = dict(jar)
    tenant.revoke_refresh_tokens()
    clock.advance(86_400)
    with pytest.raises(AccessTokenError) as caught:
        client.get_access_token({"cookies": jar})
    assert ("invalid_grant", 403) == (caught.value.code, caught.value.status_code)
    assert caught.value.__cause__ is not None
    assert {} == jar
    if not store.stateless:
        assert client.get_user({"cookies": stolen}) is None


def test_what_is_not_final_leaves_the_session(
    tenant: LocalTenant, store: StateStore, clock: FakeClock, make_client: MakeClient
) -> None:
    """MFA, rate limits, server errors and a lost connection come out typed, and the session can try again."""
    client, jar = make_client(tenant, store), new_jar()
    log_in(client, jar)
    clock.advance(86_400)
    tenant.fail_next(403, "mfa_required", "Multifactor authentication required")
    with pytest.raises(MfaRequiredError):
        client.get_access_token({"cookies": jar})
    tenant.fail_next(429, "too_many_attempts", "blocked")
    with pytest.raises(RateLimitError):
        client.get_access_token({"cookies": jar})
    tenant.fail_next(500, "server_error", "oops")
    with pytest.raises(AccessTokenError) as caught:
        client.get_access_token({"cookies": jar})
    assert "server_error" == caught.value.code
    tenant.fail_next(fault="close")
    with pytest.raises(TransportError):
        client.get_access_token({"cookies": jar})
    assert client.get_access_token({"cookies": jar})


def test_a_refresh_that_could_not_be_kept_is_not_made(
    tenant: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """With sessions in cookies and no response to write to, the refresh token is not spent."""

    class Request:
        url = "https://app.example/"
        headers: dict[str, str] = {}

        def __init__(self, cookies: dict[str, str]) -> None:
            self.cookies = cookies

    client, jar = make_client(tenant), new_jar()
    log_in(client, jar)
    clock.advance(86_400)
    with pytest.raises(SessionError) as caught:
        client.get_access_token({"request": Request(jar)})
    assert "RESPONSE_MISSING" == caught.value.code
    assert [] == refreshes(tenant)


def test_requests_with_the_cookie_from_before_find_the_refresh(
    tenant: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """Of two requests that a browser sent together, the later one does not spend the old refresh token again."""
    client, jar = make_client(tenant), new_jar()
    log_in(client, jar)
    clock.advance(86_400)
    late = dict(jar)
    first = client.get_access_token({"cookies": jar})
    assert first == client.get_access_token({"cookies": late})
    assert jar == late
    assert 1 == len(refreshes(tenant))


def test_no_refresh_moves_the_ceiling(tenant: LocalTenant, clock: FakeClock, make_client: MakeClient) -> None:
    """A session whose upstream end was set at login ends then."""
    tenant.add_user("auth0|ada", session_expiry=int(clock()) + 90_000)
    client, jar = make_client(tenant), new_jar()
    log_in(client, jar)
    clock.advance(86_400)
    tenant.users["auth0|ada"].session_expiry = int(clock()) + 900_000
    assert client.get_access_token({"cookies": jar})
    clock.advance(3_600)
    assert client.get_user({"cookies": jar}) is None


@pytest.mark.parametrize(("left", "count"), [(11, 0), (9, 1)])
def test_a_token_that_would_expire_on_its_way_is_refreshed(
    left: int, count: int, tenant: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """With ten seconds left at least, the token is handed out; with fewer another one is had first."""
    client, jar = make_client(tenant), new_jar()
    log_in(client, jar)
    clock.advance(86_400 - left)
    client.get_access_token({"cookies": jar})
    assert count == len(refreshes(tenant))


def test_tokens_that_have_expired_leave_the_session(
    tenant: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """A refresh takes the expired tokens of other APIs out, which would fill the cookie; live ones stay."""
    client, jar = make_client(tenant), new_jar()
    log_in(client, jar)
    client.get_access_token({"cookies": jar}, OTHER)
    clock.advance(86_400)
    client.get_access_token({"cookies": jar})
    session = client.get_session({"cookies": jar})
    assert session is not None
    assert 1 == len(session.token_sets)
    client.get_access_token({"cookies": jar}, OTHER)
    session = client.get_session({"cookies": jar})
    assert session is not None
    assert 2 == len(session.token_sets)
