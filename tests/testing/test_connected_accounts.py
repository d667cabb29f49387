"""Connecting accounts at the tenant (source: Auth0, My Account API, "Connected Accounts"), by the real client, too."""

from __future__ import annotations

import base64
import hashlib
import warnings
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import pytest
import requests

from auth0_cte.testing import FakeClock, LocalTenant
from tests.testing.test_exchange import TYPE, ask
from tests.testing.test_token_vault import exchange

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what its dependencies deprecate is its own business
    from auth0_server_python import auth_types as sibling_types  # type: ignore[import-untyped]
    from auth0_server_python.auth_server.server_client import ServerClient  # type: ignore[import-untyped]

HOME = "/me/v1/connected-accounts"
BACK = "https://app.example/connected?tab=1"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
SCOPES = "create:me:connected_accounts read:me:connected_accounts delete:me:connected_accounts"
ASKED = {
    "connection": "google-oauth2",
    "redirect_uri": BACK,
    "state": "s1",
    "scopes": ["calendar", "mail"],
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
    "authorization_params": {"login_hint": "jane@example.com"},
}


@pytest.fixture
def tenant(clock: FakeClock) -> Iterator[LocalTenant]:
    with LocalTenant(clock=clock) as made:
        made.sessions.rotate_refresh_tokens = False
        made.accept(TYPE, "auth0|jane")
        yield made


def call(tenant: LocalTenant, method: str, path: str, body: Any = None, *, scope: str = SCOPES, **more: Any) -> Any:
    """Call the API with an access token of its own."""
    token = ask(tenant, audience=f"{tenant.issuer}me/", scope=scope).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}", **more.pop("headers", {})}
    with tenant.session() as session:
        return session.request(method, f"{tenant.issuer[:-1]}{HOME}{path}", json=body, headers=headers, **more)


def browse(tenant: LocalTenant, ticket: str) -> Any:
    with tenant.session() as session:
        url = f"{tenant.issuer}connected-accounts/connect"
        return session.get(url, params={"ticket": ticket}, allow_redirects=False)


def begin(tenant: LocalTenant, **changed: Any) -> dict[str, str]:
    """Ask for an account and let the browser consent: what the application then completes it with."""
    started = call(tenant, "POST", "/connect", {**ASKED, **changed}).json()
    query = parse_qs(urlsplit(browse(tenant, started["connect_params"]["ticket"]).headers["location"]).query)
    return {
        "auth_session": started["auth_session"],
        "connect_code": query["connect_code"][0],
        "redirect_uri": BACK,
        "code_verifier": VERIFIER,
    }


def test_connecting(tenant: LocalTenant) -> None:
    """The application asks, the browser comes back with a code, and the completed account is in Token Vault."""
    started = call(tenant, "POST", "/connect", ASKED)
    body = started.json()
    back = browse(tenant, body["connect_params"]["ticket"])
    query = parse_qs(urlsplit(back.headers["location"]).query)
    done = call(
        tenant,
        "POST",
        "/complete",
        {
            "auth_session": body["auth_session"],
            "connect_code": query["connect_code"][0],
            "redirect_uri": BACK,
            "code_verifier": VERIFIER,
        },
    )

    assert (201, f"{tenant.issuer}connected-accounts/connect", 300) == (
        started.status_code,
        body["connect_uri"],
        body["expires_in"],
    )
    assert (302, BACK.partition("?")[0]) == (back.status_code, back.headers["location"].partition("?")[0])
    assert (["1"], ["s1"]) == (query["tab"], query["state"])
    assert (201, "google-oauth2", "offline", ["calendar", "mail"], "2027-01-15T08:00:00.000Z") == (
        done.status_code,
        done.json()["connection"],
        done.json()["access_type"],
        done.json()["scopes"],
        done.json()["created_at"],
    )
    assert "calendar mail" == exchange(tenant, login_hint="jane@example.com").json()["scope"]


