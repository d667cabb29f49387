"""Which claims a session has: those that ``session_claims`` chooses, and after a refresh the new ones."""

from __future__ import annotations

import json
from typing import Any

import fastapi
import pytest
import requests
from fastapi.encoders import jsonable_encoder

from auth0_cte import ConfigurationError, MemoryStateStore, SessionError
from auth0_cte.session.stores.contract import StateStore
from auth0_cte.testing import FakeClock, LocalTenant
from tests.exchanges import LIFETIME
from tests.integration.apps import serve_asgi
from tests.session.clients import SECRET, MakeClient, log_in_with_claims, new_jar, options

ALWAYS = {"iss", "sub", "aud", "sid", "org_id", "org_name", "act", "exp", "iat", "session_expiry"}


FULL = {
    "sid": "the-sid",
    "org_id": "org_1",
    "org_name": "acme",
    "act": {"sub": "agent|1"},
    "session_expiry": 4_000_000_000,
    "name": "Ada",
    "email": "ada@example.com",
    "roles": ["admin"],
    "nonce": "n",
    "nbf": 1,
}

CHOICES: dict[str, tuple[Any, set[str]]] = {
    "all": (None, {"name", "email", "roles"}),
    "none": ([], set()),
    "names": (["name", "roles", "missing"], {"name", "roles"}),
    "tuple": (("email",), {"email"}),
    "bound names": (["sub", "name"], {"name"}),
    "function of names": (lambda claims: [name for name in claims if name != "roles"], {"name", "email"}),
    "function of a set": (lambda _claims: {"name"}, {"name"}),
    "function of claims": (lambda claims: {"name": claims["name"]}, {"name"}),
}


@pytest.mark.parametrize(("chosen", "expected"), CHOICES.values(), ids=CHOICES.keys())
def test_the_chosen_claims_enter_the_session(
    chosen: Any, expected: set[str], tenant: LocalTenant, make_client: MakeClient
) -> None:
    """Names, or what a function returns; what a session is bound by always stays."""
    client = make_client(tenant, session_claims=chosen)
    user = client.get_user({"cookies": log_in_with_claims(client, tenant, **FULL)})
    assert user is not None
    assert ALWAYS | expected == set(user)
    assert {name: FULL[name] for name in expected} == {name: user[name] for name in expected}


def test_a_function_cannot_change_what_a_session_is_bound_by(tenant: LocalTenant, make_client: MakeClient) -> None:
    """It may make other values of claims, and of those that are the user's own alone."""

    def choose(claims: Any) -> dict[str, Any]:
        claims["sub"] = "auth0|eve"
        return {"sub": "auth0|eve", "act": None, "aud": "other", "initial": claims["name"][0]}

    client = make_client(tenant, session_claims=choose)
    user = client.get_user({"cookies": log_in_with_claims(client, tenant, **FULL)})
    assert user is not None
    assert ("auth0|ada", FULL["act"], "A") == (user["sub"], user["act"], user["initial"])


@pytest.mark.parametrize("chosen", ["name", b"name", 5, [1], ["name", None], {"name": 1, 2: 3}])
def test_what_cannot_choose_is_refused_at_construction(chosen: Any, tenant: LocalTenant) -> None:
    """A single name is not a sequence of names."""
    with pytest.raises(ConfigurationError, match="session_claims must be"):
        tenant.client(secret=SECRET, session_claims=chosen)


def test_an_asynchronous_function_is_refused(tenant: LocalTenant) -> None:
    """The claims are chosen in a plain call."""

    async def choose(_claims: object) -> list[str]:
        return []

    with pytest.raises(ConfigurationError, match="plain function"):
        tenant.client(secret=SECRET, session_claims=choose)


@pytest.mark.parametrize("result", ["name", 5, None, [5], KeyError("roles")])
def test_a_function_that_fails_is_told(result: Any, tenant: LocalTenant, make_client: MakeClient) -> None:
    """What it raised is the cause; nobody is logged in, and the hint says what is lost."""

    def choose(_claims: object) -> Any:
        if isinstance(result, Exception):
            raise result
        return result

    client = make_client(tenant, session_claims=choose)
    with pytest.raises(SessionError, match="session_claims") as caught:
        log_in_with_claims(client, tenant)
    assert "SESSION_CLAIMS_FAILED" == caught.value.code
    assert "spent" in caught.value.hint
    assert (result if isinstance(result, Exception) else None) is caught.value.__cause__


def test_many_roles_fit_into_cookies_without_them(tenant: LocalTenant, make_client: MakeClient) -> None:
    """The ID token has the roles as well: the login returns it, the cookies do not have it."""
    roles = [f"role-{number:03}-{'r' * 30}" for number in range(100)]
    client, jar = make_client(tenant, session_claims=["name"]), new_jar()
    tenant.add_user("auth0|ada")
    id_token = tenant.id_token("auth0|ada", roles=roles, name="Ada")
    tenant.fail_next(200, body={"access_token": "a", "id_token": id_token})
    result = client.login_with_custom_token_exchange(options(), {"cookies": jar})
    assert id_token == result.session.id_token
    assert sum(map(len, jar.values())) < 2000
    session = client.get_session({"cookies": jar})
    assert session is not None
    assert ("Ada", None) == (session.user["name"], session.id_token)


def test_a_server_side_store_keeps_the_id_token(tenant: LocalTenant, make_client: MakeClient) -> None:
    """It has room for it, and a logout hint and an actor need it."""
    client = make_client(tenant, MemoryStateStore(), session_claims=["name"])
    session = client.get_session({"cookies": log_in_with_claims(client, tenant, roles=["admin"])})
    assert session is not None
    assert session.id_token
    assert "roles" not in session.user


