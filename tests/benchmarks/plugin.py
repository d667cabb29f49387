"""What the pytest plugin costs a test run that does not use it: ``python -m tests.benchmarks.plugin``.

In processes of their own, in turn: importing pytest, and importing pytest and the plugin as its entry point does. The
figure is the difference of the medians of their CPU time. Target: 2 ms.
"""

from __future__ import annotations

import argparse
import platform
import resource
import subprocess
import sys
from statistics import median
from typing import Final

PROGRAMS: Final = {"pytest": "import pytest", "pytest and auth0_cte": "import pytest, auth0_cte.testing.plugin"}
TARGET: Final = 2.0


def cpu_of(program: str) -> float:
    """Return the CPU time of a process that runs a program, in milliseconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", program], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


def main() -> None:
    """Print both medians and their difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    rounds = parser.parse_args().rounds
    took: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for _ in range(rounds):
        for name, program in PROGRAMS.items():
            took[name].append(cpu_of(program))
    usual, with_plugin = (median(times) for times in took.values())
    print(f"CPython {platform.python_version()}, auth0_cte: medians of {rounds} processes")
    verdict = "met" if with_plugin - usual <= TARGET else "missed"
    print(f"pytest {usual:.1f} ms, with the plugin {with_plugin:.1f} ms: {with_plugin - usual:+.1f} ms")
    print(f"  target <= {TARGET:.1f} ms {verdict}")


if __name__ == "__main__":
    main()
