"""Revoking refresh tokens: at a logout, by back-channel logout, and by themselves."""

from __future__ import annotations

import logging

import pytest

from auth0_cte import (
    AccessTokenError,
    ConfigurationError,
    CookieStateStore,
    MemoryStateStore,
    RevocationError,
    ServerClient,
    SessionSettings,
)
from auth0_cte.session.stores.contract import StateStore
from auth0_cte.testing import FakeClock, LocalTenant
from tests.session.clients import MakeClient, new_jar, options

SETTINGS = SessionSettings(revoke_refresh_tokens=True)
PATH = "/oauth/revoke"


def log_in(client: ServerClient, jar: dict[str, str], user: str = "auth0|ada") -> str:
    """Log a user in, and return the refresh token."""
    result = client.login_with_custom_token_exchange(options(user, scope="offline_access"), {"cookies": jar})
    assert result.session.refresh_token
    return result.session.refresh_token


def revocations(tenant: LocalTenant) -> list[str]:
    """Return the tokens that the tenant was asked to revoke."""
    return [str(request.form["token"]) for request in tenant.requests if PATH == request.path]


def test_logout_revokes(tenant: LocalTenant, store: StateStore, make_client: MakeClient) -> None:
    """After a logout that revokes, the refresh token is dead at the tenant, and the user logged out."""
    client, jar = make_client(tenant, store), new_jar()
    token = log_in(client, jar)
    kept = dict(jar)
    url = client.logout(None, {"cookies": jar}, revoke=True)
    assert {} == jar
    assert client.get_user({"cookies": kept}) is None
    assert token not in tenant.state.refresh_tokens
    assert url.startswith(f"{tenant.issuer}v2/logout?client_id=")


def test_logout_leaves_the_refresh_token_unless_told(tenant: LocalTenant, make_client: MakeClient) -> None:
    """Without revoke nothing is sent."""
    client, jar = make_client(tenant), new_jar()
    token = log_in(client, jar)
    client.logout(None, {"cookies": jar})
    assert token in tenant.state.refresh_tokens
    assert [] == revocations(tenant)


def test_rotated_tokens_die_with_the_session(
    tenant: LocalTenant, store: StateStore, clock: FakeClock, make_client: MakeClient
) -> None:
    """The refresh token that a refresh brought is the one that is revoked."""
    client, jar = make_client(tenant, store), new_jar()
    log_in(client, jar)
    clock.advance(86_000)
    client.get_access_token({"cookies": jar}, "https://other.example.com")
    client.logout(None, {"cookies": jar}, revoke=True)
    assert 0 == len(tenant.state.refresh_tokens)


def test_logout_by_setting(tenant: LocalTenant, make_client: MakeClient) -> None:
    """With revoke_refresh_tokens=True every logout revokes."""
    client, jar = make_client(tenant, session_settings=SETTINGS), new_jar()
    token = log_in(client, jar)
    client.logout(None, {"cookies": jar})
    assert token not in tenant.state.refresh_tokens


