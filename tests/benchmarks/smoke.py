"""One short round of every benchmark, so that none stops working unnoticed: ``python -m tests.benchmarks.smoke``.

The figures mean nothing. What counts is that each benchmark ends well and printed a row about this library.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Final

BENCHMARKS: Final = {
    "exchange": ("--rounds", "1", "--calls", "3"),
    "session": ("--rounds", "1", "--calls", "3"),
    "concurrency": ("--rounds", "1", "--at-most", "4"),
    "reuse": ("--calls", "4"),
    "local_tenant": ("--rounds", "1"),
    "javascript": ("--calls", "3"),
    "plugin": ("--rounds", "1"),
}


def main() -> None:
    """Run them, each in a process of its own.

    Raises:
        SystemExit: One of them failed; its name and what it printed are the message.
    """
    for name, arguments in BENCHMARKS.items():
        command = [sys.executable, "-m", f"tests.benchmarks.{name}", *arguments]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"the benchmark {name} failed:\n{done.stdout}")
        print(f"{name}: ok", flush=True)


if __name__ == "__main__":
    main()
