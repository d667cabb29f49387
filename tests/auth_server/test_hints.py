"""What an error says and advises, by situation: true of that situation, and of none else."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import pytest

from auth0_cte import Auth0CTEError, CustomTokenExchangeError, ServerClient, SessionError
from auth0_cte.testing import LocalTenant
from tests.exchanges import LEGACY_TYPE, SESSION_SECRET, make_legacy_tenant

LOGIN: dict[str, Any] = {"subject_token": "x", "subject_token_type": LEGACY_TYPE}
API = "https://api.example.com"


@pytest.fixture
def tenant() -> LocalTenant:
    tenant = make_legacy_tenant()
    tenant.add_api(API)

    @tenant.action("urn:acme:raises")
    def fail(event: Any, api: Any) -> None:
        raise LookupError("no table")

    @tenant.action("urn:acme:denies")
    def deny(event: Any, api: Any) -> None:
        api.access.deny("legacy_account_locked", "The account is locked.")

    return tenant


@pytest.fixture
def client(tenant: LocalTenant) -> ServerClient:
    return tenant.client(secret=SESSION_SECRET)


def exchange(**more: Any) -> Callable[[ServerClient, LocalTenant], object]:
    return lambda client, _: client.custom_token_exchange({**LOGIN, **more})


def scripted(status: int, **more: Any) -> Callable[[ServerClient, LocalTenant], object]:
    def call(client: ServerClient, tenant: LocalTenant) -> object:
        tenant.fail_next(status, **more)
        return client.custom_token_exchange(LOGIN)

    return call


def wrong_secret(_client: ServerClient, tenant: LocalTenant) -> object:
    client = ServerClient(tenant.domain, tenant.client_id, "wrong", session=tenant.session())
    return client.custom_token_exchange(LOGIN)


def from_the_future(client: ServerClient, tenant: LocalTenant) -> object:
    token = tenant.id_token("auth0|ada", iat=9_999_999_999)
    tenant.fail_next(200, body={"access_token": "a", "id_token": token})
    return client.login_with_custom_token_exchange(LOGIN, {"cookies": {}})


def without_id_token(client: ServerClient, tenant: LocalTenant) -> object:
    tenant.fail_next(200, body={"access_token": "a"})
    return client.login_with_custom_token_exchange(LOGIN, {"cookies": {}})


def token_of_an_api_that_was_never_had(client: ServerClient, _tenant: LocalTenant) -> object:
    jar: dict[str, str] = {}
    client.login_with_custom_token_exchange(LOGIN, {"cookies": jar})
    return client.get_access_token({"cookies": jar}, API)


def transfer_without_actor(client: ServerClient, _tenant: LocalTenant) -> object:
    jar: dict[str, str] = {}
    client.login_with_custom_token_exchange(LOGIN, {"cookies": jar})
    return client.request_session_transfer_token("x", LEGACY_TYPE, store_options={"cookies": jar})


def without_response(client: ServerClient, _tenant: LocalTenant) -> object:
    return client.login_with_custom_token_exchange(LOGIN)


SITUATIONS: dict[str, tuple[Callable[[ServerClient, LocalTenant], object], str, str, str]] = {
    "an audience that does not exist": (exchange(audience="https://nope"), "access_denied", "audience", "secret"),
    "an organization that does not exist": (exchange(organization="nope"), "invalid_request", "organization", "secret"),
    "no subject_token_type": (
        exchange(subject_token_type=None),
        "INVALID_TOKEN_FORMAT",
        "profile is registered",
        "Bearer",
    ),
    "a Bearer prefix": (exchange(subject_token="Bearer x"), "INVALID_TOKEN_FORMAT", "Bearer prefix", "profile"),
    "an unregistered type": (exchange(subject_token_type="urn:x:y"), "invalid_request", "profile", "secret"),
    "a wrong secret": (wrong_secret, "access_denied", "client_secret", "Action"),
    "503": (scripted(503), "temporarily_unavailable", "try again later", "Action"),
    "502 of a proxy": (scripted(502, body="<html>"), "TOKEN_EXCHANGE_FAILED", "try again later", "Action"),
    "an Action that raises": (exchange(subject_token_type="urn:acme:raises"), "server_error", "Action failed", "clock"),
    "an Action that denies": (
        exchange(subject_token_type="urn:acme:denies"),
        "legacy_account_locked",
        "Action gave this code",
        "secret",
    ),
    "an ID token of the future": (from_the_future, "INVALID_ID_TOKEN", "leeway", "Do not use"),
    "an API that is closed to the application": (
        scripted(403, body={"error": "access_denied", "error_description": "Client is not authorized to access it."}),
        "access_denied",
        "audience",
        "secret",
    ),
    "a login without ID token": (without_id_token, "MISSING_ID_TOKEN", "openid", "Do not use"),
    "a token that was never had": (
        token_of_an_api_that_was_never_had,
        "MISSING_REFRESH_TOKEN",
        "offline_access",
        "expired",
    ),
    "a transfer without setActor": (transfer_without_actor, "invalid_request", "setActor", "profile"),
    "a login without a request": (without_response, "REQUEST_MISSING", "store_options", "spent"),
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_hint_is_true_of_its_situation(situation: str, client: ServerClient, tenant: LocalTenant) -> None:
    """The code is that of the situation, and the hint names what to look at and not what others would look at."""
    call, code, word, other = SITUATIONS[situation]
    with pytest.raises(Auth0CTEError) as caught:
        call(client, tenant)
    assert code == caught.value.code
    assert word in f"{caught.value.message} {caught.value.hint}"
    assert other not in f"{caught.value.message} {caught.value.hint}"


def test_text_has_code_host_status_and_request(client: ServerClient, tenant: LocalTenant) -> None:
    """``str()`` tells what support asks for, and the message stays what it is."""
    tenant.fail_next(400, "invalid_request", "wrong", headers={"x-auth0-requestid": "r-1"})
    with pytest.raises(CustomTokenExchangeError) as caught:
        client.custom_token_exchange(LOGIN)
    assert f"wrong (invalid_request, {tenant.domain}, HTTP 400, request r-1)" == str(caught.value)
    assert "wrong" == caught.value.message


def test_tracebacks_show_the_hint() -> None:
    """The hint is a note, below which stand the notes that others add; each error has its own."""
    first, second = SessionError("x", code="MISSING_SESSION"), SessionError("y", code="MISSING_SESSION")
    first.add_note("and more")
    assert ["Log the user in.", "and more"] == first.__notes__
    assert ["Log the user in."] == second.__notes__
    assert "Log the user in." in "".join(traceback.format_exception(second))


def test_an_error_without_a_hint_has_no_note() -> None:
    """A hint falls back to nothing rather than to a guess."""
    assert [] == Auth0CTEError("x").__notes__
