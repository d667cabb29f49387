"""Token Vault: the tokens of other providers, for the users of sessions."""

from __future__ import annotations

import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from auth0_cte import (
    AccessTokenForConnectionError,
    AccessTokenForConnectionErrorCode,
    AsyncServerClient,
    CookieStateStore,
    DPoPKey,
    MemoryStateStore,
    ServerClient,
    Session,
)
from auth0_cte.session.stores.contract import StateStore
from auth0_cte.testing import FakeClock, LocalTenant
from tests.session.clients import SECRET, MakeClient, new_jar, options
from tests.session.test_siblings import IDENTIFIER, request_with, run

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # their models are written in pydantic's old way
    from auth0_fastapi.stores import StatelessStateStore  # type: ignore[import-untyped]
    from auth0_server_python.auth_server import server_client as sibling  # type: ignore[import-untyped]
    from auth0_server_python.auth_types import StateData  # type: ignore[import-untyped]
    from auth0_server_python.error import AccessTokenForConnectionError as TheirError  # type: ignore[import-untyped]
    from starlette.responses import Response

GRANT = "urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token"
GOOGLE = {"connection": "google-oauth2"}
WORK = {"connection": "google-oauth2", "login_hint": "work@example.com"}


@pytest.fixture
def tenant(tenant: LocalTenant) -> LocalTenant:
    """A tenant where Ada has connected two accounts at Google."""
    tenant.sessions.rotate_refresh_tokens = False
    tenant.add_user("auth0|ada")
    tenant.connect_account("auth0|ada", "google-oauth2", scopes=["calendar"], access_token="ya29.private")
    tenant.connect_account("auth0|ada", "google-oauth2", login_hint="work@example.com", access_token="ya29.work")
    return tenant


def log_in(client: ServerClient, jar: dict[str, str]) -> Session:
    return client.login_with_custom_token_exchange(options(scope="offline_access"), {"cookies": jar}).session


def vault_requests(tenant: LocalTenant) -> list[dict[str, Any]]:
    forms = [dict(request.form) for request in tenant.token_requests]
    return [form for form in forms if form["grant_type"] == GRANT]


def test_the_providers_token_is_kept_until_it_expires(
    tenant: LocalTenant, store: StateStore, clock: FakeClock, make_client: MakeClient
) -> None:
    """Auth0 is asked once for each life of the token, and the session's own tokens stay."""
    client, jar = make_client(tenant, store), new_jar()
    session = log_in(client, jar)
    assert "ya29.private" == client.get_access_token_for_connection(GOOGLE, {"cookies": jar})
    assert "ya29.private" == client.get_access_token_for_connection(GOOGLE, {"cookies": jar})
    assert 1 == len(vault_requests(tenant))
    clock.advance(3600)
    assert "ya29.private" != client.get_access_token_for_connection(GOOGLE, {"cookies": jar})
    assert 2 == len(vault_requests(tenant))
    after = client.get_session({"cookies": jar})
    assert after is not None
    assert (session.refresh_token, session.token_sets) == (after.refresh_token, after.token_sets)


def test_accounts_are_told_apart(tenant: LocalTenant, store: StateStore, make_client: MakeClient) -> None:
    """Each login_hint has a token of its own, by options or by keywords."""
    client, jar = make_client(tenant, store), new_jar()
    log_in(client, jar)
    for _ in range(2):
        assert ["ya29.private", "ya29.work", "ya29.work"] == [
            client.get_access_token_for_connection(store_options={"cookies": jar}, connection="google-oauth2"),
            client.get_access_token_for_connection(WORK, {"cookies": jar}),
            client.get_access_token_for_connection(
                store_options={"cookies": jar}, connection="google-oauth2", login_hint="work@example.com"
            ),
        ]
    assert [None, "work@example.com"] == [form.get("login_hint") for form in vault_requests(tenant)]


