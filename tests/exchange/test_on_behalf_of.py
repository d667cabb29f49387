"""On-Behalf-Of: an API goes on with the access token that it was called with."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest

from auth0_cte import AsyncServerClient, ConfigurationError, CustomTokenExchangeError, PublicClient, ServerClient
from auth0_cte.testing import FakeClock, LocalTenant
from auth0_cte.token_types import ACCESS_TOKEN, SESSION_TRANSFER_TOKEN
from tests.exchanges import claims_of

MCP = "https://mcp.example.com"
API = "https://api.example.com"
CALENDAR = "https://calendar.example.com"
LOGIN = "urn:acme:mcp-token"


@pytest.fixture
def tenant() -> LocalTenant:
    """A tenant with an application that users log in at, and three APIs, two of which call others."""
    made = LocalTenant(clock=FakeClock(), client_id="spa")
    made.accept(LOGIN, "auth0|ada")
    made.add_api(MCP)
    made.add_api(API, ["read:data"], token_lifetime=600)
    made.add_api(CALENDAR, token_dialect="rfc9068_profile")
    made.add_application("mcp-server", resource_server=MCP)
    made.add_application("api", auth_method="client_secret_basic", resource_server=API)
    return made


def users_token(tenant: LocalTenant, audience: str = MCP, scope: str | None = None) -> str:
    options = {"subject_token": "x", "subject_token_type": LOGIN, "audience": audience, "scope": scope}
    return tenant.client().custom_token_exchange(options).access_token


@pytest.fixture
def client(tenant: LocalTenant) -> ServerClient:
    return tenant.client(client_id="mcp-server")


def test_the_user_stays_and_the_chain_grows(tenant: LocalTenant, client: ServerClient) -> None:
    """Each API that goes on is put before those that acted so far; the application of the login is the first."""
    response = client.get_token_on_behalf_of(users_token(tenant), API, "read:data")
    claims = claims_of(tenant, response.access_token)
    assert ("auth0|ada", API, "mcp-server", "read:data") == tuple(
        claims[name] for name in ("sub", "aud", "azp", "scope")
    )
    assert {"sub": "mcp-server", "act": {"sub": "spa"}} == claims["act"]
    next_one = tenant.client(client_id="api").get_token_on_behalf_of(response.access_token, CALENDAR)
    claims = claims_of(tenant, next_one.access_token)
    assert {"sub": "api", "act": {"sub": "mcp-server", "act": {"sub": "spa"}}} == claims["act"]
    assert ("auth0|ada", "api") == (claims["sub"], claims["client_id"])


def test_the_response_is_an_access_tokens(tenant: LocalTenant, client: ServerClient) -> None:
    """The reply is typed, and has neither an ID token nor a refresh token."""
    response = client.get_token_on_behalf_of(users_token(tenant), API, ["read:data", "openid", "offline_access"])
    assert ("Bearer", 600, ACCESS_TOKEN) == (response.token_type, response.expires_in, response.issued_token_type)
    assert tenant.clock() + 600 == response.expires_at
    assert (None, None, None) == (response.id_token, response.refresh_token, response.act_verified)
    assert "read:data" == response.scope


def test_the_request_is_the_documented_one(tenant: LocalTenant, client: ServerClient) -> None:
    """Both types are that of an access token, and further parameters go along."""
    tenant.add_organization("org_1", name="acme")
    token = users_token(tenant)
    client.get_token_on_behalf_of(
        lambda: token, API, organization="org_1", forwarded_for="192.0.2.1", authorization_params={"x": 1}
    )
    sent = tenant.token_requests[-1]
    assert (token, ACCESS_TOKEN, ACCESS_TOKEN, API, "org_1", "1") == tuple(
        sent.form[name]
        for name in ("subject_token", "subject_token_type", "requested_token_type", "audience", "organization", "x")
    )
    assert "192.0.2.1" == sent.headers["auth0-forwarded-for"]


def test_the_reserved_type_is_no_finding(
    tenant: LocalTenant, client: ServerClient, caplog: pytest.LogCaptureFixture
) -> None:
    """On-Behalf-Of is the one use of its type that nobody is warned of; a profile of that type is another matter."""
    caplog.set_level(logging.WARNING)
    token = users_token(tenant)
    client.get_token_on_behalf_of(token, API)
    assert [] == caplog.records
    with pytest.raises(CustomTokenExchangeError):
        client.custom_token_exchange({"subject_token": token, "subject_token_type": ACCESS_TOKEN})
    assert "On-Behalf-Of" in caplog.text


@pytest.mark.parametrize("token", ["Bearer x", "bearer\tx", "BEARER", "", " ", " x", "x\n", "\u20ac", None, 5, b"x"])
def test_a_malformed_token_is_refused_unsent(token: Any, tenant: LocalTenant, client: ServerClient) -> None:
    """The rules of an exchange hold, and the message names the argument."""
    with pytest.raises(CustomTokenExchangeError, match="access_token") as caught:
        client.get_token_on_behalf_of(token, API)
    assert "INVALID_TOKEN_FORMAT" == caught.value.code
    with pytest.raises(CustomTokenExchangeError) as caught:
        client.get_token_on_behalf_of(lambda: token, API)
    assert "INVALID_TOKEN_FORMAT" == caught.value.code
    assert [] == tenant.token_requests


@pytest.mark.parametrize("audience", [None, "", " ", 5])
def test_an_audience_is_required(audience: Any, tenant: LocalTenant, client: ServerClient) -> None:
    """Without an audience there is nothing to exchange for, whatever the client's defaults are."""
    with pytest.raises(CustomTokenExchangeError, match="audience") as caught:
        client.get_token_on_behalf_of("token", audience)
    assert "INVALID_OPTIONS" == caught.value.code
    assert [] == tenant.token_requests


