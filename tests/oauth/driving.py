"""Drives a tenant at its limit: as many exchanges, in several threads, as the client's own rate limit lets through."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from auth0_cte import CustomTokenExchangeError, ServerClient
from tests.virtual_time import run_in_threads

OPTIONS: dict[str, Any] = {"subject_token": "a-token", "subject_token_type": "urn:acme:mcp-token"}


def drive(
    client: ServerClient,
    threads: int,
    seconds: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    run: Callable[[int, Callable[[], None]], None] = run_in_threads,
) -> tuple[int, list[CustomTokenExchangeError]]:
    """Exchange in so many threads for so long.

    Args:
        client: The client.
        threads: How many threads.
        seconds: For how long, by ``clock``.
        clock: Returns seconds.
        run: Does the same work in so many threads.

    Returns:
        How many exchanges succeeded in time, and all failures.
    """
    end = clock() + seconds
    done: list[float] = []
    failures: list[CustomTokenExchangeError] = []

    def work() -> None:
        while clock() < end:
            try:
                client.custom_token_exchange(OPTIONS)
            except CustomTokenExchangeError as error:
                failures.append(error)
            else:
                done.append(clock())

    run(threads, work)
    return sum(moment < end for moment in done), failures