def test_the_request_is_as_auth0_has_it(tenant: LocalTenant, make_client: MakeClient) -> None:
    """The session's refresh token is the subject."""
    client, jar = make_client(tenant), new_jar()
    session = log_in(client, jar)
    client.get_access_token_for_connection(WORK, {"cookies": jar}, forwarded_for="203.0.113.7")
    (form,) = vault_requests(tenant)
    assert (session.refresh_token, "urn:ietf:params:oauth:token-type:refresh_token") == (
        form["subject_token"],
        form["subject_token_type"],
    )
    assert "http://auth0.com/oauth/token-type/federated-connection-access-token" == form["requested_token_type"]
    assert "203.0.113.7" == tenant.token_requests[-1].headers["auth0-forwarded-for"]


def test_twenty_threads_ask_once(tenant: LocalTenant, store: StateStore, make_client: MakeClient) -> None:
    """However many want the token at the same time, it is fetched once."""
    client, jar = make_client(tenant, store), new_jar()
    log_in(client, jar)
    ready = threading.Barrier(20)

    def ask(_: int) -> str:
        own = dict(jar)
        ready.wait(30)
        return client.get_access_token_for_connection(GOOGLE, {"cookies": own})

    with ThreadPoolExecutor(20) as pool:
        assert {"ya29.private"} == set(pool.map(ask, range(20)))
    assert 1 == len(vault_requests(tenant))


