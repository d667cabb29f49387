"""That type checkers see through the mirror: names, types and results are the client's. Never run: mypy and pyright do.

Each line that must be refused says so to both; a checker that ceased to refuse it would complain of the saying: mypy
because unused ignores are errors, and pyright as ``pyright -p tests/typing`` tells it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, assert_type

import anyio

from auth0_cte import (
    AsyncServerClient,
    CustomTokenExchangeOptions,
    LoginWithCustomTokenExchangeResult,
    ServerClient,
    Session,
    TokenExchangeResponse,
)

OPTIONS = CustomTokenExchangeOptions(subject_token="t", subject_token_type="urn:acme:x")


def construct(sync: ServerClient) -> None:
    mirror = AsyncServerClient("tenant.auth0.com", "id", "secret", pool_size=256, secret=["new", "old"])
    assert_type(mirror, AsyncServerClient)
    assert_type(mirror.pool_size, int)
    assert_type(mirror.sync, ServerClient)
    assert_type(mirror.limiter, anyio.CapacityLimiter)
    assert_type(AsyncServerClient.from_env(timeout=3.0), AsyncServerClient)
    assert_type(AsyncServerClient.from_sync(sync, max_threads=5), AsyncServerClient)


def construct_wrongly(mirror: AsyncServerClient) -> None:
    AsyncServerClient()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    AsyncServerClient("d")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    AsyncServerClient("d", "id", "s", domian="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    AsyncServerClient("d", "id", "s", "x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    AsyncServerClient("d", "id", 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncServerClient("d", "id", "s", pool_size="9")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncServerClient.from_sync(mirror)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ServerClient("d", "id", "s", pool_sise=9)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def results(mirror: AsyncServerClient) -> None:
    assert_type(await mirror.custom_token_exchange(OPTIONS), TokenExchangeResponse)
    assert_type(await mirror.custom_token_exchange(options={}, store_options=None), TokenExchangeResponse)
    assert_type((await mirror.custom_token_exchange(OPTIONS)).expires_in, int | None)
    result = await mirror.login_with_custom_token_exchange(OPTIONS, store_options={"request": object()})
    assert_type(result, LoginWithCustomTokenExchangeResult)
    assert_type(await mirror.get_session(), Session | None)
    assert_type(await mirror.get_user({}), Mapping[str, Any] | None)
    assert_type(await mirror.get_access_token(audience="https://api.example", scope="read:data"), str)
    assert_type(await mirror.logout(return_to="https://app.example/", revoke=True), str)
    await mirror.revoke_refresh_token("t")
    assert_type(await mirror.handle_backchannel_logout("a.b.c"), int)
    assert_type(await mirror.offload(len, "abc"), int)
    async with mirror as entered:
        assert_type(entered, AsyncServerClient)


async def wrong_arguments(mirror: AsyncServerClient) -> None:
    await mirror.custom_token_exchange(subject_token=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await mirror.custom_token_exchange(option={})  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await mirror.custom_token_exchange(OPTIONS, {}, False)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await mirror.custom_token_exchange("token")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await mirror.login_with_custom_token_exchange(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await mirror.get_access_token(scopes="a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await mirror.get_access_token(scope=["a"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await mirror.get_user(request=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await mirror.logout(returnTo="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await mirror.handle_backchannel_logout()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await mirror.handle_backchannel_logout(b"a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await mirror.close(5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await mirror.offload(len)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await mirror.exchange_token(OPTIONS)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def wrong_arguments_of_the_client(client: ServerClient) -> None:
    client.custom_token_exchange(audiance="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.custom_token_exchange(subject_token=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.custom_token_exchange("token")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.login_with_custom_token_exchange(option={})  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.get_session(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.get_user(request=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.get_access_token(scope=["a"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.logout(returnTo="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.handle_backchannel_logout()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.close(5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def not_awaited(mirror: AsyncServerClient) -> None:
    mirror.custom_token_exchange(OPTIONS).access_token  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]  # noqa: B018
    with mirror:  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    mirror.close = mirror.close  # type: ignore[method-assign, misc]  # pyright: ignore[reportAttributeAccessIssue]


def signatures(mirror: AsyncServerClient) -> None:
    # As a value, too, a method has its names and types.
    logout: Callable[[None, Mapping[str, Any] | None], Coroutine[Any, Any, str]] = mirror.logout
    assert_type(logout(None, {}), Coroutine[Any, Any, str]).close()
