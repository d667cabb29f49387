"""A process of its own that asks for the access token of a session, from several threads: see test_concurrency."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

from auth0_cte import ServerClient
from auth0_cte.session.stores.contract import StateStore
from tests.session.stores import redis_cache_store, redis_store, sql_store

THREADS = 4


def open_store(url: str, name: str) -> AbstractContextManager[StateStore]:
    if url.startswith("django+"):
        return redis_cache_store(url.removeprefix("django+"), name)
    return redis_store(url, name) if url.startswith("redis:") else sql_store(url, name)


def main() -> None:
    order = json.loads(sys.stdin.readline())
    with open_store(order["store"], order["name"]) as store:
        client = ServerClient(**order["client"], state_store=store, clock=lambda: order["now"])
        with client, ThreadPoolExecutor(THREADS) as pool:
            user = client.get_user({"cookies": order["jar"]})
            print(json.dumps(user and user["sub"]), flush=True)  # noqa: T201 - how it says that it is ready
            sys.stdin.readline()
            asked = [pool.submit(client.get_access_token, {"cookies": dict(order["jar"])}) for _ in range(THREADS)]
            print(json.dumps([each.result() for each in asked]), flush=True)  # noqa: T201 - how it reports


if __name__ == "__main__":
    main()
