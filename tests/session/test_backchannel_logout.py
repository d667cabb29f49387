"""Back-channel logout: which tokens end which sessions."""

from __future__ import annotations

from typing import Any

import pytest

from auth0_cte import IdTokenError, MemoryStateStore, SessionError
from auth0_cte.session.stores.contract import StateStore
from auth0_cte.testing import FakeClock, LocalTenant
from tests.session.clients import MakeClient
from tests.session.test_login import new_jar, options


def log_in(client: Any, user: str) -> tuple[dict[str, str], str]:
    jar = new_jar()
    result = client.login_with_custom_token_exchange(options(user), {"cookies": jar})
    return jar, result.session.sid


def test_a_sid_ends_that_session(tenant: LocalTenant, server_store: StateStore, make_client: MakeClient) -> None:
    """The session with the sid ends, the user's others go on."""
    client = make_client(tenant, server_store)
    first, sid = log_in(client, "auth0|ada")
    second, _ = log_in(client, "auth0|ada")
    assert 1 == client.handle_backchannel_logout(tenant.logout_token(sid=sid))
    assert client.get_user({"cookies": first}) is None
    assert client.get_user({"cookies": second})


def test_a_sub_ends_all_sessions_of_the_user(
    tenant: LocalTenant, server_store: StateStore, make_client: MakeClient
) -> None:
    """All sessions of the user end, others' go on."""
    client = make_client(tenant, server_store)
    ada = [log_in(client, "auth0|ada")[0] for _ in range(2)]
    eve, _ = log_in(client, "auth0|eve")
    assert 2 == client.handle_backchannel_logout(tenant.logout_token(sub="auth0|ada"))
    assert [None, None] == [client.get_user({"cookies": jar}) for jar in ada]
    assert client.get_user({"cookies": eve})


def test_a_token_counts_once(tenant: LocalTenant, make_client: MakeClient) -> None:
    """A replayed logout token is refused, so that it cannot end the user's next session."""
    client = make_client(tenant, MemoryStateStore())
    token = tenant.logout_token(sub="auth0|ada")
    client.handle_backchannel_logout(token)
    jar, _ = log_in(client, "auth0|ada")
    with pytest.raises(IdTokenError) as caught:
        client.handle_backchannel_logout(token)
    assert ("jti", "REPLAYED_LOGOUT_TOKEN") == (caught.value.claim, caught.value.code)
    assert client.get_user({"cookies": jar})


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "nonce": ({"nonce": "n"}, "nonce"),
    "no-events": ({"events": None}, "events"),
    "other-event": ({"events": {"http://schemas.openid.net/event/other": {}}}, "events"),
    "events-list": ({"events": ["http://schemas.openid.net/event/backchannel-logout"]}, "events"),
    "event-text": ({"events": {"http://schemas.openid.net/event/backchannel-logout": "x"}}, "events"),
    "no-jti": ({"jti": None}, "jti"),
    "number-jti": ({"jti": 5}, "jti"),
    "neither": ({"sub": None}, "sub"),
    "empty-sub": ({"sub": ""}, "sub"),
    "number-sid": ({"sid": 5}, "sid"),
    "other-iss": ({"iss": "https://other.auth0.com/"}, "iss"),
    "other-aud": ({"aud": "other"}, "aud"),
    "no-aud": ({"aud": None}, "aud"),
    "no-iat": ({"iat": None}, "iat"),
    "old-iat": ({"iat": 1_000_000_000}, "iat"),
    "expired": ({"exp": 1_000_000_000}, "exp"),
}


@pytest.mark.parametrize(("changes", "claim"), BAD.values(), ids=BAD.keys())
def test_a_bad_logout_token_ends_nothing(
    changes: dict[str, Any], claim: str, tenant: LocalTenant, make_client: MakeClient
) -> None:
    """What the specification does not allow is refused, and the claim at fault named."""
    client = make_client(tenant, MemoryStateStore())
    jar, _ = log_in(client, "auth0|ada")
    with pytest.raises(IdTokenError) as caught:
        client.handle_backchannel_logout(tenant.logout_token(**{"sub": "auth0|ada", **changes}))
    assert claim == caught.value.claim
    assert client.get_user({"cookies": jar})


def test_an_id_token_is_no_logout_token(tenant: LocalTenant, make_client: MakeClient) -> None:
    """Nor is a logout token an ID token."""
    client = make_client(tenant, MemoryStateStore())
    log_in(client, "auth0|ada")
    with pytest.raises(IdTokenError):
        client.handle_backchannel_logout(tenant.id_token("auth0|ada"))
    logout_token = tenant.logout_token(sub="auth0|ada")
    tenant.fail_next(200, body={"access_token": "a", "id_token": logout_token})
    with pytest.raises(IdTokenError) as caught:
        client.login_with_custom_token_exchange(options(), {"cookies": {}})
    assert "typ" == caught.value.claim


def test_a_forged_logout_token_ends_nothing(tenant: LocalTenant, clock: FakeClock, make_client: MakeClient) -> None:
    """A token that another issuer signed is refused."""
    client = make_client(tenant, MemoryStateStore())
    forger = LocalTenant(tenant.domain, clock=clock, client_id=tenant.client_id)
    with pytest.raises(IdTokenError):
        client.handle_backchannel_logout(forger.logout_token(sub="auth0|ada"))


def test_cookies_cannot_be_ended_from_outside(tenant: LocalTenant, make_client: MakeClient) -> None:
    """With sessions in cookies the answer is an error that names the stores which can."""
    with pytest.raises(SessionError, match="server-side store"):
        make_client(tenant).handle_backchannel_logout(tenant.logout_token(sub="auth0|ada"))


def test_a_store_that_is_down_does_not_use_the_token_up(tenant: LocalTenant, make_client: MakeClient) -> None:
    """Auth0's next attempt with the same token counts."""

    class Flaky(MemoryStateStore):
        down = True

        def delete_by_owner(self, issuer: str, **named: Any) -> int:
            if self.down:
                raise SessionError("down", code="STORE_UNAVAILABLE")
            return super().delete_by_owner(issuer, **named)

    store = Flaky()
    client = make_client(tenant, store)
    token = tenant.logout_token(sub="auth0|ada")
    with pytest.raises(SessionError):
        client.handle_backchannel_logout(token)
    store.down = False
    assert 0 == client.handle_backchannel_logout(token)
