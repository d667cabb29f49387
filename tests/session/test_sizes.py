"""Sessions that are too large: refused where they begin, with the ways out; kept where a refresh made them so."""

from __future__ import annotations

import pytest

from auth0_cte import MemoryStateStore, SessionError
from auth0_cte.session.stores.contract import StateStore
from auth0_cte.testing import FakeClock, LocalTenant
from tests.exchanges import API, LIFETIME
from tests.session.clients import MakeClient, log_in_with_claims, new_jar, options

LARGE = "x" * 9000


def test_a_session_too_large_for_cookies_says_what_is_lost_and_the_ways_out(
    tenant: LocalTenant, make_client: MakeClient
) -> None:
    """The token is spent, and the error says so; it names a server-side store, session_claims and what that costs."""
    client, jar = make_client(tenant), new_jar()
    tenant.add_user("auth0|ada")
    roles = [f"role-{number:03}-{'r' * 30}" for number in range(100)]
    tenant.fail_next(200, body={"access_token": "a", "id_token": tenant.id_token("auth0|ada", roles=roles)})
    with pytest.raises(SessionError) as caught:
        client.login_with_custom_token_exchange(options(), {"cookies": jar})
    error = caught.value
    assert ("SESSION_TOO_LARGE", True) == (error.code, error.subject_token_spent)
    assert {} == jar
    for word in ("the subject token is spent", "RedisStateStore", "session_claims"):
        assert word in error.message
    for word in ("new subject token", "ID token", "id_token_hint"):
        assert word in error.hint
    assert "Nothing was lost" not in error.hint


def test_many_groups_are_kept_by_a_server_side_store(
    tenant: LocalTenant, server_store: StateStore, make_client: MakeClient
) -> None:
    """A user with 550 groups of 36 characters, far more than a cookie holds, is logged in and found again."""
    groups = [f"{number:036}" for number in range(550)]
    client = make_client(tenant, server_store)
    jar = log_in_with_claims(client, tenant, groups=groups)
    user = client.get_user({"cookies": jar})
    assert user is not None
    assert groups == user["groups"]


@pytest.mark.parametrize(("size", "fits"), [(760_000, True), (800_000, False)])
def test_what_a_server_side_store_does_not_hold_is_told_at_login(
    size: int, fits: bool, tenant: LocalTenant, make_client: MakeClient
) -> None:
    """Up to 1 MiB a session is kept; above the login says so, and there is no session that nobody can read."""
    tenant.add_user("auth0|ada")
    client, store, jar = make_client(tenant, store := MemoryStateStore()), store, new_jar()
    body = {"access_token": "a", "id_token": tenant.id_token("auth0|ada")}

    def claims(_claims: object) -> dict[str, object]:
        return {"note": "n" * size}

    client = make_client(tenant, store, session_claims=claims)
    tenant.fail_next(200, body=body)
    if fits:
        client.login_with_custom_token_exchange(options(), {"cookies": jar})
        assert size == len((client.get_user({"cookies": jar}) or {})["note"])
        return
    with pytest.raises(SessionError, match="session_claims") as caught:
        client.login_with_custom_token_exchange(options(), {"cookies": jar})
    assert ("SESSION_TOO_LARGE", True) == (caught.value.code, caught.value.subject_token_spent)
    assert (0, {}) == (len(store), jar)


