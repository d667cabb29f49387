"""Forks at the worst moment: while another thread holds every lock there is."""

from __future__ import annotations

import inspect
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

PATIENCE = 20
"""Seconds after which a child that hangs is ended."""

T = TypeVar("T")


def check_fork(make: Callable[[], T], work: Callable[[T], bool], *, ours: str = "auth0_cte.") -> None:
    """Check that what was made works on in a forked child, though a thread that is gone there held all of its locks.

    Args:
        make: Makes the thing, and has it make what it makes late.
        work: Uses it in the child, and tells whether it worked.
        ours: Where the code is that makes the locks in question.
    """
    with _recorded_locks(ours) as locks:
        made = make()
    assert locks, "it has no locks"
    with _held(locks):
        status = run_in_child(lambda: work(made))
    assert 0 == status, "the child waited for a lock" if status == -signal.SIGALRM else "the child failed"


def run_in_child(work: Callable[[], bool]) -> int:
    """Fork, and return what the child ended with: 0 when the work returned True, a negative signal when it hung."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads and forks: the very point
        child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(PATIENCE)
            status = 0 if work() else 1
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@contextmanager
def _recorded_locks(ours: str) -> Iterator[list[Any]]:
    """Collect the locks that our code makes meanwhile; those of the tenant are not among them."""
    locks: list[Any] = []

    def recording(make: Callable[[], Any]) -> Callable[[], Any]:
        def make_lock() -> Any:
            lock, frame = make(), inspect.currentframe()
            maker = frame.f_back.f_globals.get("__name__", "") if frame and frame.f_back else ""
            if maker.startswith(ours) and not maker.startswith("auth0_cte.testing"):
                locks.append(lock)
            return lock

        return make_lock

    with pytest.MonkeyPatch.context() as patch:
        for name in ("Lock", "RLock"):
            patch.setattr(threading, name, recording(getattr(threading, name)))
        yield locks


@contextmanager
def _held(locks: list[Any]) -> Iterator[None]:
    """Have another thread hold all of the locks."""
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        for lock in locks:
            lock.acquire()
        held.set()
        done.wait()
        for lock in locks:
            lock.release()

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(PATIENCE)
    try:
        yield
    finally:
        done.set()
        thread.join()