def test_failed_revocation_is_told(
    tenant: LocalTenant, store: StateStore, make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """With Auth0 down the user is logged out all the same; the error and the log say that the token may be good."""
    client, jar = make_client(tenant, store), new_jar()
    token = log_in(client, jar)
    kept = dict(jar)
    tenant.fail_next(fault="close", path=PATH, times=10)
    with pytest.raises(RevocationError) as caught:
        client.logout(None, {"cookies": jar}, revoke=True)
    error = caught.value
    assert {} == jar
    assert client.get_user({"cookies": kept}) is None
    assert str(error.logout_url).startswith(f"{tenant.issuer}v2/logout?")
    assert ("REVOCATION_FAILED", True, None) == (error.code, error.is_retryable, error.status_code)
    assert "may still be good" in caplog.text
    assert token not in caplog.text + str(error) + repr(error)


def test_failed_revocation_by_setting_is_logged(
    tenant: LocalTenant, make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """A logout goes on while Auth0 is down; the log says that the token may be good."""
    client, jar = make_client(tenant, session_settings=SETTINGS), new_jar()
    log_in(client, jar)
    tenant.fail_next(fault="close", path=PATH, times=10)
    assert str is type(client.logout(None, {"cookies": jar}))
    assert {} == jar
    assert "may still be good" in caplog.text


def test_refused_revocation_has_the_servers_code(tenant: LocalTenant, make_client: MakeClient) -> None:
    """What Auth0 says is on the error; no token is."""
    client = make_client(tenant)
    tenant.fail_next(401, "invalid_client", "for a-secret-refresh-token", path=PATH)
    with pytest.raises(RevocationError) as caught:
        client.revoke_refresh_token("a-secret-refresh-token")
    assert ("invalid_client", 401, False) == (caught.value.code, caught.value.status_code, caught.value.is_retryable)
    assert "a-secret-refresh-token" not in f"{caught.value} {caught.value.error_description}"


def test_another_applications_token(tenant: LocalTenant, make_client: MakeClient) -> None:
    """A refresh token of another application is not revoked, and that is told."""
    tenant.add_application("other", "other-secret")
    with tenant.client(client_id="other", client_secret="other-secret") as other:
        token = other.custom_token_exchange(options(scope="offline_access")).refresh_token
    assert token
    with pytest.raises(RevocationError) as caught:
        make_client(tenant).revoke_refresh_token(token)
    assert 400 == caught.value.status_code
    assert token in tenant.state.refresh_tokens


def test_token_of_ones_own_keeping(tenant: LocalTenant, make_client: MakeClient) -> None:
    """A refresh token without a session is revoked by itself; one that is dead already is no error."""
    client = make_client(tenant)
    token = client.custom_token_exchange(options(scope="offline_access")).refresh_token
    assert token
    client.revoke_refresh_token(token)
    client.revoke_refresh_token(token)
    assert token not in tenant.state.refresh_tokens


@pytest.mark.parametrize("token", ["", " ", "tök", "a\nb", 5, b"x"])
def test_what_cannot_be_a_token_is_refused_before_it_is_sent(
    token: str, tenant: LocalTenant, make_client: MakeClient
) -> None:
    """The error names the argument, and nothing is sent."""
    with pytest.raises(ConfigurationError, match="refresh_token"):
        make_client(tenant).revoke_refresh_token(token)
    assert 0 == len(tenant.requests)


def test_a_session_goes_on_without_its_refresh_token(
    tenant: LocalTenant, store: StateStore, clock: FakeClock, make_client: MakeClient
) -> None:
    """The access token is used to its end, then the user logs in again; nobody is asked with the dead token."""
    client, jar = make_client(tenant, store), new_jar()
    token = log_in(client, jar)
    before = client.get_access_token({"cookies": jar})
    client.revoke_refresh_token(store_options={"cookies": jar})
    session = client.get_session({"cookies": jar})
    assert session is not None
    assert (None, False) == (session.refresh_token, token in tenant.state.refresh_tokens)
    assert before == client.get_access_token({"cookies": jar})
    with pytest.raises(AccessTokenError) as caught:
        client.get_access_token({"cookies": jar}, "https://other.example.com")
    assert "MISSING_REFRESH_TOKEN" == caught.value.code


def test_a_refresh_token_that_was_not_revoked_stays_in_the_session(
    tenant: LocalTenant, store: StateStore, make_client: MakeClient
) -> None:
    """When Auth0 cannot be reached the session is as it was, so that the call can be made again."""
    client, jar = make_client(tenant, store), new_jar()
    token = log_in(client, jar)
    tenant.fail_next(fault="close", path=PATH, times=10)
    with pytest.raises(RevocationError):
        client.revoke_refresh_token(store_options={"cookies": jar})
    session = client.get_session({"cookies": jar})
    assert session is not None
    assert token == session.refresh_token


def test_nobody_is_logged_in(tenant: LocalTenant, make_client: MakeClient) -> None:
    """A visitor has no refresh token to revoke; a logout is as it ever was."""
    client = make_client(tenant)
    with pytest.raises(AccessTokenError) as caught:
        client.revoke_refresh_token(store_options={"cookies": {}})
    assert "MISSING_SESSION" == caught.value.code
    assert client.logout(None, {"cookies": {}}, revoke=True)
    assert [] == revocations(tenant)


def test_backchannel_logout_revokes_by_setting(
    tenant: LocalTenant, server_store: StateStore, make_client: MakeClient
) -> None:
    """The refresh tokens of the sessions that a logout token ends are dead; those of others are not."""
    client = make_client(tenant, server_store, session_settings=SETTINGS)
    ada = [log_in(client, new_jar()) for _ in range(2)]
    eve = log_in(client, new_jar(), "auth0|eve")
    assert 2 == client.handle_backchannel_logout(tenant.logout_token(sub="auth0|ada"))
    assert sorted(ada) == sorted(revocations(tenant))
    assert [eve] == list(tenant.state.refresh_tokens)


def test_backchannel_logout_is_carried_out_with_the_revocation_endpoint_down(
    tenant: LocalTenant, server_store: StateStore, make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """The sessions end, and the log says whose refresh tokens may be good."""
    client, jar = make_client(tenant, server_store, session_settings=SETTINGS), new_jar()
    log_in(client, jar)
    tenant.fail_next(500, path=PATH)
    with caplog.at_level(logging.WARNING, "auth0_cte"):
        assert 1 == client.handle_backchannel_logout(tenant.logout_token(sub="auth0|ada"))
    assert client.get_user({"cookies": jar}) is None
    assert "may still be good" in caplog.text


def test_replayed_logout_token_revokes_nothing(tenant: LocalTenant, make_client: MakeClient) -> None:
    """A logout token that was used before does not reach the tokens of a later login."""
    client = make_client(tenant, MemoryStateStore(), session_settings=SETTINGS)
    logout_token = tenant.logout_token(sub="auth0|ada")
    client.handle_backchannel_logout(logout_token)
    log_in(client, new_jar())
    with pytest.raises(Exception, match="used before"):
        client.handle_backchannel_logout(logout_token)
    assert [] == revocations(tenant)


def test_a_store_that_cannot_find_sessions_is_refused(tenant: LocalTenant, make_client: MakeClient) -> None:
    """A store of one's own without find_by_owner cannot revoke at a back-channel logout, and that is told at once."""

    class Old:
        def __init__(self) -> None:
            self._store = MemoryStateStore()

        def __getattr__(self, name: str) -> object:
            if name == "find_by_owner":
                raise AttributeError(name)
            return getattr(self._store, name)

    with pytest.raises(ConfigurationError, match="find_by_owner"):
        make_client(tenant, Old(), session_settings=SETTINGS).get_user({"cookies": {}})  # type: ignore[arg-type]
    assert make_client(tenant, CookieStateStore(), session_settings=SETTINGS).get_user({"cookies": {}}) is None
