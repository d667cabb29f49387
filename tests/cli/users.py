"""The command as its users drive it: in this process, as a program, and at a terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from click.testing import CliRunner, Result

from auth0_cte.cli.commands import cli
from auth0_cte.testing import LocalTenant, TenantServer

USER = "auth0|jane"
TYPE = "urn:acme:legacy"


def environment(tenant: LocalTenant, server: TenantServer) -> dict[str, str]:
    return {
        "AUTH0_DOMAIN": server.domain,
        "AUTH0_CLIENT_ID": tenant.client_id,
        "AUTH0_CLIENT_SECRET": tenant.client_secret,
    }


def run(*arguments: str, stdin: str | bytes | None = None, env: Mapping[str, str | None] | None = None) -> Result:
    """Run a command in this process; what it raises beyond an exit status fails the test."""
    result = CliRunner().invoke(
        cli, list(arguments), input=stdin, env={"COLUMNS": "80", **(env or {})}, prog_name="auth0-cte"
    )
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def program(*arguments: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a program of its own, without a terminal."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "auth0_cte", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": os.environ["PATH"], **env},
        check=False,
    )


@contextmanager
def started(*arguments: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    """Start the command as a program that the test watches, and end it at the latest when the test does."""
    process = subprocess.Popen(
        [sys.executable, "-m", "auth0_cte", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"], **env},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()


class Terminal:
    """A command at a pseudo-terminal of 80 columns, stdout and stderr together as a person sees them."""

    def __init__(self, *arguments: str, **env: str) -> None:
        self.output = ""
        self.pid, self._descriptor = pty.fork()
        if self.pid == 0:  # pragma: no cover - the child
            command = [sys.executable, "-W", "error", "-m", "auth0_cte", *arguments]
            os.execve(
                sys.executable, command, {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "COLUMNS": "80", **env}
            )

    def read_until(self, text: str, timeout: float = 30) -> str:
        """Read until some text has come."""
        end = time.monotonic() + timeout
        while text not in self.output:
            assert time.monotonic() < end, f"{text!r} did not come:\n{self.output}"
            if not self._read(0.1) and text not in self.output:
                raise AssertionError(f"{text!r} did not come before the end:\n{self.output}")
        return self.output

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def interrupt(self) -> None:
        os.kill(self.pid, signal.SIGINT)

    def wait(self, timeout: float = 60) -> int:
        """Read to the end, and return the exit status."""
        end = time.monotonic() + timeout
        while self._read(0.1):
            assert time.monotonic() < end, self.output
        os.close(self._descriptor)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _read(self, timeout: float) -> bool:
        if not select.select([self._descriptor], [], [], timeout)[0]:
            return True
        try:
            chunk = os.read(self._descriptor, 65536)
        except OSError:  # the other end was closed
            return False
        self.output += chunk.decode(errors="replace")
        return bool(chunk)

    @property
    def plain(self) -> str:
        """The output without escape sequences."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.output).replace("\r", "")
