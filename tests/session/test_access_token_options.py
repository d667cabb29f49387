"""get_access_token by its options: refreshed in any case, good for some time yet, and with scopes by audience."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from auth0_cte import AccessTokenError, ConfigurationError, ServerClient
from auth0_cte.session.stores.contract import StateStore
from auth0_cte.testing import FakeClock, LocalTenant
from tests.session.clients import MakeClient, new_jar, options, refreshes

API = "https://api.example.com"
OTHER = "https://other.example.com"


def log_in(client: ServerClient, jar: dict[str, str], **more: Any) -> None:
    given = {"audience": API, "scope": "offline_access read:data", **more}
    client.login_with_custom_token_exchange(options(**given), {"cookies": jar})


def forms(tenant: LocalTenant) -> list[dict[str, Any]]:
    return [dict(request.form) for request in tenant.token_requests]


def test_a_forced_refresh_replaces_a_token_that_is_good(
    tenant: LocalTenant, store: StateStore, clock: FakeClock, make_client: MakeClient
) -> None:
    """The new token takes the old one's place, and stays until it expires."""
    client, jar = make_client(tenant, store), new_jar()
    log_in(client, jar)
    old = client.get_access_token({"cookies": jar})
    clock.advance(1)
    new = client.get_access_token({"cookies": jar}, force_refresh=True)
    assert old != new
    assert new == client.get_access_token({"cookies": jar})
    assert 1 == refreshes(tenant)


def test_threads_that_force_spend_no_refresh_token_twice(
    tenant: LocalTenant, store: StateStore, clock: FakeClock, make_client: MakeClient
) -> None:
    """With rotation the second use of one would revoke the family: all twenty get a token, and the session goes on."""
    client, jar = make_client(tenant, store), new_jar()
    log_in(client, jar)
    clock.advance(1)
    ready = threading.Barrier(20)

    def ask(_: int) -> str:
        own = dict(jar)
        loaded = client.get_access_token({"cookies": own})
        ready.wait(30)
        token = client.get_access_token({"cookies": own}, force_refresh=True)
        assert loaded != token
        return token

    with ThreadPoolExecutor(20) as pool:
        tokens = set(pool.map(ask, range(20)))
    assert 1 == len(tokens)
    # Who looks the session up after a refresh forces one of its own.
    assert refreshes(tenant) <= 20
    assert 1 == len(tenant.state.refresh_tokens)


def test_a_forced_refresh_of_another_scope_returns_the_new_token(
    tenant: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """A token with more scopes that is in the session, too, does not come in its place."""
    client, jar = make_client(tenant), new_jar()
    log_in(client, jar, scope="offline_access read:data write:data")
    old = client.get_access_token({"cookies": jar})
    clock.advance(1)
    new = client.get_access_token({"cookies": jar}, scope="read:data", force_refresh=True)
    assert old != new


def test_without_a_refresh_token_nothing_can_be_forced(tenant: LocalTenant, make_client: MakeClient) -> None:
    """The error does not say that the token has expired."""
    client, jar = make_client(tenant), new_jar()
    log_in(client, jar, scope="read:data")
    with pytest.raises(AccessTokenError, match="no fresh access token") as caught:
        client.get_access_token({"cookies": jar}, force_refresh=True)
    assert "MISSING_REFRESH_TOKEN" == caught.value.code


@pytest.mark.parametrize(
    ("left", "leeway", "count"), [(600, 599, 0), (600, 600, 1), (9, 0, 0), (9, 10, 1), (11, 10, 0)]
)
def test_leeway_is_how_long_a_token_lasts_at_least(
    left: int, leeway: int, count: int, tenant: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """A token that does not is refreshed."""
    client, jar = make_client(tenant), new_jar()
    log_in(client, jar)
    clock.advance(86_400 - left)
    client.get_access_token({"cookies": jar}, leeway=leeway)
    assert count == refreshes(tenant)


def test_a_fresh_token_is_returned_however_short_it_lasts(
    tenant: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """Nobody can get a better one."""
    tenant.add_api(API, token_lifetime=60)
    client, jar = make_client(tenant), new_jar()
    log_in(client, jar)
    assert client.get_access_token({"cookies": jar}, leeway=300)
    assert 1 == refreshes(tenant)


@pytest.mark.parametrize("leeway", [-1, 100_000, True, "10", None])
def test_a_leeway_that_cannot_work(leeway: Any, tenant: LocalTenant, make_client: MakeClient) -> None:
    """It is refused before the session is looked for."""
    with pytest.raises(ConfigurationError, match="leeway must be between 0 and 86400 seconds"):
        make_client(tenant).get_access_token({"cookies": {}}, leeway=leeway)


SCOPES = {API: "read:data", OTHER: "read:events list:events"}


def test_scopes_by_audience_are_asked_for(tenant: LocalTenant, store: StateStore, make_client: MakeClient) -> None:
    """Logins, exchanges and tokens of other APIs ask for the scopes of their audience."""
    client, jar = make_client(tenant, store, authorization_params={"scope": SCOPES}), new_jar()
    client.custom_token_exchange(options(audience=OTHER))
    client.custom_token_exchange(options(audience=API, scope="own"))
    client.custom_token_exchange(options(audience="https://third.example.com"))
    client.login_with_custom_token_exchange(options(audience=API), {"cookies": jar})
    log_in(client, jar)
    client.get_access_token({"cookies": jar}, OTHER)
    client.get_access_token({"cookies": jar}, OTHER, "list:events")
    client.get_access_token({"cookies": jar}, OTHER, "write:events")
    assert [
        "read:events list:events",
        "own",
        None,
        "openid read:data",
        "openid offline_access read:data",
        "read:events list:events",
        "read:events list:events write:events",
    ] == [form.get("scope") for form in forms(tenant)]


def test_scopes_of_the_login_stay_those_of_the_login(
    tenant: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """A refresh for the login's own API names none, so that the user's claims come again."""
    client, jar = make_client(tenant, authorization_params={"scope": SCOPES}), new_jar()
    log_in(client, jar, scope="offline_access profile")
    clock.advance(86_395)
    client.get_access_token({"cookies": jar})
    assert "scope" not in forms(tenant)[-1]


def test_scopes_without_audience_and_the_default_audience(tenant: LocalTenant) -> None:
    """Without an audience the key is default; an audience of all exchanges counts."""
    with tenant.client(authorization_params={"scope": {"default": "profile"}}) as client:
        client.custom_token_exchange(options())
    with tenant.client(authorization_params={"scope": SCOPES, "audience": OTHER}) as client:
        client.custom_token_exchange(options())
    assert ["profile", "read:events list:events"] == [form.get("scope") for form in forms(tenant)]


@pytest.mark.parametrize("scopes", [{"": "a"}, {API: ""}, {API: 5}, {5: "a"}, {API: ["a"]}])
def test_scopes_that_are_not_text(scopes: Any, tenant: LocalTenant) -> None:
    """They are refused at construction."""
    with pytest.raises(ConfigurationError, match="scope"):
        tenant.client(authorization_params={"scope": scopes})
