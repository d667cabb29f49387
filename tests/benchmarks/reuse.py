"""What it costs to use an exchanged token again: ``python -m tests.benchmarks.reuse``.

The tenant is in the process, so the first line says what an exchange costs without any network at all.
"""

from __future__ import annotations

import argparse
import timeit
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from auth0_cte import ExchangeCache, RedisExchangeCache
from tests.benchmarks.measure import describe
from tests.exchanges import make_tenant, options
from tests.services import RedisServer


def microseconds(call: Callable[[], object], calls: int) -> float:
    """Return the time of the quickest of five rounds, a call."""
    return min(timeit.repeat(call, number=calls, repeat=5)) / calls * 1e6


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print a table.

    Args:
        arguments: The command line; `sys.argv` when None.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.reuse", description=__doc__)
    parser.add_argument("--calls", type=int, default=2000, help="calls a round (default: %(default)s)")
    calls = parser.parse_args(arguments).calls
    print(describe(("auth0-cte", "redis")))
    tenant, given = make_tenant(), options("auth0|0", audience="https://api.example.com", scope="openid read:data")
    with ExitStack() as stack:
        plain, few = tenant.client(), max(1, calls // 40)
        print(f"exchange, no network {microseconds(lambda: plain.custom_token_exchange(given), few):10.1f} us")
        cached = tenant.client(exchange_cache=ExchangeCache())
        print(f"reuse, in memory     {microseconds(lambda: cached.custom_token_exchange(given), calls):10.1f} us")
        if RedisServer.program is not None:
            server = stack.enter_context(RedisServer())
            cache = RedisExchangeCache.from_url(server.url, secret="x" * 32)
            shared, some = tenant.client(exchange_cache=cache), max(1, calls // 4)
            print(f"reuse, by Redis      {microseconds(lambda: shared.custom_token_exchange(given), some):10.1f} us")


if __name__ == "__main__":
    main()
