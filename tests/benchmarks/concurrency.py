"""How many exchanges an event loop makes at once, and how late it is: ``python -m tests.benchmarks.concurrency``.

So many tasks of one event loop exchange over TLS, with a connection for each, at nginx on another CPU, which answers
from memory: at once, so that the figures are the client's own cost, and after the time that a tenant takes. It is a
benchmark and no test: it says whether targets are met and exits with 0.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from statistics import quantiles
from typing import Final

from attrs import evolve, field, frozen

from tests.benchmarks.async_contenders import (
    AIOHTTP,
    ALL,
    CALLS_EACH,
    HTTPX,
    MIRROR,
    MIRROR_OF_48,
    OFFLOAD,
    PACKAGES,
    Fleet,
    contender,
    open_fleet,
    share,
)
from tests.benchmarks.canned_server import EDGE_HEADERS, canned_server
from tests.benchmarks.contenders import Destination
from tests.benchmarks.exchange import canned_replies
from tests.benchmarks.measure import (
    Results,
    Target,
    describe,
    frozen_garbage,
    interleave,
    interpreter,
    isolate,
    pin,
    table,
)

MAX_LAG: Final = 0.020

HEAD: Final = (
    "",
    "exchanges/s",
    "CPU µs",
    "ours / its rate",
    "CPU / ours",
    "loop late by, ms: median",
    "p99",
    "max",
)


@frozen(kw_only=True)
class Scenario:
    """A table: how many exchanges at once, how long the server takes, and our targets by whom we are compared with."""

    at_once: int
    delay_ms: int
    at_least: Mapping[str, float] = field(factory=dict)

    def __str__(self) -> str:
        answer = f"the server takes {self.delay_ms} ms" if self.delay_ms else "the server answers at once"
        return f"{self.at_once} exchanges at once, {answer}"

    def targets(self, results: Results, lags: Mapping[str, Sequence[float]]) -> Iterator[Target]:
        """Hold the results against the targets."""
        for name, bound in self.at_least.items():
            if name in results.samples:
                yield Target(f"rate / {name}", results.rate_ratio(MIRROR, name), at_least=bound)
        for name, threads in ((MIRROR, "threads as by default"), (MIRROR_OF_48, "48 threads")):
            label = f"the event loop late by, ms, with {threads}"
            yield Target(label, max(lags[name]) * 1e3, at_most=MAX_LAG * 1e3)


SCENARIOS: Final = (
    Scenario(at_once=64, delay_ms=0, at_least={HTTPX: 8, OFFLOAD: 1.7}),
    Scenario(at_once=64, delay_ms=50, at_least={HTTPX: 8, AIOHTTP: 0.95}),
    Scenario(at_once=256, delay_ms=0),
    Scenario(at_once=256, delay_ms=50),
)


def run_scenario(scenario: Scenario, rounds: int, cpu: int | None, headers: Mapping[str, str] = EDGE_HEADERS) -> str:
    """Measure a scenario.

    Args:
        scenario: What to measure.
        rounds: How many interleaved rounds.
        cpu: The server's CPU, or None.
        headers: What the server adds to its own headers.

    Returns:
        The table and the targets.
    """
    with ExitStack() as stack:
        replies = canned_replies(id_token=False)
        server = stack.enter_context(canned_server(replies, cpu, scenario.delay_ms, headers))
        to = Destination(server.issuer, server.ca_file)
        opened = {name: open_fleet(name, to, scenario.at_once, stack) for name in ALL}
        fleets = {name: fleet for name, fleet in opened.items() if fleet is not None}
        calls = scenario.at_once * CALLS_EACH
        results = interleave([contender(name, fleet) for name, fleet in fleets.items()], rounds, calls)
        with frozen_garbage():
            lags = {name: _lags(fleet, calls // share(name)) for name, fleet in fleets.items()}
    title = f"{scenario} ({interpreter()}, {rounds} rounds of {calls} exchanges, medians of the rounds' ratios)"
    rows = [_row(name, results, lags) for name in ALL]
    return "\n".join([title, table(HEAD, rows), *map(str, scenario.targets(results, lags)), ""])


def _lags(fleet: Fleet, calls: int) -> list[float]:
    fleet.run(fleet.at_once)
    return fleet.lags(calls)


def _row(name: str, results: Results, lags: Mapping[str, Sequence[float]]) -> list[str]:
    if name not in results.samples:
        return [name + ": not installed (pip install 'auth0-cte[bench]')"]
    percentiles = quantiles(lags[name], n=100)
    return [
        name,
        f"{results.rate(name):.0f}",
        f"{results.cpu(name) * 1e6:.0f}",
        f"{results.rate_ratio(MIRROR, name):.2f}",
        f"{results.cpu_ratio(name, MIRROR):.2f}",
        *(f"{lag * 1e3:.1f}" for lag in (percentiles[49], percentiles[98], max(lags[name]))),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure everything and print it.

    Args:
        arguments: The command line; `sys.argv` when None.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.concurrency", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default: %(default)s)")
    parser.add_argument("--at-most", type=int, default=256, help="exchanges at once, at most (default: %(default)s)")
    parser.add_argument("--few-headers", action="store_true", help="the server sends 5 headers instead of 23")
    given = parser.parse_args(arguments)
    headers = {} if given.few_headers else EDGE_HEADERS
    isolate()
    cpu, placement = pin()
    print(describe(PACKAGES))
    print(f"{placement}; trusted CAs: certifi's and the server's\n", flush=True)
    for scenario in SCENARIOS:
        bounded = evolve(scenario, at_once=min(scenario.at_once, given.at_most))
        print(run_scenario(bounded, given.rounds, cpu, headers), flush=True)


if __name__ == "__main__":
    main()
