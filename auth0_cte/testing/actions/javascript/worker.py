"""A Node.js process that has loaded one Action, and runs it once at a time."""

from __future__ import annotations

import json
import logging
import os
import queue
import secrets
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from auth0_cte.testing.actions.code import ActionFailure, Limits, Ran, Stopwatch
from auth0_cte.testing.actions.javascript.failures import exit_text, failure_of, load_failure_of
from auth0_cte.testing.actions.javascript.node import environment
from auth0_cte.testing.actions.limits import ActionLimitError
from auth0_cte.testing.actions.records import without_absent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from auth0_cte.testing.actions.guard import GuardedApi
    from auth0_cte.testing.actions.javascript.script import Script

__all__ = ["Worker", "WorkerGoneError"]

logger: Final = logging.getLogger("auth0_cte.testing")

BRIDGE: Final = Path(__file__).with_name("bridge.js")
_CHUNK: Final = 65536
_STARTING: Final = 60.0
"""Seconds for Node.js itself to start, on a busy machine."""
_PATIENCE: Final = 1.0
"""Seconds for the output to end; what an Action started can hold it open."""
_TAIL: Final = 2000


class WorkerGoneError(Exception):
    """The process had ended before the Action began."""


class Worker:
    """The process, and a thread that reads what it says.

    Args:
        node: The path of Node.js.
        script: The Action.
        limits: What it is limited to while it is loaded, too.

    Raises:
        ActionFailure: The Action cannot be loaded.
    """

    def __init__(self, node: str, script: Script, limits: Limits) -> None:
        self.script = script
        self._token = secrets.token_hex(16)
        self._replies: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._runs, self._printed = 0, ""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process lives
        self._process = subprocess.Popen(  # noqa: S603 - the user's own Node.js
            [node, str(BRIDGE), self._token, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,  # buffers have locks, which a forked child may find taken
            cwd=script.path.parent,
            env=environment(),
        )
        self._reader = threading.Thread(target=self._read, daemon=True, name="auth0_cte Action output")
        self._reader.start()
        try:
            self._load(limits)
        except BaseException:
            self.kill()
            raise

    @property
    def is_alive(self) -> bool:
        """Whether the process is still there."""
        return self._process.returncode is None and self._process.poll() is None

    def run(self, event: Mapping[str, Any], api: GuardedApi, limits: Limits, clock: Callable[[], float]) -> Ran:
        """Run the Action once.

        Args:
            event: Its event.
            api: Answers its calls.
            limits: What it is limited to.
            clock: The tenant's clock, in Unix seconds; the Action's ``Date`` begins there.

        Raises:
            ActionFailure: It threw, ended its process, or ran for too long; see `is_alive`.
            WorkerGoneError: The process was gone already.
        """
        self._runs += 1
        deadline, watch = time.monotonic() + limits.seconds, Stopwatch(clock)
        if not self._send({"run": self._runs, "event": without_absent(event), "now": clock() * 1000}):
            raise WorkerGoneError
        reply = self._next(deadline, limits)
        if reply is None:
            raise WorkerGoneError
        while "done" not in reply:
            if "call" in reply:
                self._send(_answer(api, reply))
            reply = self._next(deadline, limits)
            if reply is None:
                raise self._ended(limits)
        if reply["failure"] is not None:
            raise failure_of(self.script.path, reply["failure"], self._take_printed(limits))
        return Ran(self._take_printed(limits), watch.seconds())

    def kill(self) -> None:
        """End the process at once, and wait for it."""
        self._process.kill()
        self._process.wait()
        self._reader.join(_PATIENCE)
        self._close()

    def abandon(self) -> None:
        """Forget the process, in a forked child: it is the parent's."""
        self._process.returncode = 0
        self._close()

    def _close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            if pipe is not None:
                pipe.close()

    def _load(self, limits: Limits) -> None:
        script = self.script
        if self._next(time.monotonic() + _STARTING, limits) is None:
            raise self._ended(limits)
        self._send(
            {
                "filename": str(script.path),
                "source": script.source.decode("utf-8", "replace"),
                "handler": script.handler,
                "methods": dict(script.methods),
                "secrets": dict(script.secrets),
            }
        )
        reply = self._next(time.monotonic() + limits.seconds, limits)
        if reply is None:
            raise self._ended(limits)
        if reply["loaded"] != "ready":
            raise load_failure_of(script, reply, self._take_printed(limits))

    def _send(self, message: Mapping[str, Any]) -> bool:
        rest = memoryview(json.dumps(message).encode() + b"\n")
        pipe = self._process.stdin
        while rest and pipe is not None and not pipe.closed:
            try:
                rest = rest[pipe.write(rest) :]
            except BrokenPipeError:
                return False
        return not rest

    def _next(self, deadline: float, limits: Limits) -> dict[str, Any] | None:
        """Return what the process says next, but for what the Action prints; None when it has ended."""
        while True:
            try:
                reply = self._replies.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                self.kill()
                raise ActionFailure(limits.exceeded, console=self._take_printed(limits)) from None
            if reply is None or "printed" not in reply:
                return reply
            self._printed = (self._printed + reply["printed"])[: limits.console]

    def _take_printed(self, limits: Limits) -> str:
        text, self._printed = self._printed, ""
        return text[: limits.console]

    def _read(self) -> None:
        start = self._token.encode()
        for line in self._lines():
            _, _, text = line.partition(start)
            if not text:
                continue
            message = json.loads(text)
            if "late" in message:
                what = "%s: %s came after the Action had ended, and is ignored"
                logger.warning(what, self.script.path.name, message["late"])
            else:
                self._replies.put(message)
        self._replies.put(None)

    def _lines(self) -> Iterator[bytes]:
        pipe, rest = self._process.stdout, b""
        while pipe is not None and (data := pipe.read(_CHUNK)):
            *lines, rest = (rest + data).split(b"\n")
            yield from lines

    def _ended(self, limits: Limits) -> ActionFailure:
        code = self._process.wait()
        self._errors.seek(0)
        said = self._errors.read()[-_TAIL:].decode("utf-8", "replace")
        return ActionFailure(exit_text(self.script.path, code), trace=said or None, console=self._take_printed(limits))


def _answer(api: GuardedApi, call: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {"value": api.call(call["call"], json.loads(call["values"]))}
    except ActionLimitError as error:
        return {"error": str(error)}