def test_the_user_follows_a_refreshed_id_token(
    api: LocalTenant, store: StateStore, clock: FakeClock, make_client: MakeClient
) -> None:
    """A new name is shown, a role that was taken away is gone; who it is and since when stays."""
    client = make_client(api, store)
    api.add_user("auth0|ada", name="Ada", email="ada@old.example")
    jar = new_jar()
    client.login_with_custom_token_exchange(options(scope="profile email offline_access"), {"cookies": jar})
    before = client.get_session({"cookies": jar})
    clock.advance(LIFETIME)
    api.add_user("auth0|ada", name="Ada Lovelace")
    client.get_access_token({"cookies": jar})
    after = client.get_session({"cookies": jar})
    assert before is not None
    assert after is not None
    assert ("Ada Lovelace", None) == (after.user["name"], after.user.get("email"))
    assert (before.sid, before.created_at, before.user["sub"]) == (after.sid, after.created_at, after.user["sub"])
    assert before.user["iat"] < after.user["iat"]


def test_a_refresh_for_fewer_scopes_takes_no_claims_away(
    api: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """Without the scope profile an ID token has no name: that says nothing about the user; roles are not of a scope."""
    client, jar = make_client(api), new_jar()
    api.add_user("auth0|ada", name="Ada", email="ada@example.com")
    client.login_with_custom_token_exchange(options(scope="profile email offline_access"), {"cookies": jar})
    clock.advance(LIFETIME)
    body = {"access_token": "new", "expires_in": LIFETIME, "scope": "openid email"}
    id_token = api.id_token("auth0|ada", email="new@example.com")
    api.fail_next(200, body={**body, "id_token": id_token}, grant_type="refresh_token")
    client.get_access_token({"cookies": jar}, scope="openid email")
    user = client.get_user({"cookies": jar})
    assert user is not None
    assert ("Ada", "new@example.com") == (user["name"], user["email"])


def test_refreshed_claims_are_chosen_too(api: LocalTenant, clock: FakeClock, make_client: MakeClient) -> None:
    """What session_claims leaves out does not come in by a refresh."""
    client, jar = make_client(api, session_claims=["name"]), new_jar()
    api.add_user("auth0|ada", name="Ada", email="ada@example.com")
    client.login_with_custom_token_exchange(options(scope="profile email offline_access"), {"cookies": jar})
    clock.advance(LIFETIME)
    client.get_access_token({"cookies": jar})
    session = client.get_session({"cookies": jar})
    assert session is not None
    assert ("Ada", None, None) == (session.user["name"], session.user.get("email"), session.id_token)


def test_a_session_shows_no_token_unless_it_is_asked_for_by_name(tenant: LocalTenant, make_client: MakeClient) -> None:
    """Iteration, dict() and encoders see the user; a name gets what it names."""
    jar = new_jar()
    client = make_client(tenant)
    client.login_with_custom_token_exchange(options(scope="offline_access"), {"cookies": jar})
    session = client.get_session({"cookies": jar})
    assert session is not None
    secrets = [session.refresh_token, session.id_token, session.token_sets[0].access_token]
    assert all(isinstance(secret, str) for secret in secrets)
    shown = [dict(session), {**session}, list(session.items()), list(session.values()), jsonable_encoder(session)]
    text = json.dumps(shown) + repr(shown) + repr(session) + str(session) + f"{session}"
    assert not any(str(secret) in text for secret in secrets)
    assert {"user", "domain"} == set(session) == set(session.keys())
    assert (2, "auth0|ada") == (len(session), session["user"]["sub"])
    assert secrets == [session["refresh_token"], session["id_token"], session["token_sets"][0]["access_token"]]
    assert session.refresh_token == session.get("refresh_token")
    assert all(name in session for name in ("refresh_token", "id_token", "token_sets", "user", "domain"))
    for name in ("sid", "act", "_as_dict", "__class__", "extra"):
        assert name not in session
        with pytest.raises(KeyError):
            session[name]


def test_sessions_are_equal_by_all_that_they_hold(tenant: LocalTenant, make_client: MakeClient) -> None:
    """Two sessions that differ in a token alone are two."""
    from attrs import evolve

    jar = new_jar()
    client = make_client(tenant)
    client.login_with_custom_token_exchange(options(scope="offline_access"), {"cookies": jar})
    session = client.get_session({"cookies": jar})
    assert session is not None
    assert session == evolve(session) == client.get_session({"cookies": dict(jar)})
    assert session != evolve(session, refresh_token="another")
    assert session != evolve(session, token_sets=())
    assert dict(session) == session


def test_a_fastapi_view_that_returns_a_session_sends_no_token(tenant: LocalTenant) -> None:
    """What the browser gets is the user."""
    client = tenant.client(secret=SECRET)
    app = fastapi.FastAPI()

    @app.post("/login", response_model=None)
    def login(request: fastapi.Request, response: fastapi.Response) -> Any:
        store_options = {"request": request, "response": response}
        return client.login_with_custom_token_exchange(options(scope="offline_access"), store_options).session

    @app.get("/session", response_model=None)
    def show(request: fastapi.Request) -> Any:
        return client.get_session({"request": request})

    with serve_asgi(app) as url, requests.Session() as browser:
        replies = [browser.post(f"{url}/login"), browser.get(f"{url}/session")]
    for reply in replies:
        assert {"user", "domain"} == set(reply.json())
        assert "auth0|ada" == reply.json()["user"]["sub"]
