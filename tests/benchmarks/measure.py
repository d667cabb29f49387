"""Measuring side by side: interleaved rounds, and medians of what each round's own figures say of each other."""

from __future__ import annotations

import gc
import os
import platform
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from statistics import median
from typing import Any

from attrs import field, frozen

WARM_CALLS = 3

# What the machine says of proxies and CAs must not take part; what is needed is set explicitly.
_FOREIGN = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@frozen
class Contender:
    """Someone who does the work that is measured.

    Args:
        name: As the table shows it.
        run: Does the work so many times, one after the other.
        share: It is asked for one call where others are asked for ``share``, because it is so much slower.
        warm_calls: Calls before the measured ones of each round; a few, or one of a slow contender, when None.
    """

    name: str
    run: Callable[[int], object]
    share: int = 1
    warm_calls: int | None = None


@frozen
class Sample:
    """What one contender did in one round: calls a second, and seconds of CPU time a call."""

    rate: float
    cpu: float


@frozen
class Results:
    """The samples of all contenders, one of each for every round."""

    samples: Mapping[str, Sequence[Sample]] = field(repr=False)

    def rate(self, name: str) -> float:
        """Return the median rate in calls a second."""
        return median(sample.rate for sample in self.samples[name])

    def cpu(self, name: str) -> float:
        """Return the median CPU time of a call in seconds."""
        return median(sample.cpu for sample in self.samples[name])

    def rate_ratio(self, name: str, to: str) -> float:
        """Return the median of the rounds' ratios of the rates of ``name`` and ``to``."""
        return median(a.rate / b.rate for a, b in zip(self.samples[name], self.samples[to], strict=True))

    def cpu_ratio(self, name: str, to: str) -> float:
        """Return the median of the rounds' ratios of the CPU times of ``name`` and ``to``."""
        return median(a.cpu / b.cpu for a, b in zip(self.samples[name], self.samples[to], strict=True))


@frozen
class Target:
    """A figure and the bound that it shall keep."""

    label: str
    figure: float
    at_least: float | None = None
    at_most: float | None = None

    def __str__(self) -> str:
        above = self.at_least is None or self.figure >= self.at_least
        below = self.at_most is None or self.figure <= self.at_most
        bound = f"≥ {self.at_least:.2f}" if self.at_least is not None else f"≤ {self.at_most:.2f}"
        verdict = "met" if above and below else "missed"
        return f"  {self.label:<52} {self.figure:>7.2f}   target {bound:<8} {verdict}"


def interleave(contenders: Sequence[Contender], rounds: int, calls: int) -> Results:
    """Let all contenders work in turn, round by round, so that whatever disturbs a round disturbs all of them.

    Args:
        contenders: Who takes part; each round begins with the next of them.
        rounds: How many rounds.
        calls: How many calls each contender makes in a round, before its ``share`` is taken.
    """
    samples: dict[str, list[Sample]] = {contender.name: [] for contender in contenders}
    with frozen_garbage():
        for number in range(rounds):
            first = number % len(contenders)
            for contender in [*contenders[first:], *contenders[:first]]:
                samples[contender.name].append(_sample(contender, calls))
    return Results(samples)


@contextmanager
def frozen_garbage() -> Iterator[None]:
    """Keep what there is out of the garbage collector's sight: one contender's modules are not another's to search."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _sample(contender: Contender, calls: int) -> Sample:
    own = max(WARM_CALLS, calls // contender.share)
    contender.run(contender.warm_calls or (1 if contender.share > 1 else WARM_CALLS))
    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    contender.run(own)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Sample(own / wall, cpu / own)


def pin() -> tuple[int | None, str]:
    """Pin this process to the first CPU that it may use.

    Returns:
        The CPU for the server, or None; and a sentence about it.
    """
    if not hasattr(os, "sched_setaffinity"):
        return None, "this platform pins no processes: the scheduler places client and server"
    available = sorted(os.sched_getaffinity(0))
    if len(available) < 2:
        return None, "one CPU only: client and server share it, which draws all ratios towards 1"
    os.sched_setaffinity(0, {available[0]})
    return available[1], f"client on CPU {available[0]}, server on CPU {available[1]}"


def isolate() -> None:
    """Drop the machine's settings for CAs and proxies from the environment, and end orderly on SIGTERM, too."""
    for name in (*_FOREIGN, *_PROXIES, *(proxy.upper() for proxy in _PROXIES)):
        os.environ.pop(name, None)
    signal.signal(signal.SIGTERM, _end)


def _end(*_arguments: Any) -> None:
    sys.exit(128 + signal.SIGTERM)


def interpreter() -> str:
    """Return the name and the version of the interpreter, which the figures depend on."""
    return f"{platform.python_implementation()} {platform.python_version()}"


def describe(packages: Iterable[str]) -> str:
    """Return a line about the interpreter and the platform, and one about the versions of packages."""
    versions = ", ".join(f"{package} {_version(package)}" for package in packages)
    return f"{interpreter()}, {platform.platform()}, {os.cpu_count()} CPUs\n{versions}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay cells out in columns: the first to the left, figures to the right; a row of one cell is a remark."""
    lines = [head, *rows]
    columns = zip(*(line for line in lines if len(line) == len(head)), strict=True)
    widths = [max(map(len, column)) for column in columns]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=False))
        ).rstrip()
        for line in lines
    )
