"""Ways to exchange tokens many at a time in an event loop: the mirror, and what people use instead.

All of them verify TLS and have as many connections as there are exchanges at once, but for those rows that say that
they are as shipped.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import time
import warnings
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from importlib import import_module
from types import TracebackType
from typing import Any, Final

import anyio
import anyio.to_thread
from anyio.from_thread import BlockingPortal, start_blocking_portal
from attrs import define

from tests.benchmarks.contenders import (
    CLIENT_ID,
    CLIENT_SECRET,
    FORM,
    SCOPE,
    SUBJECT,
    Destination,
)
from tests.benchmarks.measure import Contender

MIRROR: Final = "auth0_cte AsyncServerClient"
MIRROR_OF_48: Final = "auth0_cte AsyncServerClient, 48 threads"
OFFLOAD: Final = "requests Session.post in threads"
AIOHTTP: Final = "aiohttp ClientSession.post"
HTTPX: Final = "httpx AsyncClient.post, shared"
HTTPX_AS_SHIPPED: Final = "httpx AsyncClient.post, shared, as shipped"
AUTH0_SHARED: Final = "auth0-server-python, patched to share"
AUTH0_AS_SHIPPED: Final = "auth0-server-python, as shipped"

CALLS_EACH: Final = 8
"""How many exchanges a task makes in a round."""
PROBE_SECONDS: Final = 0.001
TIMEOUT: Final = 60.0
"""Seconds of patience with everybody: a slow contender is a row of the table and no error."""

Exchange = Callable[[], Awaitable[str]]
"""Exchanges a token once and returns the access token."""


@define
class Fleet:
    """A client in an event loop of its own, and the tasks that use it at the same time.

    Args:
        at_once: How many tasks.
        portal: The way into the event loop, which runs on as a server's does: threads end with a loop's first task.
        exchange: What each task does again and again.
    """

    at_once: int
    portal: BlockingPortal
    exchange: Exchange

    def run(self, calls: int) -> str:
        """Make so many exchanges, shared out evenly among the tasks."""
        return self.portal.call(self._exchange_all, calls)

    def lags(self, calls: int) -> list[float]:
        """Make so many exchanges, and return how late a timer of the event loop came each time, in seconds."""
        return self.portal.call(self._watch, calls)

    async def _exchange_all(self, calls: int) -> str:
        tasks = min(self.at_once, calls)
        results: list[str] = await asyncio.gather(*(self._exchange_often(calls // tasks) for _ in range(tasks)))
        return results[0]

    async def _exchange_often(self, calls: int) -> str:
        access_token = ""
        for _ in range(calls):
            access_token = await self.exchange()
        return access_token

    async def _watch(self, calls: int) -> list[float]:
        lags: list[float] = []
        done = False

        async def probe() -> None:
            while not done:
                began = time.perf_counter()
                await asyncio.sleep(PROBE_SECONDS)
                lags.append(time.perf_counter() - began - PROBE_SECONDS)

        probing = asyncio.create_task(probe())
        await self._exchange_all(calls)
        done = True
        await probing
        return lags


async def _mirror(to: Destination, at_once: int, stack: AsyncExitStack, *, max_threads: int | None = None) -> Exchange:
    from auth0_cte import AsyncServerClient, CustomTokenExchangeOptions

    client = await stack.enter_async_context(
        AsyncServerClient(
            to.issuer,
            CLIENT_ID,
            CLIENT_SECRET,
            ca_bundle=to.ca_file,
            timeout=TIMEOUT,
            connect_timeout=TIMEOUT,
            read_timeout=TIMEOUT,
        )
    )
    if max_threads is not None:
        client.limiter.total_tokens = max_threads

    async def exchange() -> str:
        response = await client.custom_token_exchange(CustomTokenExchangeOptions(**SUBJECT, scope=SCOPE))
        return response.access_token

    return exchange


async def _offload(to: Destination, at_once: int, stack: AsyncExitStack) -> Exchange:
    requests = import_module("requests")
    session = stack.enter_context(requests.Session())
    session.verify = to.ca_file
    session.mount("https://", requests.adapters.HTTPAdapter(pool_maxsize=at_once))
    limiter, url = anyio.CapacityLimiter(at_once), to.token_endpoint

    def post() -> str:
        access_token: str = session.post(url, data=FORM, timeout=TIMEOUT).json()["access_token"]
        return access_token

    return partial(anyio.to_thread.run_sync, post, limiter=limiter)


async def _aiohttp(to: Destination, at_once: int, stack: AsyncExitStack) -> Exchange:
    aiohttp = import_module("aiohttp")
    connector = aiohttp.TCPConnector(limit=at_once, ssl=ssl.create_default_context(cafile=to.ca_file))
    timeout = aiohttp.ClientTimeout(total=TIMEOUT)
    session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, timeout=timeout))
    url = to.token_endpoint

    async def exchange() -> str:
        async with session.post(url, data=FORM) as response:
            access_token: str = (await response.json())["access_token"]
            return access_token

    return exchange


async def _httpx(to: Destination, at_once: int, stack: AsyncExitStack, *, as_shipped: bool = False) -> Exchange:
    httpx = import_module("httpx")
    limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once)
    client = await stack.enter_async_context(
        httpx.AsyncClient(
            verify=ssl.create_default_context(cafile=to.ca_file),
            timeout=TIMEOUT,
            **({} if as_shipped else {"limits": limits}),
        )
    )
    url = to.token_endpoint

    async def exchange() -> str:
        access_token: str = (await client.post(url, data=FORM)).json()["access_token"]
        return access_token

    return exchange


class _Shared:
    """An HTTP client that outlives the blocks that it is used in."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def __aenter__(self) -> Any:
        return self._client

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


