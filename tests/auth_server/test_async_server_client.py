"""The mirror: the same as the synchronous client, awaited, on asyncio and trio."""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from auth0_cte import AsyncServerClient, CustomTokenExchangeError, MemoryStateStore, RetryPolicy, ServerClient
from auth0_cte.mfa.async_client import AsyncMfaClient
from auth0_cte.mfa.client import MfaClient
from auth0_cte.oauth.call import Call
from auth0_cte.testing import LocalTenant
from tests.raw_server import TOKENS, Arrived, RawServer, reply, send

OPTIONS: dict[str, Any] = {"subject_token": "a-token", "subject_token_type": "urn:acme:mcp-token"}
METHODS = sorted(
    name
    for name, member in inspect.getmembers(ServerClient, callable)
    if not name.startswith("_") and name != "from_env"
)

MFA_METHODS = sorted(
    name
    for name, member in inspect.getmembers(MfaClient, callable)
    if not name.startswith("_") and name != "resume"  # which is `ServerClient.resume_login`
)


def public(instance: object) -> set[str]:
    return {name for name in dir(instance) if not name.startswith("_")}


@pytest.fixture(params=["asyncio", "asyncio+uvloop", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    if request.param == "asyncio+uvloop":
        return "asyncio", {"use_uvloop": True}
    return request.param


@pytest.mark.parametrize("name", METHODS)
def test_the_mirror_has_every_method(name: str) -> None:
    """Names, signatures and docstrings are the same; all but the one that sends nothing are coroutine functions."""
    ours, theirs = getattr(AsyncServerClient, name), getattr(ServerClient, name)
    assert inspect.signature(theirs) == inspect.signature(ours)
    assert theirs.__doc__ == ours.__doc__
    assert theirs.__name__ == ours.__name__
    assert inspect.iscoroutinefunction(ours) is (name != "build_session_transfer_redirect")


@pytest.mark.parametrize("name", MFA_METHODS)
def test_the_mirror_of_second_factors_has_every_method(name: str) -> None:
    """Names, signatures and docstrings of ``client.mfa`` are the same; all are coroutine functions."""
    ours, theirs = getattr(AsyncMfaClient, name), getattr(MfaClient, name)
    assert inspect.signature(theirs) == inspect.signature(ours)
    assert (theirs.__doc__, theirs.__name__) == (ours.__doc__, ours.__name__)
    assert inspect.iscoroutinefunction(ours)


def test_the_mirror_has_no_more_than_the_client(tenant: LocalTenant) -> None:
    """What it adds is about being a mirror; what it lacks are the parts that only the client's methods use."""
    client = tenant.client()
    added = {"from_sync", "limiter", "offload", "sync"}
    assert public(client) | added == public(AsyncServerClient.from_sync(client)) | {"authorization_server", "sessions"}
    assert inspect.signature(ServerClient) == inspect.signature(AsyncServerClient)
    assert public(client.mfa) | {"offload", "sync"} == public(AsyncServerClient.from_sync(client).mfa) | {"resume"}


@pytest.mark.anyio
async def test_what_the_client_was_made_with_is_the_mirrors(tenant: LocalTenant) -> None:
    """Settings and clock are the client's own; second factors are asked for in the mirror's threads."""
    client = AsyncServerClient.from_sync(tenant.client(pool_size=3))
    assert client.sync.settings is client.settings
    assert (3, tenant.client_id) == (client.pool_size, client.settings.client_id)
    assert (client.sync.clock, client.sync.exchange_cache) == (client.clock, client.exchange_cache)
    assert (None, None) == (client.dpop, client.dpop_thumbprint)
    with pytest.raises(CustomTokenExchangeError) as caught:
        await client.mfa.list_authenticators({"mfa_token": "unknown"})
    assert 401 == caught.value.status_code
    assert client.mfa is client.mfa


@pytest.mark.anyio
async def test_an_exchange_is_awaited(tenant: LocalTenant) -> None:
    """The mirror exchanges, verifies, and raises as the client does."""
    async with AsyncServerClient.from_sync(tenant.client()) as client:
        response = await client.custom_token_exchange({**OPTIONS, "scope": "openid"})
        assert response.claims is not None
        assert "auth0|ada" == response.claims["sub"]
        with pytest.raises(CustomTokenExchangeError) as caught:
            await client.custom_token_exchange({**OPTIONS, "subject_token": "Bearer x"})
        assert "INVALID_TOKEN_FORMAT" == caught.value.code


@pytest.mark.anyio
async def test_a_session_lives_and_ends(tenant: LocalTenant) -> None:
    """Login, user, access token and logout work as in the synchronous client."""
    client = AsyncServerClient.from_sync(tenant.client(secret="x" * 40, state_store=MemoryStateStore()))
    jar: dict[str, str] = {}
    await client.login_with_custom_token_exchange(OPTIONS, {"cookies": jar})
    assert "auth0|ada" == ((await client.get_user({"cookies": jar})) or {})["sub"]
    assert await client.get_access_token({"cookies": jar})
    assert (await client.logout(None, {"cookies": jar})).startswith("https://acme.auth0.local/v2/logout")
    assert await client.get_session({"cookies": jar}) is None


@pytest.mark.anyio
async def test_the_constructor_takes_the_clients_arguments(raw_server: RawServer) -> None:
    """Without any synchronous client the mirror makes its own."""
    async with AsyncServerClient(raw_server.url, "c", client_secret="s", timeout=5) as client:
        assert "issued" == (await client.custom_token_exchange(OPTIONS)).access_token
    assert "c" in repr(client)


@pytest.mark.anyio
async def test_the_limiter_is_its_own(tenant: LocalTenant) -> None:
    """As many calls run as there are connections, whatever anyio's shared limiter says, and it can be set."""
    client = AsyncServerClient.from_sync(tenant.client(pool_size=7))
    assert 7 == client.limiter.total_tokens
    assert client.limiter is not anyio.to_thread.current_default_thread_limiter()
    client.limiter.total_tokens = 3
    assert 3 == client.limiter.total_tokens
    assert 5 == AsyncServerClient.from_sync(client.sync, max_threads=5).limiter.total_tokens


@pytest.mark.anyio
async def test_a_cancelled_exchange_is_not_abandoned(raw_server: RawServer) -> None:
    """A caller that is cancelled during the POST gets the answer first, and its cancellation then."""
    arrived, done = threading.Event(), threading.Event()

    def slowly(_request: Arrived, connection: Any) -> None:
        arrived.set()
        done.wait(10)
        connection.sendall(reply(TOKENS))

    raw_server.scripts = [slowly]
    returned: list[str] = []
    async with AsyncServerClient(raw_server.url, "c", "s") as client:
        server = client.sync.authorization_server
        await anyio.to_thread.run_sync(server.issuer, Call(server.domain_for(None), server.timeout))

        async def exchange() -> None:
            returned.append((await client.custom_token_exchange(OPTIONS)).access_token)
            await anyio.sleep(60)
            returned.append("not cancelled")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(exchange)
            await anyio.to_thread.run_sync(arrived.wait, 10)
            tasks.cancel_scope.cancel()
            done.set()
        assert ["issued"] == returned
        assert "issued" == (await client.custom_token_exchange(OPTIONS)).access_token
    assert 2 == len(raw_server.arrived)


@pytest.mark.anyio
async def test_waiting_for_a_retry_is_cancelled_at_once(raw_server: RawServer) -> None:
    """Between two attempts nothing is at risk, so a cancellation does not wait for the next."""
    raw_server.scripts = [send(reply("", "429 Too Many", ["Retry-After: 9"]))]
    async with AsyncServerClient(raw_server.url, "c", "s") as client:
        started = time.monotonic()
        with anyio.move_on_after(0.5) as scope:
            await client.custom_token_exchange(OPTIONS)
        assert scope.cancelled_caught
        assert time.monotonic() - started < 5
    assert 1 == len(raw_server.arrived)


def test_one_client_serves_loop_after_loop_and_loops_in_threads(tenant: LocalTenant) -> None:
    """Event loops come and go, one after another and side by side, and the client stays."""
    with tenant.serve() as server, server.client() as sync:
        client = AsyncServerClient.from_sync(sync)

        async def exchange() -> None:
            async with anyio.create_task_group() as tasks:
                for _ in range(5):
                    tasks.start_soon(client.custom_token_exchange, OPTIONS)

        for backend in ("asyncio", "trio", "asyncio"):
            anyio.run(exchange, backend=backend)
        threads = [threading.Thread(target=_run(exchange, backend)) for backend in ("asyncio", "trio", "asyncio")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert 30 == len(tenant.token_requests)


def _run(function: Any, backend: str) -> Callable[[], None]:
    return lambda: anyio.run(function, backend=backend)


@pytest.mark.anyio
async def test_retries_of_the_mirror_sleep_in_the_event_loop(raw_server: RawServer) -> None:
    """A retry works as in the synchronous client, with the policy's own sleep if it has one."""
    naps: list[float] = []
    raw_server.scripts = [send(reply("", "503 Later", ["Retry-After: 0"])), send(reply(TOKENS))]
    async with AsyncServerClient(raw_server.url, "c", "s") as client:
        assert "issued" == (await client.custom_token_exchange(OPTIONS)).access_token
    raw_server.scripts = [send(reply("", "503 Later", ["Retry-After: 0"])), send(reply(TOKENS))]
    async with AsyncServerClient(raw_server.url, "c", "s", retry=RetryPolicy(sleep=naps.append)) as client:
        assert "issued" == (await client.custom_token_exchange(OPTIONS)).access_token
    assert 1 == len(naps)
