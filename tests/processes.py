"""The processes that a process started."""

from __future__ import annotations

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
