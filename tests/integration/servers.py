"""The example applications in server processes of their own, as their users start them."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

DEADLINE = 60.0
# What servers say when they listen; they choose the port themselves, so that nothing else can take it before.
_LISTENING = re.compile(r"(?i)(?:listening (?:at|on)|running on|server at):? *(http://127\.0\.0\.1:([0-9]+))")
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")

PREFORK: dict[str, list[str]] = {
    "flask": ["gunicorn", "auth0_cte.examples.flask_app:create_app()"],
    "django": ["gunicorn", "auth0_cte.examples.django_app:application"],
    "fastapi": ["uvicorn", "--factory", "auth0_cte.examples.fastapi_app:create_app"],
}
"""The commands that serve an application by several processes, without their options."""
OPTIONS = {
    "gunicorn": "--bind 127.0.0.1:0 --workers 4 --worker-class gthread --threads 4 --keep-alive 30",
    "uvicorn": "--port 0 --workers 2 --timeout-keep-alive 30 --no-access-log",
}


def run_example(module: str, *arguments: str) -> list[str]:
    """Return the command that the README shows for an example."""
    return [sys.executable, "-m", f"auth0_cte.examples.{module}", *arguments]


def run_prefork(framework: str) -> list[str]:
    """Return the command that serves an example by several processes, on a tenant in another one."""
    server, *arguments = PREFORK[framework]
    return run_example("tenant", sys.executable, "-m", server, *OPTIONS[server].split(), *arguments)


@contextmanager
def serving(command: Sequence[str], **environment: str) -> Iterator[str]:
    """Run a server until the block ends, and all of its processes no longer; yield its URL.

    An exception of the block is given the end of the server's log as a note.
    """
    directory = Path(tempfile.mkdtemp(prefix="auth0-cte-"))
    log = directory / "log"
    # gunicorn puts a socket into the directory of the run time, which is the user's unless it is told.
    own = {"PORT": "0", "PYTHONUNBUFFERED": "1", "REDIS_URL": "", "XDG_RUNTIME_DIR": str(directory)}
    variables = {**os.environ, **own, **environment}
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, stdout=output, stderr=output, env=variables, cwd=directory, start_new_session=True
            )
        try:
            yield _wait_for_url(process, log)
        except BaseException as error:
            error.add_note(f"{' '.join(command)} said:\n{log.read_text(errors='replace')[-6000:]}")
            raise
        finally:
            _end(process)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _wait_for_url(process: subprocess.Popen[bytes], log: Path) -> str:
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end and process.poll() is None:
        found = _LISTENING.search(_ESCAPES.sub("", log.read_text(errors="replace")))
        if found is not None and _is_open(int(found[2])):
            return found[1]
        time.sleep(0.02)
    raise RuntimeError("the server does not listen")


def _is_open(port: int) -> bool:
    # uvicorn names the port before it listens there.
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        pass
    finally:
        # Workers are in the group of the process that started them, and may outlive it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
