"""Every public name as a stranger's program uses it. Never run: mypy and pyright read it."""

from __future__ import annotations

from typing import Any, assert_type

import requests

import auth0_cte
from auth0_cte import (
    Actor,
    ClientSecretBasic,
    ClientSecretPost,
    CustomTokenExchangeError,
    CustomTokenExchangeOptions,
    DomainResolverContext,
    IdTokenError,
    LoginWithCustomTokenExchangeOptions,
    MfaRequiredError,
    PublicClient,
    RateLimitError,
    RetryPolicy,
    ServerClient,
    TokenExchangeResponse,
    TransportError,
    token_types,
)
from auth0_cte.testing import FakeClock, LocalTenant


def resolve(context: DomainResolverContext) -> str:
    assert_type(context.request_url, str | None)
    return "tenant.auth0.com"


def construct() -> None:
    ServerClient("tenant.auth0.com", "id", "secret")
    ServerClient(domain=resolve, client_id="id", client_auth=ClientSecretBasic("secret"), secret=["new", "old"])
    ServerClient("d", "id", client_auth=PublicClient(), session=requests.Session(), retry=RetryPolicy())
    ServerClient("d", "id", client_auth=ClientSecretPost("s"), authorization_params={"a": 1, "b": [True, "x"]})
    ServerClient.from_env(timeout=3.0)
    ServerClient()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    ServerClient("d", "id", "s", domian="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    ServerClient("d", "id", 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def options() -> None:
    CustomTokenExchangeOptions(subject_token="t", subject_token_type=token_types.JWT, scope=["a", "b"])
    CustomTokenExchangeOptions(subject_token=lambda: "t", subject_token_type="urn:acme:x")
    LoginWithCustomTokenExchangeOptions(subject_token="t", subject_token_type="urn:acme:x", organization="org_1")
    CustomTokenExchangeOptions("t", "urn:acme:x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    CustomTokenExchangeOptions(token="t")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def exchange(client: ServerClient) -> None:
    response = client.custom_token_exchange({"subject_token": "t", "subject_token_type": "urn:acme:x"})
    assert_type(response, TokenExchangeResponse)
    assert_type(response.access_token, str)
    assert_type(response.expires_in, int | None)
    assert_type(response.act, Actor | None)
    assert_type(response.id_token_error, IdTokenError | None)
    if response.act is not None:
        assert_type(response.act.sub, str)
        assert_type(response.act["sub"], Any)
    response.access_token = "x"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    client.custom_token_exchange(option={})  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def failures(client: ServerClient) -> None:
    try:
        exchange(client)
    except RateLimitError as error:
        assert_type(error.blocked, bool)
        assert_type(error.retry_after, float | None)
    except MfaRequiredError as error:
        assert_type(error.mfa_token, str | None)
    except CustomTokenExchangeError as error:
        assert_type(error.code, str)
        assert_type(error.hint, str)
    except TransportError as error:
        assert_type(error.may_have_reached_server, bool)


def names() -> None:
    assert_type(auth0_cte.__version__, str)
    auth0_cte.Bogus  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]  # noqa: B018


def testing() -> None:
    tenant = LocalTenant(clock=FakeClock())
    with tenant.serve(tls=True) as server:
        assert_type(server.client(), ServerClient)
