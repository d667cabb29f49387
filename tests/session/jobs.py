"""What other processes do in tests of sessions that processes share: see `tests.workers`."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

from auth0_cte import ServerClient
from auth0_cte.session.stores.contract import StateStore
from tests.session.stores import redis_cache_store, redis_store, sql_store

THREADS = 4


def open_store(url: str, name: str) -> AbstractContextManager[StateStore]:
    if url.startswith("django+"):
        return redis_cache_store(url.removeprefix("django+"), name)
    return redis_store(url, name) if url.startswith("redis:") else sql_store(url, name)


def refresh(order: dict[str, Any]) -> Iterator[Any]:
    """Report the user of a session; then ask for its access token from several threads, and report what they got."""
    with open_store(order["store"], order["name"]) as store:
        client = ServerClient(**order["client"], state_store=store, clock=lambda: order["now"])
        with client, ThreadPoolExecutor(THREADS) as pool:
            user = client.get_user({"cookies": order["jar"]})
            yield user and user["sub"]
            asked = [pool.submit(client.get_access_token, {"cookies": dict(order["jar"])}) for _ in range(THREADS)]
            tokens = [each.result() for each in asked]
    yield tokens
