"""Cancellation over real sockets: whoever is cancelled, and however, the token and the session are in a known state."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import anyio.to_thread
import pytest

from auth0_cte import AsyncServerClient, ExchangeTimeoutError, MemoryStateStore
from auth0_cte.testing import FakeClock, LocalTenant
from tests.raw_server import RawServer, reply, send

OPTIONS: dict[str, Any] = {"subject_token": "a-token", "subject_token_type": "urn:acme:mcp-token"}
LOGIN = {**OPTIONS, "scope": "offline_access"}
DEADLINE = 30.0
UVLOOP = ("asyncio", {"use_uvloop": True})

Call = Callable[[], Awaitable[object]]
Cancel = Callable[[Call, "Gate"], Awaitable[None]]


class Gate:
    """Holds the answers of a tenant's endpoint back, once a request has arrived, until it is opened."""

    def __init__(self, tenant: LocalTenant, path: str = "/oauth/token") -> None:
        self._arrived, self._opened = threading.Event(), threading.Event()
        self._endpoint = tenant.router.endpoints[path]
        self._answer: Any = self._endpoint["POST"]

    def shut(self) -> None:
        self._endpoint["POST"] = self._answer_late

    def open(self) -> None:
        self._opened.set()

    async def arrived(self) -> None:
        assert await anyio.to_thread.run_sync(self._arrived.wait, DEADLINE)

    def _answer_late(self, *request: Any) -> Any:
        self._arrived.set()
        assert self._opened.wait(DEADLINE)
        return self._answer(*request)


@pytest.fixture
def gate(tenant: LocalTenant) -> Gate:
    return Gate(tenant)


@pytest.fixture
def store() -> MemoryStateStore:
    return MemoryStateStore()


@pytest.fixture
def client(tenant: LocalTenant, store: MemoryStateStore) -> Iterator[AsyncServerClient]:
    """A mirror that speaks to the tenant over sockets, and knows its metadata."""
    with tenant.serve() as server, server.client(secret="x" * 40, state_store=store, pool_size=1) as sync:
        sync.custom_token_exchange(OPTIONS)
        yield AsyncServerClient.from_sync(sync, max_threads=8)


async def by_scope(call: Call, gate: Gate) -> None:
    """Cancel the scope around the call."""

    async def cancel() -> None:
        await gate.arrived()
        scope.cancel()
        gate.open()

    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cancel)
            await call()
            await anyio.sleep(DEADLINE)
    assert scope.cancelled_caught


async def by_task(call: Call, gate: Gate, times: int = 1) -> None:
    """Cancel the task that makes the call, as often as one likes."""
    task = asyncio.ensure_future(call())
    await gate.arrived()
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not task.done()
    gate.open()
    with pytest.raises(asyncio.CancelledError):
        await task


async def by_task_thrice(call: Call, gate: Gate) -> None:
    """Cancel it again while it waits for the call's end."""
    await by_task(call, gate, times=3)


