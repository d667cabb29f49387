"""Token Vault at the tenant: tokens of other providers (source: Auth0, "Token Vault")."""

from __future__ import annotations

from typing import Any

import pytest

from auth0_cte.testing import FakeClock, LocalTenant
from tests.testing.test_exchange import ACCESS_TOKEN, TYPE, ask

GRANT = "urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token"
PROVIDER_TOKEN = "http://auth0.com/oauth/token-type/federated-connection-access-token"
REFRESH_TOKEN = "urn:ietf:params:oauth:token-type:refresh_token"
API = "https://api.acme.example"


@pytest.fixture
def tenant(clock: FakeClock) -> LocalTenant:
    made = LocalTenant(clock=clock)
    made.accept(TYPE, "auth0|jane")
    made.sessions.rotate_refresh_tokens = False
    made.connect_account(
        "auth0|jane", "google-oauth2", scopes=["calendar"], login_hint="jane@example.com", access_token="ya29.first"
    )
    return made


def exchange(tenant: LocalTenant, **form: Any) -> Any:
    """Ask for a provider's token, with the refresh token of a login unless another subject is given."""
    if "subject_token" not in form:
        form["subject_token"] = ask(tenant, scope="offline_access").json()["refresh_token"]
    usual = {
        "grant_type": GRANT,
        "subject_token_type": REFRESH_TOKEN,
        "requested_token_type": PROVIDER_TOKEN,
        "connection": "google-oauth2",
    }
    return ask(tenant, **{**usual, **form})


def test_providers_token(tenant: LocalTenant) -> None:
    """The reply has the provider's token, its scope and what is left of its life."""
    reply = exchange(tenant)

    assert {
        "access_token": "ya29.first",
        "scope": "calendar",
        "expires_in": 3600,
        "issued_token_type": PROVIDER_TOKEN,
        "token_type": "Bearer",
    } == reply.json()
    assert (200, "no-store") == (reply.status_code, reply.headers["Cache-Control"])


def test_expired_token_is_renewed(tenant: LocalTenant, clock: FakeClock) -> None:
    """Once the provider's token has expired, another one comes, and stays until it expires."""
    clock.advance(3599)
    old = exchange(tenant).json()
    clock.advance(1)
    renewed, again = exchange(tenant).json(), exchange(tenant).json()

    assert ("ya29.first", 1) == (old["access_token"], old["expires_in"])
    assert ("ya29.first" != renewed["access_token"], 3600) == (True, renewed["expires_in"])
    assert renewed["access_token"] == again["access_token"]


def test_provider_that_revoked_the_grant(tenant: LocalTenant, clock: FakeClock) -> None:
    """When the provider gives no further token, the exchange is a 401."""
    (account,) = tenant.state.connected_accounts.of("auth0|jane")
    account.is_revoked = True
    clock.advance(3600)

    assert 401 == exchange(tenant).status_code


def test_account_is_chosen_by_login_hint(tenant: LocalTenant) -> None:
    """Of several accounts at a connection the login_hint names one; without, it is the first."""
    tenant.connect_account("auth0|jane", "google-oauth2", login_hint="work@example.com", access_token="ya29.work")

    assert ["ya29.first", "ya29.work"] == [
        exchange(tenant, login_hint=hint).json()["access_token"] for hint in (None, "work@example.com")
    ]


@pytest.mark.parametrize("form", [{"connection": "github"}, {"login_hint": "other@example.com"}])
def test_account_that_is_not_connected(tenant: LocalTenant, form: Any) -> None:
    """Without such an account the exchange is a 401 with a code of its own (code: assumption)."""
    reply = exchange(tenant, **form)

    assert (401, "federated_connection_refresh_token_not_found") == (reply.status_code, reply.json()["error"])


@pytest.mark.parametrize(
    "form",
    [
        {"connection": None},
        {"requested_token_type": None},
        {"requested_token_type": ACCESS_TOKEN},
        {"subject_token_type": "urn:acme:token"},
        {"subject_token_type": ACCESS_TOKEN},
    ],
)
def test_bad_requests(tenant: LocalTenant, form: Any) -> None:
    """A parameter that is missing or another one is a 400; access tokens are for Custom API clients alone."""
    assert 400 == exchange(tenant, **form).status_code


def test_dead_refresh_token(tenant: LocalTenant) -> None:
    """A refresh token that is revoked or unknown is a 401."""
    assert (401, "invalid_grant") == (
        exchange(tenant, subject_token="v1.dead").status_code,
        exchange(tenant, subject_token="v1.dead").json()["error"],
    )


def test_access_token_of_a_custom_api_client(tenant: LocalTenant) -> None:
    """An API exchanges the access token that it was called with, if that is for itself."""
    tenant.add_application("api", "api-secret", resource_server=API)
    subject = ask(tenant, audience=API).json()["access_token"]
    foreign = ask(tenant, audience="https://other.acme.example").json()["access_token"]
    form = {"client_id": "api", "client_secret": "api-secret", "subject_token_type": ACCESS_TOKEN}

    assert [200, 401] == [exchange(tenant, subject_token=each, **form).status_code for each in (subject, foreign)]


@pytest.mark.parametrize("application", [{"token_vault": False}, {"first_party": False}, {"auth_method": "none"}])
def test_applications_that_may_not(tenant: LocalTenant, application: Any) -> None:
    """The grant is for first-party, confidential applications that have it enabled."""
    public = application.get("auth_method") == "none"
    tenant.add_application("other", None if public else "secret", **application)
    reply = exchange(tenant, subject_token="t", client_id="other", client_secret=None if public else "secret")

    assert (403, "unauthorized_client") == (reply.status_code, reply.json()["error"])


def test_rotation_is_warned_of_or_refused(caplog: pytest.LogCaptureFixture) -> None:
    """Auth0 needs rotation off: a strict tenant refuses, another one warns."""
    statuses = []
    for strict in (True, False):
        made = LocalTenant(strict=strict)
        made.accept(TYPE, "auth0|jane")
        made.connect_account("auth0|jane", "google-oauth2")
        statuses.append(exchange(made).status_code)

    assert [403, 200] == statuses
    assert "Auth0 needs refresh token rotation off" in caplog.text
