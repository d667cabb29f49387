"""How applications authenticate at the local tenant."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import quote_plus

import pytest

from auth0_cte import CustomTokenExchangeError
from auth0_cte.jose import SigningKey
from auth0_cte.testing import LocalTenant
from tests.testing.test_exchange import GRANT, TYPE, ask

UNAUTHORIZED = {"error": "access_denied", "error_description": "Unauthorized"}


@pytest.fixture
def tenant() -> LocalTenant:
    made = LocalTenant()
    made.accept(TYPE, "auth0|jane")
    made.add_application("basic", "s&cret: %+", auth_method="client_secret_basic")
    made.add_application("public", auth_method="none")
    return made


def basic(client_id: str, client_secret: str) -> dict[str, str]:
    """Return the header of HTTP Basic, its parts form-encoded first."""
    pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


GOOD: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "post": ({}, {}),
    "basic": ({"client_id": None, "client_secret": None}, basic("basic", "s&cret: %+")),
    "basic with client_id": ({"client_id": "basic", "client_secret": None}, basic("basic", "s&cret: %+")),
    "none": ({"client_id": "public", "client_secret": None}, {}),
}
BAD: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "wrong secret": ({"client_secret": "wrong"}, {}),
    "empty secret": ({"client_secret": ""}, {}),
    "no secret": ({"client_secret": None}, {}),
    "unknown application": ({"client_id": "nobody"}, {}),
    "wrong basic secret": ({"client_id": None, "client_secret": None}, basic("basic", "wrong")),
    "unencoded basic secret": (
        {"client_id": None, "client_secret": None},
        {"Authorization": "Basic " + base64.b64encode(b"basic:s&cret: %+").decode()},
    ),
    "malformed basic": ({"client_id": None, "client_secret": None}, {"Authorization": "Basic %%%"}),
    "basic for another client_id": ({"client_id": "public", "client_secret": None}, basic("basic", "s&cret: %+")),
    "post by a basic application": ({"client_id": "basic", "client_secret": "s&cret: %+"}, {}),
    "secret of a public application": ({"client_id": "public", "client_secret": "x"}, {}),
    "basic and post at once": ({"client_id": "basic", "client_secret": "s&cret: %+"}, basic("basic", "s&cret: %+")),
    "bearer": ({"client_secret": None}, {"Authorization": "Bearer x"}),
}


@pytest.mark.parametrize(("form", "headers"), GOOD.values(), ids=GOOD)
def test_proof_is_accepted(tenant: LocalTenant, form: dict[str, Any], headers: dict[str, str]) -> None:
    """An application that authenticates by its own method is served."""
    assert 200 == ask(tenant, headers=headers, **form).status_code


@pytest.mark.parametrize(("form", "headers"), BAD.values(), ids=BAD)
def test_proof_is_refused(tenant: LocalTenant, form: dict[str, Any], headers: dict[str, str]) -> None:
    """All else is a 401 that does not tell what was wrong, and a fecte entry that does."""
    reply = ask(tenant, headers=headers, **form)

    assert (401, UNAUTHORIZED) == (reply.status_code, reply.json())
    assert ("fecte", False) == (tenant.logs[-1].type, tenant.logs[-1].description == "Unauthorized")


@pytest.mark.parametrize("client_id", [None, "local-client"])
def test_basic_is_accepted_where_post_is_set(tenant: LocalTenant, client_id: str | None) -> None:
    """An application with client_secret_post may send Basic, as auth0-server-python does (assumption)."""
    headers = basic(tenant.client_id, tenant.client_secret)

    assert 200 == ask(tenant, headers=headers, client_id=client_id, client_secret=None).status_code


@pytest.mark.parametrize("method", ["none", "private_key_jwt"])
def test_basic_is_refused_without_a_secret_method(tenant: LocalTenant, method: Any) -> None:
    """An application that has no secret is not let in by Basic, whatever the secret is."""
    keys: dict[str, Any] = (
        {"public_keys": [SigningKey.generate("RS256").public_jwk()]} if method == "private_key_jwt" else {}
    )
    tenant.add_application("other", auth_method=method, **keys)

    for secret in ("", "None", tenant.client_secret):
        assert 401 == ask(tenant, headers=basic("other", secret), client_id=None, client_secret=None).status_code


def test_grant_not_enabled(tenant: LocalTenant) -> None:
    """An application without Custom Token Exchange is told so."""
    tenant.add_application("web", "secret", token_exchange=False)
    reply = ask(tenant, client_id="web", client_secret="secret")

    expected = f"Grant type '{GRANT}' not allowed for the client."
    assert (403, "unauthorized_client") == (reply.status_code, reply.json()["error"])
    assert expected == reply.json()["error_description"]


def test_secret_is_made_up(tenant: LocalTenant) -> None:
    """An application that needs a secret and is given none gets a random one."""
    made = {tenant.add_application(name).client_secret for name in ("a", "b")} | {tenant.client_secret}

    assert (3, True) == (len(made), all(secret and len(secret) >= 64 for secret in made))


def test_public_application_has_no_secret(tenant: LocalTenant) -> None:
    """A secret for a public application is a mistake."""
    with pytest.raises(ValueError, match="has no secret"):
        tenant.add_application("spa", "secret", auth_method="none")


def test_unknown_algorithm(tenant: LocalTenant) -> None:
    """An ID token algorithm that the tenant does not have is refused."""
    with pytest.raises(ValueError, match="id_token_alg must be one of RS256, PS256, ES256, HS256"):
        tenant.add_application("web", id_token_alg="none")


def test_repr_has_no_secret(tenant: LocalTenant) -> None:
    """An application does not show its secret."""
    assert "s3cret" not in repr(tenant.add_application("web", "s3cret"))


@pytest.mark.parametrize("client_id", ["local-client", "basic", "public"])
def test_client_authenticates_as_the_application_does(tenant: LocalTenant, client_id: str) -> None:
    """The client of any registered application has its secret and its method."""
    with tenant.client(client_id=client_id) as client:
        response = client.custom_token_exchange({"subject_token": "the-token", "subject_token_type": TYPE})

    assert "Bearer" == response.token_type


def test_client_arguments_can_be_overridden(tenant: LocalTenant) -> None:
    """What is passed to client() wins."""
    with (
        tenant.client(client_secret="wrong") as client,
        pytest.raises(CustomTokenExchangeError, match="Unauthorized") as caught,
    ):
        client.custom_token_exchange({"subject_token": "the-token", "subject_token_type": TYPE})

    assert (401, "access_denied") == (caught.value.status_code, caught.value.code)