def test_a_public_application_is_refused_unsent(tenant: LocalTenant) -> None:
    """Auth0 wants an application that authenticates."""
    with pytest.raises(ConfigurationError, match="authenticate"):
        tenant.client(client_auth=PublicClient()).get_token_on_behalf_of("token", API)
    assert [] == list(tenant.requests)


def test_another_kind_of_token_is_no_result(tenant: LocalTenant, client: ServerClient) -> None:
    """A reply that names another kind of token is not usable."""
    tenant.fail_next(200, body={"access_token": "stt", "issued_token_type": SESSION_TRANSFER_TOKEN})
    with pytest.raises(CustomTokenExchangeError) as caught:
        client.get_token_on_behalf_of("token", API)
    assert "INVALID_RESPONSE" == caught.value.code


def _expired(tenant: LocalTenant) -> str:
    token = users_token(tenant)
    tenant.clock.advance(86_400)  # type: ignore[attr-defined]
    return token


def _of_another_tenant(tenant: LocalTenant) -> str:
    other = LocalTenant(tenant.domain, clock=tenant.clock, client_id="spa")
    other.accept(LOGIN, "auth0|ada")
    return users_token(other)


def _of_nobody(tenant: LocalTenant) -> str:
    token = users_token(tenant)
    tenant.delete_user("auth0|ada")
    return token


REFUSED = {
    "text": lambda _: "opaque",
    "expired": _expired,
    "another-tenant": _of_another_tenant,
    "nobody": _of_nobody,
    "another-api": lambda tenant: users_token(tenant, CALENDAR),
    "id-token": lambda tenant: tenant.id_token("auth0|ada", aud=MCP),
}


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED.keys())
def test_the_tenant_verifies_the_subject_token(make: Any, tenant: LocalTenant, client: ServerClient) -> None:
    """A token that is not an access token of the tenant, for the API that asks, is refused."""
    with pytest.raises(CustomTokenExchangeError, match="Invalid subject_token") as caught:
        client.get_token_on_behalf_of(make(tenant), API)
    assert ("invalid_request", 401) == (caught.value.code, caught.value.status_code)
    assert tenant.logs[-1].description.startswith("the subject token is invalid: ")


def test_the_sixth_actor_is_refused(tenant: LocalTenant) -> None:
    """Four can go on; a subject token with five levels is at the end."""
    tenant.add_application("relay")
    client = tenant.client(client_id="relay")
    token = users_token(tenant)
    for _ in range(4):
        token = client.get_token_on_behalf_of(token, MCP).access_token
    with pytest.raises(CustomTokenExchangeError, match="depth exceeds") as caught:
        client.get_token_on_behalf_of(token, MCP)
    assert "invalid_request" == caught.value.code


def test_the_mirror_and_a_socket(tenant: LocalTenant) -> None:
    """The same over a real connection, awaited."""
    with tenant.serve() as server:
        client = server.client(client_id="mcp-server")
        options = {"subject_token": "x", "subject_token_type": LOGIN, "audience": MCP}
        with server.client() as spa:
            token = spa.custom_token_exchange(options).access_token

        async def main() -> str:
            async with AsyncServerClient.from_sync(client) as mirror:
                return (await mirror.get_token_on_behalf_of(token, API)).access_token

        assert {"sub": "mcp-server", "act": {"sub": "spa"}} == claims_of(tenant, anyio.run(main))["act"]