async def _auth0_server_python(
    to: Destination, at_once: int, stack: AsyncExitStack, *, share_client: bool = False
) -> Exchange:
    # There is no other way to name a CA than the environment.
    os.environ["SSL_CERT_FILE"] = to.ca_file
    stack.callback(os.environ.pop, "SSL_CERT_FILE", None)
    with warnings.catch_warnings(action="ignore"):  # what its dependencies deprecate is its own business
        package = import_module("auth0_server_python.auth_server.server_client")
    make_options = import_module("auth0_server_python.auth_types").CustomTokenExchangeOptions
    client = package.ServerClient(to.domain, CLIENT_ID, CLIENT_SECRET, secret=CLIENT_SECRET)
    if share_client:
        httpx = package.httpx
        limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once)
        shared = await stack.enter_async_context(client._get_http_client(limits=limits, timeout=TIMEOUT))  # noqa: SLF001
        client._get_http_client = lambda **_settings: _Shared(shared)  # noqa: SLF001 - it has no public way

    async def exchange() -> str:
        response = await client.custom_token_exchange(make_options(**SUBJECT, scope=SCOPE))
        access_token: str = response.access_token
        return access_token

    return exchange


_MAKERS: Final[dict[str, Callable[[Destination, int, AsyncExitStack], Awaitable[Exchange]]]] = {
    MIRROR: _mirror,
    MIRROR_OF_48: partial(_mirror, max_threads=48),
    OFFLOAD: _offload,
    AIOHTTP: _aiohttp,
    HTTPX: _httpx,
    HTTPX_AS_SHIPPED: partial(_httpx, as_shipped=True),
    AUTH0_SHARED: partial(_auth0_server_python, share_client=True),
    AUTH0_AS_SHIPPED: _auth0_server_python,
}
# Those that are so slow that they get one call of a task where others get several.
_SLOW: Final = (HTTPX, HTTPX_AS_SHIPPED, AUTH0_SHARED, AUTH0_AS_SHIPPED)

ALL: Final = tuple(_MAKERS)
PACKAGES: Final = ("auth0-cte", "anyio", "requests", "aiohttp", "httpx", "auth0-server-python")


def open_fleet(name: str, to: Destination, at_once: int, stack: ExitStack) -> Fleet | None:
    """Make a client in an event loop of its own.

    Args:
        name: One of ``ALL``.
        to: Where it sends its requests.
        at_once: How many exchanges it makes at the same time.
        stack: What closes both.

    Returns:
        The fleet, or None when its library is not installed.
    """
    portal = stack.enter_context(start_blocking_portal("asyncio"))
    closing = AsyncExitStack()
    try:
        exchange = portal.call(_MAKERS[name], to, at_once, closing)
    except ModuleNotFoundError:
        return None
    stack.callback(portal.call, closing.aclose)
    # More of them at the same time, and it keeps itself busy until its own time-outs end it.
    fleet = Fleet(min(at_once, 64) if name == AUTH0_AS_SHIPPED else at_once, portal, exchange)
    if not fleet.run(1):
        raise RuntimeError(f"{name} received no access token")
    return fleet


def share(name: str) -> int:
    """Return by how much fewer calls a contender is asked for than others, because it is so slow."""
    return CALLS_EACH if name in _SLOW else 1


def contender(name: str, fleet: Fleet) -> Contender:
    """Return a fleet as a contender, which opens all of its connections before it is measured."""
    return Contender(name, fleet.run, share(name), warm_calls=1 if name == AUTH0_AS_SHIPPED else fleet.at_once)