def test_a_large_refreshed_token_is_handed_out_and_the_refresh_token_kept(
    api: LocalTenant, clock: FakeClock, make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """An access token of 9,000 characters is the caller's; the cookies have what the next refresh needs."""
    client, jar = make_client(api), new_jar()
    client.login_with_custom_token_exchange(options(scope="offline_access"), {"cookies": jar})
    before = client.get_session({"cookies": jar})
    clock.advance(LIFETIME)
    refreshed = {"access_token": LARGE, "expires_in": LIFETIME, "refresh_token": "rotated"}
    api.fail_next(200, body=refreshed, grant_type="refresh_token")
    late = dict(jar)
    assert LARGE == client.get_access_token({"cookies": jar})
    assert "too large for its store" in caplog.text
    assert sum(map(len, jar.values())) < 7_600
    session = client.get_session({"cookies": jar})
    assert session is not None
    assert before is not None
    assert ("rotated", before.id_token) == (session.refresh_token, session.id_token)
    sent = len(api.token_requests)
    assert [LARGE, LARGE] == [client.get_access_token({"cookies": each}) for each in (late, jar)]
    assert sent == len(api.token_requests)
    clock.advance(LIFETIME)
    api.fail_next(200, body={**refreshed, "access_token": "small"}, grant_type="refresh_token")
    assert "small" == client.get_access_token({"cookies": jar})
    assert "rotated" == api.token_requests[-1].form["refresh_token"]


@pytest.mark.parametrize("sizes", [(3000, 3000), (1000, 5500), (5000, 1000)])
def test_the_newest_token_is_kept_and_the_oldest_dropped(
    sizes: tuple[int, int], api: LocalTenant, make_client: MakeClient
) -> None:
    """Of two access tokens that do not fit together, the one that was asked for last stays."""
    client, jar = make_client(api), new_jar()
    client.login_with_custom_token_exchange(options(scope="offline_access"), {"cookies": jar})
    for number, size in enumerate(sizes):
        token = {"access_token": str(number) * size, "expires_in": LIFETIME, "refresh_token": f"r{number}"}
        api.fail_next(200, body=token, grant_type="refresh_token")
        assert str(number) * size == client.get_access_token({"cookies": jar}, f"{API}/{number}")
    session = client.get_session({"cookies": jar})
    assert session is not None
    assert "r1" == session.refresh_token
    assert f"{API}/1" == session.token_sets[-1].audience


def test_a_token_that_alone_is_too_large_costs_no_other(
    api: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """The caller gets it, and the session keeps every token that it had."""
    client, jar = make_client(api), new_jar()
    client.login_with_custom_token_exchange(options(scope="offline_access"), {"cookies": jar})
    for number, size in enumerate((100, 100, 9000)):
        token = {"access_token": str(number) * size, "expires_in": LIFETIME, "refresh_token": f"r{number}"}
        api.fail_next(200, body=token, grant_type="refresh_token")
        assert str(number) * size == client.get_access_token({"cookies": jar}, f"{API}/{number}")
    clock.advance(61)  # what late requests are given is forgotten: the cookies alone count
    session = client.get_session({"cookies": jar})
    assert session is not None
    assert ["default", f"{API}/0", f"{API}/1"] == [each.audience for each in session.token_sets]


def test_a_user_who_outgrows_the_cookies_keeps_the_session(
    api: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """When a refreshed ID token is too large, the user stays as it was; the refresh token is the new one."""
    client, jar = make_client(api), new_jar()
    client.login_with_custom_token_exchange(options(scope="offline_access"), {"cookies": jar})
    clock.advance(LIFETIME)
    body = {"access_token": "new", "expires_in": LIFETIME, "refresh_token": "rotated"}
    id_token = api.id_token("auth0|ada", roles=[LARGE])
    api.fail_next(200, body={**body, "id_token": id_token}, grant_type="refresh_token")
    assert "new" == client.get_access_token({"cookies": jar})
    clock.advance(301)
    session = client.get_session({"cookies": jar})
    assert session is not None
    assert "rotated" == session.refresh_token
    assert "roles" not in session.user


def test_a_record_that_a_refresh_made_too_large_keeps_the_refresh_token(
    api: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """A server-side store has a limit, too, and the same rule."""
    client, jar = make_client(api, MemoryStateStore(clock=clock)), new_jar()
    client.login_with_custom_token_exchange(options(scope="offline_access"), {"cookies": jar})
    for number in range(20):
        token = {"access_token": "x" * 60_000, "expires_in": LIFETIME, "refresh_token": f"r{number}"}
        api.fail_next(200, body=token, grant_type="refresh_token")
        assert client.get_access_token({"cookies": jar}, f"{API}/{number}")
    session = client.get_session({"cookies": jar})
    assert session is not None
    assert "r19" == session.refresh_token
    assert 10 < len(session.token_sets) < 20
