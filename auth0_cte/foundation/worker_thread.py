"""Blocking calls in worker threads, for asyncio and trio, none of which is ever left to itself."""

from __future__ import annotations

import itertools
import threading
import time
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Concatenate, Final, Generic, ParamSpec, Protocol, TypeVar, cast

import anyio
import anyio.from_thread
import anyio.to_thread
from anyio.lowlevel import RunVar

from auth0_cte.error import Auth0CTEError, without_frames
from auth0_cte.foundation.deadline import sleeper, waited

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["Mirror", "WorkerThreads", "awaited", "in_event_loop"]

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)

_numbers: Final = itertools.count()


class Mirror(Protocol[S_co]):
    """What has the methods of a synchronous object, to be awaited."""

    @property
    def sync(self) -> S_co:
        """The synchronous object, which does the work."""
        ...

    async def offload(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a function in a worker thread."""
        ...


def awaited(
    method: Callable[Concatenate[S, P], R],
) -> Callable[Concatenate[Mirror[S], P], Coroutine[Any, Any, R]]:
    """Make a method of a synchronous object one of its mirror, which runs it in a worker thread to its end."""

    @wraps(method)
    async def awaited(self: Mirror[S], /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await self.offload(method, self.sync, *args, **kwargs)
        except Auth0CTEError as error:
            failure, cause = without_frames(error), error.__cause__
        del args, kwargs  # as in the synchronous method: no frame of a public error shows a token
        raise failure from cause

    return awaited


def in_event_loop(function: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, R]:
    """Make a plain function, for worker threads, of an async one: awaited in the event loop that waits for them."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return anyio.from_thread.run(partial(function, *args, **kwargs))

    return call


class WorkerThreads:
    """The threads of one mirror: each event loop has so many at the same time, apart from anyio's shared limiter.

    Args:
        count: Calls that run at the same time in an event loop at most.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        # Of the running event loop, because a limiter that another loop made breaks; anyio tells them by their names.
        self._limiters: RunVar[anyio.CapacityLimiter] = RunVar(f"auth0_cte-{next(_numbers)}")

    @property
    def limiter(self) -> anyio.CapacityLimiter:
        """The running event loop's limiter."""
        limiter = self._limiters.get(None)
        if limiter is None:
            limiter = anyio.CapacityLimiter(self._count)
            self._limiters.set(limiter)
        return limiter

    async def run(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a function to its end, when there is a thread for it; a cancellation is delivered after or before."""
        return await _WorkerCall(partial(function, *args, **kwargs)).run(self.limiter)


class _WorkerCall(Generic[R]):
    """A call that a worker thread makes and a task waits for, to the end whatever happens to the task.

    A token that was sent is spent, and what it bought must not get lost, nor be written behind the back of a caller who
    has gone. So a cancellation is delivered when the call has returned, or before it has begun. anyio sees to that as
    far as its own cancel scopes go; ``asyncio.Task.cancel``, ``asyncio.timeout``, ``asyncio.wait_for`` and
    ``asyncio.run`` at Ctrl-C get past it, and are held back here.

    Between two attempts nothing is at risk: a wait for a retry ends at once.

    Args:
        function: The call.
    """

    def __init__(self, function: Callable[[], R]) -> None:
        self._function = function
        self._asked_at = time.monotonic()
        self._claim = threading.Lock()  # of the thread that begins the call, or of the task that will not have it begun
        self._ended = False
        self._cancelled = False
        self._end: anyio.Event | None = None
        self._nap: anyio.Event | None = None

    async def run(self, limiter: anyio.CapacityLimiter) -> R:
        """Have the call made, when the limiter has a thread for it."""
        try:
            return await anyio.to_thread.run_sync(self._make, limiter=limiter)
        except anyio.get_cancelled_exc_class():
            if not self._claim.acquire(blocking=False):
                await self._wait_for_end()
            raise

    def _make(self) -> R:
        if not self._claim.acquire(blocking=False):
            return cast("R", None)  # the task has gone
        # In a context of this call's own, a copy of the task's.
        sleeper.set(self._sleep)
        waited.set(time.monotonic() - self._asked_at)
        try:
            return self._function()
        finally:
            # The task sets its event before it looks whether this is the end; one of both sees the other.
            self._ended = True
            if self._end is not None:
                anyio.from_thread.run_sync(self._end.set)

    async def _wait_for_end(self) -> None:
        self._cancelled = True
        if self._nap is not None:
            self._nap.set()
        self._end = anyio.Event()
        while not self._ended:
            try:
                with anyio.CancelScope(shield=True):
                    await self._end.wait()
            except anyio.get_cancelled_exc_class():
                continue  # asked once more, the answer is the same

    def _sleep(self, seconds: float) -> None:
        anyio.from_thread.run(self._nap_until, seconds)

    async def _nap_until(self, seconds: float) -> None:
        self._nap = anyio.Event()
        if not self._cancelled:
            with anyio.move_on_after(seconds):
                await self._nap.wait()
        if self._cancelled:
            raise anyio.get_cancelled_exc_class()
