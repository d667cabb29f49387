"""An Action that is a JavaScript file, and the processes that run it: as many as run at once."""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING, Any, Final

from auth0_cte.testing.actions.code import ActionFailure, Limits, Ran
from auth0_cte.testing.actions.javascript.node import find_node
from auth0_cte.testing.actions.javascript.script import Script
from auth0_cte.testing.actions.javascript.worker import Worker, WorkerGoneError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from auth0_cte.testing.actions.guard import GuardedApi

__all__ = ["JavaScriptCode"]

MAX_SOURCE: Final = 100_000
"""The largest Action, in bytes (Auth0, "Actions Limitations")."""
MAX_WORKERS: Final = 16


class _Workers:
    """The processes of one Action; what is left of them ends with the tenant, and with the interpreter."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self.lock = threading.Lock()
        self.places = threading.BoundedSemaphore(MAX_WORKERS)
        self.idle: list[Worker] = []
        self.all: set[Worker] = set()

    def take_idle(self, script: Script) -> Worker | None:
        """Take a process that has loaded this script, and end those that have loaded another."""
        with self.lock:
            stale = [each for each in self.idle if each.script != script or not each.is_alive]
            self.idle = [each for each in self.idle if each not in stale]
            found = self.idle.pop() if self.idle else None
        for worker in stale:
            self.end(worker)
        return found

    def end(self, worker: Worker) -> None:
        """End a process."""
        with self.lock:
            self.all.discard(worker)
        worker.kill()

    def end_all(self) -> None:
        """End all processes, those that run included."""
        if os.getpid() != self.owner:
            return  # a forked child, in which they are the parent's
        with self.lock:
            workers, self.idle = list(self.all), []
            self.all.clear()
        for worker in workers:
            worker.kill()


class JavaScriptCode:
    """An Action that is a JavaScript file. A change of the file is taken up by the next run.

    Args:
        path: The file.
        handler: The name of the function that it exports.
        methods: The methods of its api, in JavaScript's names, with what their calls come to.
        node: Returns the path of a chosen Node.js, or None.
    """

    def __init__(self, path: Path, handler: str, methods: Mapping[str, str], node: Callable[[], str | None]) -> None:
        self._path, self._handler, self._methods, self._node = path, handler, methods, node
        self._renew()

    @property
    def name(self) -> str:
        """The file's name."""
        return self._path.name

    def run(self, event: Mapping[str, Any], api: GuardedApi, limits: Limits, clock: Callable[[], float]) -> Ran:
        """Run the Action in a process that no other run uses.

        Raises:
            ActionFailure: It failed, or cannot be loaded.
        """
        if os.getpid() != self._workers.owner:
            self._forget()
        workers = self._workers
        script = Script(
            path=self._path,
            source=self._read(),
            handler=self._handler,
            methods=self._methods,
            modules=self._modules(),
            secrets=event["secrets"],
        )
        if not workers.places.acquire(timeout=limits.seconds):
            raise ActionFailure(f"all {MAX_WORKERS} processes of the Action were busy for {limits.seconds:g} seconds")
        try:
            return self._run_in(workers, script, event, api, limits, clock)
        finally:
            workers.places.release()

    def close(self) -> None:
        """End the processes."""
        self._workers.end_all()

    def _run_in(
        self,
        workers: _Workers,
        script: Script,
        event: Mapping[str, Any],
        api: GuardedApi,
        limits: Limits,
        clock: Callable[[], float],
    ) -> Ran:
        while True:
            worker = workers.take_idle(script) or self._start(workers, script, limits)
            try:
                ran = worker.run(event, api, limits, clock)
            except WorkerGoneError:  # while it was idle
                workers.end(worker)
                continue
            except ActionFailure:
                self._put_back(workers, worker)
                raise
            except BaseException:
                workers.end(worker)
                raise
            self._put_back(workers, worker)
            return ran

    def _start(self, workers: _Workers, script: Script, limits: Limits) -> Worker:
        worker = Worker(find_node(self._node()), script, limits)
        with workers.lock:
            workers.all.add(worker)
        return worker

    def _put_back(self, workers: _Workers, worker: Worker) -> None:
        with workers.lock:
            usable = worker in workers.all and worker.is_alive
            if usable:
                workers.idle.append(worker)
        if not usable:
            workers.end(worker)

    def _read(self) -> bytes:
        try:
            source = self._path.read_bytes()
        except OSError as error:
            raise ActionFailure(f"the file of the Action cannot be read: {error}") from None
        if len(source) > MAX_SOURCE:
            raise ActionFailure(f"the Action has {len(source)} bytes, more than {MAX_SOURCE} ({self._path.name})")
        return source

    def _modules(self) -> Mapping[str, int]:
        """Return when each of the Actions Modules beside the file was changed."""
        return {str(module): module.stat().st_mtime_ns for module in self._path.parent.glob("modules/*.js")}

    def _renew(self) -> None:
        self._workers = _Workers()
        self._finalizer = weakref.finalize(self, self._workers.end_all)

    def _forget(self) -> None:
        """Begin anew, in a forked child."""
        inherited = self._workers
        self._finalizer.detach()
        self._renew()
        for worker in list(inherited.all):
            worker.abandon()