def test_a_token_too_large_for_cookies_is_returned_all_the_same(
    tenant: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """The session keeps what fits: its own tokens first, and the provider's token is asked for again."""
    large = "x" * 8000
    tenant.connect_account("auth0|ada", "sharepoint", access_token=large)
    client, jar = make_client(tenant, CookieStateStore()), new_jar()
    session = log_in(client, jar)
    client.get_access_token_for_connection(GOOGLE, {"cookies": jar})
    assert large == client.get_access_token_for_connection({"connection": "sharepoint"}, {"cookies": jar})
    assert 7_500 > sum(map(len, jar.values()))
    clock.advance(100)  # longer than what did not fit is remembered
    after = client.get_session({"cookies": jar})
    assert after is not None
    assert (session.refresh_token, session.token_sets) == (after.refresh_token, after.token_sets)
    assert large == client.get_access_token_for_connection({"connection": "sharepoint"}, {"cookies": jar})


def test_a_large_token_is_kept_by_a_server_side_store(
    tenant: LocalTenant, server_store: StateStore, make_client: MakeClient
) -> None:
    """There is room for it there."""
    tenant.connect_account("auth0|ada", "sharepoint", access_token="x" * 8000)
    client, jar = make_client(tenant, server_store), new_jar()
    log_in(client, jar)
    for _ in range(2):
        client.get_access_token_for_connection({"connection": "sharepoint"}, {"cookies": jar})
    assert 1 == len(vault_requests(tenant))


def test_a_refresh_that_does_not_fit_drops_the_providers_tokens_first(
    tenant: LocalTenant, clock: FakeClock, make_client: MakeClient
) -> None:
    """They can be had again; the access token that was asked for is kept."""
    tenant.connect_account("auth0|ada", "box", access_token="x" * 2500)
    client, jar = make_client(tenant, CookieStateStore()), new_jar()
    log_in(client, jar)
    client.get_access_token_for_connection({"connection": "box"}, {"cookies": jar})
    apis = [f"https://api-{number}.example.com" for number in range(2)]
    tokens = [client.get_access_token({"cookies": jar}, api) for api in apis]
    clock.advance(100)
    session = client.get_session({"cookies": jar})
    assert session is not None
    assert tokens[-1] == session.token_sets[-1].access_token
    assert session.refresh_token


def test_without_a_response_the_token_is_returned_and_not_kept(tenant: LocalTenant, make_client: MakeClient) -> None:
    """A session in cookies that cannot be set does not prevent it: the refresh token is not spent by it."""
    client, jar = make_client(tenant, CookieStateStore()), new_jar()
    log_in(client, jar)
    assert "ya29.private" == client.get_access_token_for_connection(GOOGLE, {"request": request_with(jar)})


def test_nobody_is_logged_in(tenant: LocalTenant, store: StateStore, make_client: MakeClient) -> None:
    """The code is that of auth0-server-python."""
    with pytest.raises(AccessTokenForConnectionError) as caught:
        make_client(tenant, store).get_access_token_for_connection(GOOGLE, {"cookies": {}})
    assert AccessTokenForConnectionErrorCode.MISSING_REFRESH_TOKEN == caught.value.code


def test_a_session_without_refresh_token(tenant: LocalTenant, make_client: MakeClient) -> None:
    """The error says what to log in with; nothing is sent."""
    client, jar = make_client(tenant), new_jar()
    client.login_with_custom_token_exchange(options(), {"cookies": jar})
    with pytest.raises(AccessTokenForConnectionError, match="refresh token") as caught:
        client.get_access_token_for_connection(GOOGLE, {"cookies": jar})
    assert "MISSING_REFRESH_TOKEN" == caught.value.code
    assert "offline_access" in caught.value.hint
    assert [] == vault_requests(tenant)


def test_an_account_that_is_not_connected(tenant: LocalTenant, store: StateStore, make_client: MakeClient) -> None:
    """Auth0's code and description are on the error, and the session is as it was."""
    client, jar = make_client(tenant, store), new_jar()
    log_in(client, jar)
    with pytest.raises(AccessTokenForConnectionError) as caught:
        client.get_access_token_for_connection({"connection": "github"}, {"cookies": jar})
    error = caught.value
    assert ("API_ERROR", 401, "federated_connection_refresh_token_not_found", False) == (
        error.code,
        error.status_code,
        error.error,
        error.is_retryable,
    )
    assert client.get_user({"cookies": jar})


def test_auth0_cannot_be_reached(tenant: LocalTenant, make_client: MakeClient) -> None:
    """The failure can be retried."""
    client, jar = make_client(tenant), new_jar()
    log_in(client, jar)
    tenant.fail_next(fault="close")
    with pytest.raises(AccessTokenForConnectionError) as caught:
        client.get_access_token_for_connection(GOOGLE, {"cookies": jar})
    assert ("FETCH_ERROR", True) == (caught.value.code, caught.value.is_retryable)


@pytest.mark.parametrize(
    "body",
    [
        {"token_type": "Bearer"},
        {"access_token": "t", "issued_token_type": "urn:ietf:params:oauth:token-type:access_token"},
        {"access_token": "t", "error": "odd"},
    ],
)
def test_a_reply_that_is_not_a_providers_token(body: Any, tenant: LocalTenant, make_client: MakeClient) -> None:
    """Another kind of token never passes for it."""
    client, jar = make_client(tenant), new_jar()
    log_in(client, jar)
    tenant.fail_next(200, body=body)
    with pytest.raises(AccessTokenForConnectionError) as caught:
        client.get_access_token_for_connection(GOOGLE, {"cookies": jar})
    assert "FETCH_ERROR" == caught.value.code


@pytest.mark.parametrize(
    ("given", "keywords"),
    [
        (None, {}),
        ({}, {}),
        ("google-oauth2", {}),
        ({"connection": ""}, {}),
        ({"connection": 5}, {}),
        ({"connection": "a\nb"}, {}),
        ({"connection": "google-oauth2", "login_hint": ""}, {}),
        ({"connection": "google-oauth2", "loginHint": "a"}, {}),
        ({"connection": "google-oauth2"}, {"connection": "github"}),
    ],
)
def test_options_that_cannot_work(given: Any, keywords: Any, tenant: LocalTenant, make_client: MakeClient) -> None:
    """They are refused before the session is looked for."""
    with pytest.raises(AccessTokenForConnectionError) as caught:
        make_client(tenant).get_access_token_for_connection(given, {"cookies": {}}, **keywords)
    assert "INVALID_OPTIONS" == caught.value.code


def test_a_dpop_key_does_not_matter(
    tenant: LocalTenant, make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """The provider's token is not bound to the client's key, and nobody is warned of that."""
    client, jar = make_client(tenant, dpop=DPoPKey.generate()), new_jar()
    log_in(client, jar)
    caplog.clear()
    assert "ya29.private" == client.get_access_token_for_connection(GOOGLE, {"cookies": jar})
    assert "not bound" not in caplog.text


def test_a_session_that_ends_meanwhile_keeps_nothing(tenant: LocalTenant, make_client: MakeClient) -> None:
    """A logout that comes between is not undone."""
    store = MemoryStateStore()
    client, jar = make_client(tenant, store), new_jar()
    log_in(client, jar)
    late = dict(jar)
    client.logout(store_options={"cookies": jar})
    with pytest.raises(AccessTokenForConnectionError):
        client.get_access_token_for_connection(GOOGLE, {"cookies": late})
    assert 0 == len(store)


def theirs_at(domain: str, tenant: LocalTenant) -> Any:
    """Make auth0-server-python's client of the same application, with the same secret."""
    return sibling.ServerClient(
        domain=domain,
        client_id=tenant.client_id,
        client_secret=tenant.client_secret,
        secret=SECRET,
        state_store=StatelessStateStore(SECRET),
        transaction_store=StatelessStateStore(SECRET),
    )


def test_their_model_takes_what_is_kept_here(tenant: LocalTenant, make_client: MakeClient) -> None:
    """Sessions with tokens of providers pass auth0-server-python's model, and its client serves from them."""
    client, jar = make_client(tenant), new_jar()
    log_in(client, jar)
    client.get_access_token_for_connection(GOOGLE, {"cookies": jar})
    client.get_access_token_for_connection(WORK, {"cookies": jar})
    found = run(StatelessStateStore(SECRET).get(IDENTIFIER, options={"request": request_with(jar)}))
    state: Any = StateData.model_validate(found)
    assert [("google-oauth2", "", "ya29.private"), ("google-oauth2", "work@example.com", "ya29.work")] == [
        (each.connection, each.login_hint, each.access_token) for each in state.connection_token_sets
    ]
    store_options = {"request": request_with(jar), "response": Response()}
    theirs = theirs_at(tenant.domain, tenant)
    # Their look-up goes by their own clock, to which the tenant's time is the future.
    assert "ya29.private" == run(theirs.get_access_token_for_connection(GOOGLE, store_options))


class Shapes:
    """A program for either package: ``await`` is dropped where nothing is awaited."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def call(self, given: dict[str, str], store_options: dict[str, Any]) -> str:
        result = self.client.get_access_token_for_connection(given, store_options)
        token: str = result if isinstance(result, str) else run(result)
        return token


@pytest.mark.parametrize("package", ["auth0_server_python", "auth0_cte", "auth0_cte, awaited"])
def test_the_shapes_of_their_document_run_on_both_packages(package: str) -> None:
    """One program: the token of a connection, that of an account, and the refusal of one that is not connected."""
    tenant = LocalTenant()
    tenant.accept("urn:acme:mcp-token", "auth0|ada")
    tenant.sessions.rotate_refresh_tokens = False
    tenant.connect_account("auth0|ada", "google-oauth2", access_token="ya29.private")
    tenant.connect_account("auth0|ada", "google-oauth2", login_hint="work@example.com", access_token="ya29.work")
    with tenant.serve(tls=True) as server, server.client(secret=SECRET) as ours:
        jar = new_jar()
        log_in(ours, jar)
        clients: dict[str, Any] = {
            "auth0_server_python": theirs_at(server.domain, tenant),
            "auth0_cte": ours,
            "auth0_cte, awaited": AsyncServerClient.from_sync(ours),
        }
        program = Shapes(clients[package])
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SSL_CERT_FILE", str(server.ca_bundle))
            store_options: dict[str, Any] = {"request": request_with(jar), "response": Response()}
            assert "ya29.private" == program.call({"connection": "google-oauth2"}, store_options)
            store_options = {"request": request_with(jar), "response": Response()}
            assert "ya29.work" == program.call(WORK, store_options)
            store_options = {"request": request_with(jar), "response": Response()}
            errors = (AccessTokenForConnectionError, TheirError)
            with pytest.raises(errors) as caught:
                program.call({"connection": "github"}, store_options)
    assert "api_error" == caught.value.code.lower()
