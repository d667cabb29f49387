"""A process of its own whose threads exchange tokens with a cache in Redis: see test_exchange_cache_redis."""

from __future__ import annotations

import json
import sys

from auth0_cte import RedisExchangeCache, ServerClient
from tests.exchanges import at_once, options


def main() -> None:
    order = json.loads(sys.stdin.readline())
    cache = RedisExchangeCache.from_url(order["redis"], timeout=10.0, **order["cache"])
    with ServerClient(**order["client"], exchange_cache=cache) as client:
        cache.forget("nothing")  # so that it is connected
        print(json.dumps("ready"), flush=True)  # noqa: T201 - how it says so
        sys.stdin.readline()
        work = [lambda user=user: client.custom_token_exchange(options(user)).access_token for user in order["users"]]
        print(json.dumps([str(each) for each in at_once(*work)]), flush=True)  # noqa: T201 - how it reports
    cache.close()


if __name__ == "__main__":
    main()
