"""What the local tenant tells about users: the userinfo endpoint, and further claims of ID tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from auth0_cte.testing import Application, FakeClock, LocalTenant
from tests.exchanges import claims_of
from tests.testing.test_exchange import TYPE, ask
from tests.testing.test_refresh import refresh

if TYPE_CHECKING:
    import requests

API = "https://api.acme.example"


@pytest.fixture
def tenant(clock: FakeClock) -> LocalTenant:
    made = LocalTenant(clock=clock)
    made.add_user("auth0|jane", name="Jane", email="jane@acme.example", department="R&D")
    made.accept(TYPE, "auth0|jane")
    return made


def userinfo(tenant: LocalTenant, token: str | None, method: str = "GET") -> requests.Response:
    """Call the userinfo endpoint with an access token."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    with tenant.session() as session:
        return session.request(method, f"{tenant.issuer}userinfo", headers=headers)


@pytest.mark.parametrize("audience", [None, API])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_userinfo(tenant: LocalTenant, audience: str | None, method: str) -> None:
    """An access token with openid brings the claims of its scopes, whatever API it is for."""
    token = ask(tenant, scope="openid email", audience=audience).json()["access_token"]
    reply = userinfo(tenant, token, method)

    assert (200, {"sub": "auth0|jane", "email": "jane@acme.example"}) == (reply.status_code, reply.json())


def test_userinfo_has_the_actor(tenant: LocalTenant) -> None:
    """The actor of a delegated session is told."""
    tenant.accept(TYPE, "auth0|jane", actor={"sub": "agent-7"})
    token = ask(tenant, scope="openid").json()["access_token"]

    assert {"sub": "auth0|jane", "act": {"sub": "agent-7"}} == userinfo(tenant, token).json()


def test_userinfo_without_a_token(tenant: LocalTenant) -> None:
    """Without a token the reply is a challenge."""
    reply = userinfo(tenant, None)

    assert (401, "Bearer") == (reply.status_code, reply.headers["WWW-Authenticate"])


def test_userinfo_refuses_other_tokens(tenant: LocalTenant, clock: FakeClock) -> None:
    """Tokens that are forged, expired, for an API alone, or no access tokens are refused."""
    expired = ask(tenant, scope="openid").json()["access_token"]
    clock.advance(86400)
    stranger = LocalTenant(clock=clock)
    stranger.accept(TYPE, "auth0|jane")
    tokens = [
        expired,
        ask(stranger, scope="openid").json()["access_token"],
        ask(tenant, scope="read:tools", audience=API).json()["access_token"],
        tenant.id_token("auth0|jane"),
        tenant.id_token("auth0|jane", iss="https://other.example/"),
        "garbage",
    ]

    replies = [userinfo(tenant, token) for token in tokens]
    assert [(401, "invalid_token")] * 6 == [(reply.status_code, reply.json()["error"]) for reply in replies]


def test_userinfo_needs_openid(tenant: LocalTenant) -> None:
    """A token for the endpoint without openid is not enough."""
    reply = userinfo(tenant, ask(tenant).json()["access_token"])

    assert (403, "insufficient_scope") == (reply.status_code, reply.json()["error"])


def test_userinfo_of_a_blocked_user(tenant: LocalTenant) -> None:
    """Nothing is told about a user who is blocked."""
    token = ask(tenant, scope="openid").json()["access_token"]
    tenant.users["auth0|jane"].blocked = True

    assert 401 == userinfo(tenant, token).status_code


def test_audiences_of_an_access_token(tenant: LocalTenant) -> None:
    """With openid an access token is for its API and for userinfo; without, for the API alone."""
    claims = [
        claims_of(tenant, ask(tenant, scope=scope, audience=audience).json()["access_token"])
        for scope, audience in (("openid", API), ("read:tools", API), ("openid", None))
    ]

    here = f"{tenant.issuer}userinfo"
    assert [[API, here], API, here] == [each["aud"] for each in claims]


def test_further_claims(tenant: LocalTenant) -> None:
    """Further claims are in ID tokens alone, win over the tenant's own, and take one away when None."""
    tenant.sessions.id_token_claims = {"roles": ["admin"], "email": "other@acme.example", "sid": None}
    body = ask(tenant, scope="openid email").json()

    claims = claims_of(tenant, body["id_token"])
    assert (["admin"], "other@acme.example", False) == (claims["roles"], claims["email"], "sid" in claims)
    assert "roles" not in claims_of(tenant, body["access_token"])


def test_further_claims_by_a_function(tenant: LocalTenant) -> None:
    """A function gets user and application, and is asked for each ID token, refreshed ones too."""
    calls: list[tuple[str, str]] = []

    def claims(user_id: str, application: Application) -> dict[str, Any]:
        calls.append((user_id, application.client_id))
        return {"big": "x" * 5000 * len(calls)}

    tenant.sessions.id_token_claims = claims
    first = ask(tenant, scope="openid offline_access").json()
    second = refresh(tenant, first["refresh_token"]).json()

    assert [("auth0|jane", "local-client")] * 2 == calls
    assert [5000, 10000] == [len(claims_of(tenant, each["id_token"])["big"]) for each in (first, second)]
    assert tenant.sessions.id_token_claims is claims


def test_session_expiry(tenant: LocalTenant, clock: FakeClock) -> None:
    """When the upstream session ends is in every ID token of the user, as it stands at that moment."""
    expiry = int(clock()) + 3600
    tenant.add_user("auth0|jane", session_expiry=expiry)
    first = ask(tenant, scope="openid offline_access").json()
    second = refresh(tenant, first["refresh_token"]).json()
    tenant.users["auth0|jane"].session_expiry = None
    third = refresh(tenant, second["refresh_token"]).json()

    assert [expiry, expiry, None] == [
        claims_of(tenant, each["id_token"]).get("session_expiry") for each in (first, second, third)
    ]


def test_settings_at_first(tenant: LocalTenant) -> None:
    """At first refresh tokens rotate without leeway and never expire, and nothing is added to ID tokens."""
    settings: list[Any] = [
        tenant.sessions.rotate_refresh_tokens,
        tenant.sessions.refresh_id_token,
        tenant.sessions.rp_initiated_logout,
    ]
    settings += [
        tenant.sessions.refresh_token_leeway,
        tenant.sessions.refresh_token_lifetime,
        tenant.sessions.id_token_claims,
    ]

    assert [True, True, True, 0, None, {}] == settings
