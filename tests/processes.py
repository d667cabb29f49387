"""The processes that a process started, and waiting for what they do."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def children_of(pid: int) -> dict[int, str]:
    """Return the children of a process with their commands; none where there is no ``/proc``.

    By the parent's id that each process tells: the lists of children that threads have miss a child whose thread ends
    while they are read.
    """
    found: dict[int, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            if f"\nPPid:\t{pid}\n" in (folder / "status").read_text():
                found[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
    return found


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for something that happens in another thread or process."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
