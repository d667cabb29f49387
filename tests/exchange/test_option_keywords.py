"""The options of an exchange and of a login, given by keywords."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from auth0_cte import (
    AsyncServerClient,
    CustomTokenExchangeError,
    CustomTokenExchangeOptions,
    ExchangeOptionsDict,
    ServerClient,
)
from auth0_cte.testing import LocalTenant

TYPE = "urn:acme:legacy-token"


@pytest.fixture
def client() -> Iterator[ServerClient]:
    """A client of a tenant that takes every token of one type."""
    tenant = LocalTenant()
    tenant.accept(TYPE, "auth0|ada")
    with tenant.client(secret="x" * 40) as client:
        yield client


def test_an_exchange_takes_its_options_by_keywords(client: ServerClient) -> None:
    """Keywords are the options: what was asked for is in the answer."""
    response = client.custom_token_exchange(subject_token="t", subject_token_type=TYPE, scope=["openid", "email"])
    assert response.claims is not None
    assert "auth0|ada" == response.claims["sub"]


def test_a_login_takes_its_options_by_keywords(client: ServerClient) -> None:
    """The carrier goes beside the keywords of the options."""
    jar: dict[str, str] = {}
    client.login_with_custom_token_exchange(subject_token="t", subject_token_type=TYPE, store_options={"cookies": jar})
    user = client.get_user({"cookies": jar})
    assert user is not None
    assert "auth0|ada" == user["sub"]


@pytest.mark.anyio
async def test_the_mirror_takes_keywords() -> None:
    """The async client passes them on."""
    tenant = LocalTenant()
    tenant.accept(TYPE, "auth0|ada")
    async with AsyncServerClient.from_sync(tenant.client()) as client:
        response = await client.custom_token_exchange(subject_token="t", subject_token_type=TYPE)
    assert response.access_token


@pytest.mark.parametrize("method", ["custom_token_exchange", "login_with_custom_token_exchange"])
def test_options_are_given_once(client: ServerClient, method: str) -> None:
    """A value and keywords together are refused, as nobody could tell which of them wins."""
    options = {"subject_token": "t", "subject_token_type": TYPE}
    with pytest.raises(CustomTokenExchangeError, match="not both") as caught:
        getattr(client, method)(options, audience="https://api.example")
    assert "INVALID_OPTIONS" == caught.value.code


@pytest.mark.parametrize("method", ["custom_token_exchange", "login_with_custom_token_exchange"])
@pytest.mark.parametrize(
    ("named", "code", "message"),
    [
        ({}, "INVALID_OPTIONS", "options must be"),
        ({"subject_token": "t", "subject_token_type": TYPE, "audiance": "a"}, "INVALID_OPTIONS", "audience"),
        ({"subject_token_type": TYPE}, "INVALID_TOKEN_FORMAT", "subject_token is missing"),
        ({"subject_token": "t"}, "INVALID_TOKEN_FORMAT", "subject_token_type is missing"),
    ],
)
def test_keywords_are_checked_like_a_dict(
    client: ServerClient, method: str, named: dict[str, Any], code: str, message: str
) -> None:
    """Missing and misspelt keywords are told as those of a dict are."""
    with pytest.raises(CustomTokenExchangeError, match=message) as caught:
        getattr(client, method)(**named)
    assert code == caught.value.code


def test_the_typed_dict_has_the_keys_of_the_options() -> None:
    """Type checkers know every option, and no other."""
    fields = [field.name for field in attrs.fields(CustomTokenExchangeOptions)]
    assert fields == list(ExchangeOptionsDict.__annotations__)
