"""Processes that do jobs for tests: started once a test run, because a start takes longer than what there is to do.

A job is a generator function that is named ``"package.module:function"``. It gets an order, of JSON; whatever it yields
is reported, and it goes on when it is told to. So a test prepares several processes, and then lets all begin at once.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[1]


class Worker:
    """A process that waits for jobs."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.workers"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._process.kill()
        self._process.communicate()

    def begin(self, job: str, order: dict[str, Any]) -> None:
        """Have a job done up to its first report."""
        self._tell({"job": job, "order": order})

    def go_on(self) -> None:
        """Have the job done up to its next report."""
        self._tell({})

    def hear(self) -> Any:
        """Wait for a report, and return it."""
        assert self._process.stdout is not None
        report: dict[str, Any] = json.loads(self._process.stdout.readline())
        assert "error" not in report, report["error"]
        return report["told"]

    def _tell(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()


def do_at_once(workers: Sequence[Worker], job: str, orders: Sequence[dict[str, Any]], ready: object) -> list[Any]:
    """Give each worker an order, wait until all are ready, let them begin together, and return what they report."""
    busy = list(zip(workers, orders, strict=True))
    for worker, order in busy:
        worker.begin(job, order)
    assert [ready] * len(busy) == [worker.hear() for worker in workers]
    for worker in workers:
        worker.go_on()
    return [worker.hear() for worker in workers]


def _do(message: dict[str, Any], under_way: list[Iterator[Any]]) -> dict[str, Any]:
    try:
        if "job" in message:
            module, _, name = message["job"].partition(":")
            under_way[:] = [getattr(importlib.import_module(module), name)(message["order"])]
        return {"told": next(under_way[0])}
    except BaseException:
        return {"error": traceback.format_exc()}


def main() -> None:
    under_way: list[Iterator[Any]] = []
    for line in sys.stdin:
        print(json.dumps(_do(json.loads(line), under_way)), flush=True)  # noqa: T201 - how it reports


if __name__ == "__main__":
    main()
