"""What it costs to use an exchanged token again: ``python -m tests.benchmarks.reuse``.

The tenant is in the process, so the first line says what an exchange costs without any network at all.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable
from contextlib import ExitStack

from auth0_cte import ExchangeCache, RedisExchangeCache
from tests.exchanges import make_tenant, options
from tests.services import RedisServer

CALLS = 2000


def microseconds(call: Callable[[], object], calls: int = CALLS) -> float:
    """Return the time of the quickest of five rounds, a call."""
    return min(timeit.repeat(call, number=calls, repeat=5)) / calls * 1e6


def main() -> None:
    """Measure, and print a table."""
    tenant, given = make_tenant(), options("auth0|0", audience="https://api.example.com", scope="openid read:data")
    with ExitStack() as stack:
        plain = tenant.client()
        print(f"exchange, no network {microseconds(lambda: plain.custom_token_exchange(given), 50):10.1f} us")
        cached = tenant.client(exchange_cache=ExchangeCache())
        print(f"reuse, in memory     {microseconds(lambda: cached.custom_token_exchange(given)):10.1f} us")
        if RedisServer.program is not None:
            server = stack.enter_context(RedisServer())
            cache = RedisExchangeCache.from_url(server.url, secret="x" * 32)
            shared = tenant.client(exchange_cache=cache)
            print(f"reuse, by Redis      {microseconds(lambda: shared.custom_token_exchange(given), 500):10.1f} us")


if __name__ == "__main__":
    main()