async def by_timeout(call: Call, gate: Gate) -> None:
    """Let the time run out when the request has arrived."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(None) as time, asyncio.TaskGroup() as tasks:

            async def run_out() -> None:
                await gate.arrived()
                time.reschedule(asyncio.get_running_loop().time())
                await asyncio.sleep(0)
                gate.open()

            tasks.create_task(run_out())
            await call()


async def by_wait_for(call: Call, gate: Gate) -> None:
    """Give the call no time at all once the request has arrived."""
    task = asyncio.ensure_future(call())
    await gate.arrived()
    waiting = asyncio.ensure_future(asyncio.wait_for(task, 0.01))
    asyncio.get_running_loop().call_later(0.05, gate.open)
    with pytest.raises(TimeoutError):
        await waiting
    assert task.done()


async def by_task_group(call: Call, gate: Gate) -> None:
    """Fail beside the call in a task group."""

    async def fail() -> None:
        await gate.arrived()
        asyncio.get_running_loop().call_later(0.01, gate.open)
        raise LookupError

    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fail())
            await call()
    assert caught.group_contains(LookupError)


WAYS = [
    pytest.param("asyncio", by_scope, id="asyncio-scope"),
    pytest.param(UVLOOP, by_scope, id="uvloop-scope"),
    pytest.param("trio", by_scope, id="trio-scope"),
    pytest.param("asyncio", by_task, id="asyncio-task"),
    pytest.param(UVLOOP, by_task, id="uvloop-task"),
    pytest.param("asyncio", by_task_thrice, id="asyncio-task-thrice"),
    pytest.param("asyncio", by_timeout, id="asyncio-timeout"),
    pytest.param("asyncio", by_wait_for, id="asyncio-wait_for"),
    pytest.param("asyncio", by_task_group, id="asyncio-task-group"),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("anyio_backend", "cancel"), WAYS)
async def test_a_cancelled_exchange_ends_first(
    anyio_backend: Any, cancel: Cancel, client: AsyncServerClient, tenant: LocalTenant, gate: Gate
) -> None:
    """When the caller learns that it is cancelled the token is spent, the reply read, and the connection free again."""
    gate.shut()
    await cancel(lambda: client.custom_token_exchange(OPTIONS), gate)
    assert "secte" == tenant.logs[-1].type
    assert 2 == len(tenant.token_requests)
    assert 0 == client.limiter.borrowed_tokens
    await client.custom_token_exchange(OPTIONS)  # over the only connection that there may be
    assert 3 == len(tenant.token_requests)


@pytest.mark.anyio
@pytest.mark.parametrize(("anyio_backend", "cancel"), WAYS)
async def test_a_cancelled_login_is_complete(
    anyio_backend: Any,
    cancel: Cancel,
    client: AsyncServerClient,
    tenant: LocalTenant,
    gate: Gate,
    store: MemoryStateStore,
) -> None:
    """When the caller learns that it is cancelled the session is there, and its cookie is in the jar."""
    jar: dict[str, str] = {}
    gate.shut()
    await cancel(lambda: client.login_with_custom_token_exchange(LOGIN, {"cookies": jar}), gate)
    assert 1 == len(store)
    assert "auth0|ada" == (client.sync.get_user({"cookies": jar}) or {})["sub"]
    assert 2 == len(tenant.token_requests)


@pytest.mark.anyio
@pytest.mark.parametrize(("anyio_backend", "cancel"), WAYS)
async def test_a_cancelled_refresh_is_kept(
    anyio_backend: Any,
    cancel: Cancel,
    client: AsyncServerClient,
    tenant: LocalTenant,
    gate: Gate,
    clock: FakeClock,
) -> None:
    """When the caller learns that it is cancelled the rotated refresh token is stored, and nobody refreshes again."""
    jar: dict[str, str] = {}
    await client.login_with_custom_token_exchange(LOGIN, {"cookies": jar})
    clock.advance(86_400)
    gate.shut()
    await cancel(lambda: client.get_access_token({"cookies": jar}), gate)
    session = client.sync.get_session({"cookies": jar})
    assert session is not None
    assert [session.refresh_token] == list(tenant.refresh_tokens)
    assert session.token_sets[0].access_token == await client.get_access_token({"cookies": jar})
    assert 3 == len(tenant.token_requests)


@pytest.mark.anyio
@pytest.mark.parametrize(("anyio_backend", "cancel"), WAYS)
async def test_a_cancelled_logout_has_revoked(
    anyio_backend: Any, cancel: Cancel, client: AsyncServerClient, tenant: LocalTenant, store: MemoryStateStore
) -> None:
    """When the caller learns that it is cancelled the session has ended, and its refresh token is dead."""
    jar: dict[str, str] = {}
    await client.login_with_custom_token_exchange(LOGIN, {"cookies": jar})
    gate = Gate(tenant, "/oauth/revoke")
    gate.shut()
    await cancel(lambda: client.logout(None, {"cookies": jar}, revoke=True), gate)
    assert (0, 0, {}) == (len(store), len(tenant.refresh_tokens), jar)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", UVLOOP, "trio"])
async def test_a_call_that_has_not_begun_is_not_made(
    anyio_backend: Any, client: AsyncServerClient, tenant: LocalTenant, gate: Gate
) -> None:
    """A caller that is cancelled while it waits for a thread has sent nothing, and nothing is sent afterwards."""
    client.limiter.total_tokens = 1
    gate.shut()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.custom_token_exchange, OPTIONS)
        await gate.arrived()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await client.custom_token_exchange({**OPTIONS, "subject_token": "unsent"})
        assert scope.cancelled_caught
        if anyio_backend != "trio":
            task = asyncio.ensure_future(client.custom_token_exchange({**OPTIONS, "subject_token": "unsent"}))
            while not client.limiter.statistics().tasks_waiting:
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        gate.open()
    await client.custom_token_exchange(OPTIONS)
    assert ["a-token"] * 3 == [request.form["subject_token"] for request in tenant.token_requests]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", UVLOOP])
async def test_a_cancelled_task_does_not_wait_for_its_retry(anyio_backend: Any, raw_server: RawServer) -> None:
    """A task that is cancelled before its second attempt makes none."""
    raw_server.scripts = [send(reply("", "429 Too Many", ["Retry-After: 9"]))]
    async with AsyncServerClient(raw_server.url, "c", "s") as client:
        task = asyncio.ensure_future(client.custom_token_exchange(OPTIONS))
        while not raw_server.arrived:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert 1 == len(raw_server.arrived)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_waiting_for_a_thread_counts_towards_the_deadline(anyio_backend: Any, raw_server: RawServer) -> None:
    """A call that got its thread too late is not sent late, but not at all."""
    busy, done = threading.Event(), threading.Event()

    def hold() -> None:
        busy.set()
        assert done.wait(DEADLINE)

    async with AsyncServerClient(raw_server.url, "c", "s", timeout=0.2, pool_size=1) as hurried:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hurried.offload, hold)
            assert await anyio.to_thread.run_sync(busy.wait, DEADLINE)
            tasks.start_soon(_release_late, done)
            with pytest.raises(ExchangeTimeoutError) as caught:
                await hurried.custom_token_exchange(OPTIONS)
                assert not caught.value.may_have_reached_server
    assert [] == raw_server.everything


async def _release_late(done: threading.Event) -> None:
    await anyio.sleep(0.3)
    done.set()
