"""That type checkers see a misspelt keyword of the short forms. Never run: mypy and pyright read it, as `mirror.py`."""

from __future__ import annotations

from typing import assert_type

from starlette.requests import Request

from auth0_cte import CustomTokenExchangeOptions, LoginWithCustomTokenExchangeResult, TokenExchangeResponse, starlette
from auth0_cte.auth_types import LogoutOptions
from auth0_cte.django import RequestAuth0
from auth0_cte.flask import Auth0CTE

TYPE = "urn:acme:x"
OPTIONS = CustomTokenExchangeOptions(subject_token="t", subject_token_type=TYPE)


def flask(auth0: Auth0CTE) -> None:
    assert_type(auth0.login(OPTIONS), LoginWithCustomTokenExchangeResult)
    assert_type(auth0.login(subject_token="t", subject_token_type=TYPE), LoginWithCustomTokenExchangeResult)
    assert_type(
        auth0.custom_token_exchange(subject_token="t", subject_token_type=TYPE, use_cache=False), TokenExchangeResponse
    )
    auth0.resume_login("p", otp="1", forwarded_for=True)
    auth0.get_access_token("https://api.example", force_refresh=True, leeway=60)
    auth0.get_access_token_for_connection(connection="google-oauth2")
    auth0.logout("https://app.example/", options=LogoutOptions(federated=True), revoke=True)
    auth0.login(audiance="a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    auth0.login_with_custom_token_exchange(audiance="a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    auth0.custom_token_exchange(subject_token=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    auth0.custom_token_exchange(organisation="o")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    auth0.resume_login("p", opt="1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    auth0.get_access_token(force=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    auth0.get_access_token_for_connection(conection="g")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    auth0.logout(returnTo="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def of_starlette(request: Request) -> None:
    assert_type(await starlette.login(request, OPTIONS), LoginWithCustomTokenExchangeResult)
    await starlette.login(request, subject_token="t", subject_token_type=TYPE)
    assert_type(await starlette.custom_token_exchange(request, subject_token="t"), TokenExchangeResponse)
    await starlette.resume_login(request, "p", otp="1")
    await starlette.get_access_token(request, leeway=60)
    await starlette.get_access_token_for_connection(request, connection="google-oauth2")
    await starlette.logout(request, "https://app.example/", revoke=True)
    await starlette.login(request, audiance="a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await starlette.custom_token_exchange(request, org="o")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await starlette.resume_login(request, "p", opt="1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await starlette.get_access_token(request, force=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await starlette.get_access_token_for_connection(request, con="g")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await starlette.logout(request, returnTo="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def django(auth0: RequestAuth0) -> None:
    assert_type(auth0.login(subject_token="t", subject_token_type=TYPE), LoginWithCustomTokenExchangeResult)
    assert_type(await auth0.alogin(subject_token="t", subject_token_type=TYPE), LoginWithCustomTokenExchangeResult)
    assert_type(await auth0.acustom_token_exchange(subject_token="t", use_cache=False), TokenExchangeResponse)
    auth0.login(audiance="a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await auth0.alogin(audiance="a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    auth0.custom_token_exchange(org="o")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await auth0.acustom_token_exchange(org="o")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    auth0.resume_login("p", opt="1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await auth0.aresume_login("p", opt="1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    auth0.get_access_token(force=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await auth0.aget_access_token(force=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    auth0.get_access_token_for_connection(con="g")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await auth0.aget_access_token_for_connection(con="g")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    auth0.logout(returnTo="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await auth0.alogout(returnTo="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
