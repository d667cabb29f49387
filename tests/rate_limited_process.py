"""One of several processes that share a rate limit.

The arguments are the URL, the secret, the URL of Redis, the rate and the seconds to run. Prints how many exchanges
succeeded in time, and how many failed.
"""

from __future__ import annotations

import sys

import redis

from auth0_cte import RateLimit, ServerClient
from tests.oauth.driving import drive


def main(url: str, secret: str, redis_url: str, rate: str, seconds: str) -> None:
    shared = RateLimit(rate, redis=redis.Redis.from_url(redis_url, socket_timeout=5))
    with ServerClient(url, "local-client", secret, rate_limit=shared, timeout=60) as client:
        count, failures = drive(client, 3, float(seconds))
    print(count, len(failures))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
