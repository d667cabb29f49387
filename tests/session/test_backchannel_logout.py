"""Back-channel logout: which tokens end which sessions."""

from __future__ import annotations

import gc
import json
import tracemalloc
from typing import Any

import pytest

from auth0_cte import ConfigurationError, IdTokenError, MemoryStateStore, SessionError
from auth0_cte.jose import b64url_encode
from auth0_cte.session.stores.contract import StateStore
from auth0_cte.testing import FakeClock, LocalTenant
from tests.load import load, sized
from tests.session.clients import SECRET, MakeClient, new_jar, options


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


def test_a_token_that_is_sent_again_to_another_worker_ends_nothing(
    tenant: LocalTenant, clock: FakeClock, server_store: StateStore, make_client: MakeClient
) -> None:
    """A replay is refused by every client of the store, in the same second and later."""
    first, second = make_client(tenant, server_store), make_client(tenant, server_store)
    log_in(first, "auth0|ada")
    token = tenant.logout_token(sub="auth0|ada")
    assert 1 == first.handle_backchannel_logout(token)
    jar, _ = log_in(second, "auth0|ada")
    for _ in range(2):
        with pytest.raises(IdTokenError) as caught:
            second.handle_backchannel_logout(token)
        assert "REPLAYED_LOGOUT_TOKEN" == caught.value.code
        clock.advance(30)
    assert second.get_user({"cookies": jar})


@pytest.mark.parametrize("named", [{"sub": "auth0|ada"}, {"sid": "the-sid"}], ids=["sub", "sid"])
def test_a_token_that_comes_late_leaves_the_sessions_that_began_since(
    named: dict[str, Any], tenant: LocalTenant, clock: FakeClock, server_store: StateStore, make_client: MakeClient
) -> None:
    """The user logged in again before the token of the old session's logout arrived."""
    client = make_client(tenant, server_store)
    tenant.add_user("auth0|ada")

    def begin() -> dict[str, str]:
        jar, id_token = new_jar(), tenant.id_token("auth0|ada", sid="the-sid")
        tenant.fail_next(200, body={"access_token": "a", "id_token": id_token})
        client.login_with_custom_token_exchange(options(), {"cookies": jar})
        return jar

    old = begin()
    clock.advance(10)
    token = tenant.logout_token(**named)
    clock.advance(1)
    new = begin()
    assert 1 == client.handle_backchannel_logout(token)
    assert client.get_user({"cookies": old}) is None
    assert client.get_user({"cookies": new})


def test_a_session_without_sid_ends_by_its_user(
    tenant: LocalTenant, server_store: StateStore, make_client: MakeClient
) -> None:
    """A token with sid and sub ends the session of that sid, and the user's whose ID token had none; no other."""
    client = make_client(tenant, server_store)
    tenant.add_user("auth0|ada")
    tenant.add_user("auth0|eve")
    jars = {}
    for name, user, sid in (
        ("named", "auth0|ada", "sid-1"),
        ("unnamed", "auth0|ada", None),
        ("other sid", "auth0|ada", "sid-2"),
        ("other user", "auth0|eve", None),
    ):
        jars[name] = new_jar()
        id_token = tenant.id_token(user, sid=sid)
        tenant.fail_next(200, body={"access_token": "a", "id_token": id_token})
        client.login_with_custom_token_exchange(options(user), {"cookies": jars[name]})
    assert 2 == client.handle_backchannel_logout(tenant.logout_token(sid="sid-1", sub="auth0|ada"))
    left = {name for name, jar in jars.items() if client.get_user({"cookies": jar})}
    assert {"other sid", "other user"} == left


def test_a_sid_alone_leaves_sessions_without_one(tenant: LocalTenant, make_client: MakeClient) -> None:
    """Nobody knows whose they are."""
    client, jar = make_client(tenant, MemoryStateStore()), new_jar()
    tenant.add_user("auth0|ada")
    tenant.fail_next(200, body={"access_token": "a", "id_token": tenant.id_token("auth0|ada", sid=None)})
    client.login_with_custom_token_exchange(options(), {"cookies": jar})
    assert 0 == client.handle_backchannel_logout(tenant.logout_token(sid="sid-1"))
    assert client.get_user({"cookies": jar})


@pytest.mark.parametrize(
    "url",
    [
        *("http://[", "http://[::1", "https://host:port/", "https://host:99999/", "https:///x", "https://", "//host/x"),
        *("javascript://host/%0aalert(1)", "ftp://host/", "/logged-out", "host.example", "", " https://host/"),
        *("https://host/a b", "https://host/\n", "https://host/\x00", 5, b"https://host/"),
    ],
)
def test_a_wrong_return_url_is_refused_and_nobody_logged_out(
    url: Any, tenant: LocalTenant, make_client: MakeClient
) -> None:
    """Where the browser goes then must be an absolute http or https URL, however it is misspelt."""
    client = make_client(tenant)
    jar, _ = log_in(client, "auth0|ada")
    with pytest.raises(ConfigurationError, match="return_to must be an absolute"):
        client.logout(store_options={"cookies": jar}, return_to=url)
    assert client.get_user({"cookies": jar})


@load
def test_memory_is_flat_over_forged_and_large_logout_tokens(tenant: LocalTenant) -> None:
    """What strangers send is not kept by its size, neither a token's header nor the id of one that is verified."""
    client = tenant.client(secret=SECRET, state_store=MemoryStateStore())
    forger = LocalTenant(tenant.domain, clock=tenant.clock, client_id=tenant.client_id)
    good = tenant.logout_token(sub="auth0|ada")
    _header, payload, signature = forger.logout_token(sub="auth0|ada").split(".")

    def forged(number: int) -> str:
        fields = {"alg": "RS256", "typ": "JWT", "kid": f"{number}", "pad": "x" * 30_000}
        return f"{b64url_encode(json.dumps(fields).encode())}.{payload}.{signature}"

    def send(numbers: range) -> None:
        for number in numbers:
            with pytest.raises(IdTokenError):
                client.handle_backchannel_logout(forged(number))
            client.handle_backchannel_logout(tenant.logout_token(sub="auth0|ada", jti=f"{number}" + "j" * 20_000))

    client.handle_backchannel_logout(good)
    send(range(5))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        count = sized(10_000, 100)
        send(range(5, 5 + count))
        gc.collect()  # of the frames of errors, which are cycles
        # A hash of each one that was verified is remembered, and nothing of the others.
        assert tracemalloc.get_traced_memory()[0] - before < 1_000_000 + 2_000 * count
    finally:
        tracemalloc.stop()
