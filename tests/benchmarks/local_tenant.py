"""What a fresh `LocalTenant` costs a test: ``python -m tests.benchmarks.local_tenant``.

Each round makes a tenant and a client, and exchanges or logs in once, with ID token. The first round makes the keys of
the process and is printed on its own.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from statistics import median
from typing import Final

from auth0_cte.testing import LocalTenant

OPTIONS: Final = {"subject_token": "custom-token", "subject_token_type": "urn:acme:mcp-token", "scope": "openid"}
BUDGET: Final = 0.005
"""Seconds of CPU time that a fresh tenant with one exchange or login may cost after the first."""


def exchange() -> None:
    """Make a tenant and exchange once."""
    tenant = LocalTenant()
    tenant.accept("urn:acme:mcp-token", "auth0|ada")
    with tenant.client() as client:
        client.custom_token_exchange(OPTIONS)


def log_in() -> None:
    """Make a tenant and log in once."""
    tenant = LocalTenant()
    tenant.accept("urn:acme:mcp-token", "auth0|ada")
    with tenant.client(secret="a-long-random-secret-of-32-bytes-or-more") as client:
        client.login_with_custom_token_exchange(OPTIONS, {"cookies": {}})


def measure(work: Callable[[], None]) -> float:
    """Return the CPU time of this process that the work takes, in seconds."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    rounds = parser.parse_args().rounds
    print(f"CPython {platform.python_version()}, auth0_cte: CPU time of a fresh LocalTenant with")
    for name, work in (("one exchange", exchange), ("one login", log_in)):
        first = measure(work)
        costs = [measure(work) for _ in range(rounds)]
        print(
            f"  {name}: {median(costs) * 1000:.2f} ms (best {min(costs) * 1000:.2f}; budget {BUDGET * 1000:.0f}),"
            f" the first in the process {first * 1000:.1f} ms"
        )


if __name__ == "__main__":
    main()