def test_lists(tenant: LocalTenant) -> None:
    """Accounts are listed by pages and by connection, and so are the connections that have accounts."""
    for connection, hint in (("google-oauth2", "a"), ("github", "b"), ("google-oauth2", "c")):
        tenant.connect_account("auth0|jane", connection, login_hint=hint)
    tenant.connect_account(tenant.add_user("auth0|max").user_id, "github")
    tenant.add_connection("db")
    tenant.add_connection("google-oauth2", strategy="google-oauth2")
    first = call(tenant, "GET", "/accounts?take=2").json()
    second = call(tenant, "GET", f"/accounts?take=2&from={first['next']}").json()
    filtered = call(tenant, "GET", "/accounts?connection=github").json()
    connections = call(tenant, "GET", "/connections").json()

    assert ["google-oauth2", "github", "google-oauth2"] == [
        each["connection"] for each in [*first["accounts"], *second["accounts"]]
    ]
    assert ("next" in second, ["github"]) == (False, [each["connection"] for each in filtered["accounts"]])
    assert {"connections": [{"name": "google-oauth2", "strategy": "google-oauth2"}]} == connections


def test_disconnecting(tenant: LocalTenant) -> None:
    """An account of one's own is deleted, and Token Vault has it no more; another user's does not exist."""
    own = tenant.connect_account("auth0|jane", "google-oauth2")
    other = tenant.connect_account(tenant.add_user("auth0|max").user_id, "google-oauth2")
    statuses = [call(tenant, "DELETE", f"/accounts/{each.id}").status_code for each in (own, own, other)]

    assert [204, 404, 404] == statuses
    assert 401 == exchange(tenant).status_code
    assert [other] == tenant.state.connected_accounts.of("auth0|max")


def test_tickets_and_codes_are_used_once(tenant: LocalTenant, clock: FakeClock) -> None:
    """A ticket consents once, a request is completed once, and both end after five minutes (assumption)."""
    ticket = call(tenant, "POST", "/connect", ASKED).json()["connect_params"]["ticket"]
    again = [browse(tenant, ticket).status_code for _ in range(2)]
    body = begin(tenant)
    statuses = [call(tenant, "POST", "/complete", body).status_code for _ in range(2)]
    late = begin(tenant)
    clock.advance(300)

    assert ([302, 400], [201, 400]) == (again, statuses)
    assert 400 == call(tenant, "POST", "/complete", late).status_code


@pytest.mark.parametrize(
    "changed",
    [
        {"connect_code": "another"},
        {"code_verifier": "w" * 43},
        {"code_verifier": None},
        {"redirect_uri": "https://evil.example/"},
        {"auth_session": "another"},
    ],
)
def test_completions_that_do_not_match(tenant: LocalTenant, changed: dict[str, Any]) -> None:
    """Code, verifier, redirect URI and session must be those of the request, and nothing is connected."""
    body = {name: value for name, value in {**begin(tenant), **changed}.items() if value is not None}

    assert 400 == call(tenant, "POST", "/complete", body).status_code
    assert [] == tenant.state.connected_accounts.of("auth0|jane")


def test_a_code_is_its_users_own(tenant: LocalTenant) -> None:
    """Another user does not complete the request, so that no account is connected to a stranger."""
    body = begin(tenant)
    tenant.accept(TYPE, "auth0|max")

    assert 400 == call(tenant, "POST", "/complete", body).status_code
    assert [] == tenant.state.connected_accounts.of("auth0|max")


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"connection": None}, "connection"),
        ({"connection": "c" * 129}, "connection"),
        ({"connection": "Username-Password-Authentication"}, "connection"),
        ({"redirect_uri": None}, "redirect_uri"),
        ({"redirect_uri": "http://app.example/"}, "redirect_uri"),
        ({"redirect_uri": "javascript:alert(1)"}, "redirect_uri"),
        ({"redirect_uri": "https://app.example/#a"}, "redirect_uri"),
        ({"code_challenge": "short"}, "code_challenge"),
        ({"code_challenge_method": "none"}, "code_challenge_method"),
        ({"authorization_params": "login"}, "authorization_params"),
        ({"conection": "x"}, "conection"),
    ],
)
def test_requests_that_are_refused(tenant: LocalTenant, changed: dict[str, Any], field: str) -> None:
    """What the schema of the API does not take is a 400 that names the field."""
    body = {name: value for name, value in {**ASKED, **changed}.items() if value is not None}
    problem = call(tenant, "POST", "/connect", body).json()

    assert (400, [field]) == (problem["status"], [each["field"] for each in problem["validation_errors"]])
    assert {"type", "status", "title", "detail", "validation_errors"} == problem.keys()


