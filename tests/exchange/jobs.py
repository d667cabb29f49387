"""What other processes do in tests of caches that processes share: see `tests.workers`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from auth0_cte import RedisExchangeCache, ServerClient
from tests.exchanges import at_once, options


def exchange(order: dict[str, Any]) -> Iterator[Any]:
    """Exchange for all users at once, each in a thread, with a cache in Redis; report the access tokens."""
    cache = RedisExchangeCache.from_url(order["redis"], timeout=10.0, **order["cache"])
    try:
        with ServerClient(**order["client"], exchange_cache=cache) as client:
            cache.forget("nothing")  # so that it is connected
            yield "ready"
            work = [
                lambda user=user: client.custom_token_exchange(options(user)).access_token for user in order["users"]
            ]
            tokens = at_once(*work)
    finally:
        cache.close()
    yield tokens