@pytest.mark.parametrize("query", ["take=0", "take=21", "take=all", "from=x"])
def test_pages_that_are_refused(tenant: LocalTenant, query: str) -> None:
    """A page has 1 to 20 accounts."""
    assert 400 == call(tenant, "GET", f"/accounts?{query}").status_code


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/connect", "read:me:connected_accounts"),
        ("POST", "/complete", "read:me:connected_accounts"),
        ("GET", "/accounts", "create:me:connected_accounts"),
        ("GET", "/connections", "create:me:connected_accounts"),
        ("DELETE", "/accounts/cac_1", "read:me:connected_accounts"),
    ],
)
def test_scopes(tenant: LocalTenant, method: str, path: str, scope: str) -> None:
    """Each endpoint needs the scope that the API documents: 403 without it, 401 without a token."""
    refused = call(tenant, method, path, {}, scope=scope)
    without = call(tenant, method, path, {}, headers={"Authorization": ""})

    assert (403, 401) == (refused.status_code, without.status_code)
    assert {"type", "status", "title", "detail"} == refused.json().keys() == without.json().keys()


def test_json_alone(tenant: LocalTenant) -> None:
    """Another type of content is a 415."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}

    assert 415 == call(tenant, "POST", "/connect", ASKED, headers=headers).status_code


def test_reset_forgets_requests(tenant: LocalTenant) -> None:
    """A ticket of before a reset is dead."""
    ticket = call(tenant, "POST", "/connect", ASKED).json()["connect_params"]["ticket"]
    tenant.reset()

    assert 400 == browse(tenant, ticket).status_code


class _Store:
    """Keeps what auth0-server-python wants kept, as its users' stores do."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    async def set(self, key: str, value: Any, *_more: Any, **_options: Any) -> None:
        self.kept[key] = value

    async def get(self, key: str, *_more: Any, **_options: Any) -> Any:
        return self.kept.get(key)

    async def delete(self, key: str, *_more: Any, **_options: Any) -> None:
        self.kept.pop(key, None)


def test_auth0_server_python_connects_an_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real package logs in, connects an account, reads its token, lists it and deletes it."""
    tenant = LocalTenant()
    tenant.sessions.rotate_refresh_tokens = False
    tenant.accept(TYPE, "auth0|jane")

    async def use(domain: str, bundle: str) -> dict[str, Any]:
        client = ServerClient(
            domain,
            tenant.client_id,
            tenant.client_secret,
            redirect_uri=BACK,
            secret="a secret of 32 bytes or more",
            state_store=_Store(),
            transaction_store=_Store(),
        )
        await client.login_with_custom_token_exchange(
            sibling_types.LoginWithCustomTokenExchangeOptions(
                subject_token="x", subject_token_type=TYPE, scope="openid offline_access"
            )
        )
        options = sibling_types.ConnectAccountOptions(connection="google-oauth2", scopes=["calendar"])
        url = await client.start_connect_account(options)
        back = requests.get(url, allow_redirects=False, verify=bundle, timeout=30).headers["location"]
        account = await client.complete_connect_account(back)
        token = await client.get_access_token_for_connection({"connection": "google-oauth2"})
        listed = await client.list_connected_accounts()
        connections = await client.list_connected_account_connections()
        await client.delete_connected_account(account.id)
        left = await client.list_connected_accounts()
        return {
            "scopes": account.scopes,
            "token": token,
            "listed": [each.id for each in listed.accounts] == [account.id],
            "connections": [each.name for each in connections.connections],
            "left": left.accounts,
        }

    with tenant, tenant.serve(tls=True) as server, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what its dependencies deprecate is its own business
        monkeypatch.setenv("SSL_CERT_FILE", server.ca_bundle or "")
        done = anyio.run(use, server.domain.removeprefix("https://"), server.ca_bundle or "")

    assert (["calendar"], True, ["google-oauth2"], []) == (
        done["scopes"],
        done["listed"],
        done["connections"],
        done["left"],
    )
    assert done["token"]
