"""What is made once, locked by key, or done by one thread for all that ask at the same time.

Small and written by hand, because it must never hold a lock while it does I/O, must survive a fork, and must let a
waiter give up at its own deadline.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar, overload

from auth0_cte.error import Auth0CTEError, ExchangeTransportError, without_frames
from auth0_cte.foundation.deadline import sleeper

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

__all__ = ["KeyedLocks", "SingleFlight", "once", "reset_in_child"]

K = TypeVar("K", bound="Hashable")
V = TypeVar("V")


class _Resettable(Protocol):
    def _after_fork_in_child(self) -> None: ...


_resettable: weakref.WeakSet[_Resettable] = weakref.WeakSet()


def reset_in_child(holder: _Resettable) -> None:
    """Have ``holder._after_fork_in_child()`` called in every forked child: its locks may be held by lost threads."""
    _resettable.add(holder)


def _reset_all() -> None:
    for holder in list(_resettable):
        holder._after_fork_in_child()  # noqa: SLF001 - the method is this module's own contract


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_all)


class once(Generic[V]):  # noqa: N801 - it is written as property is
    """An attribute that is made when it is first read, once for all threads, and then found without any lock.

    ``functools.cached_property`` has no lock from CPython 3.12 on: threads that meet at the first use would each get a
    value of their own. A child that is forked while a thread of its parent makes the value makes it anew.

    Args:
        make: The method that makes the value.
    """

    def __init__(self, make: Callable[[Any], V]) -> None:
        self.__doc__ = make.__doc__
        self._make = make
        self._name = make.__name__
        self._lock = threading.RLock()
        reset_in_child(self)

    def _after_fork_in_child(self) -> None:
        self._lock = threading.RLock()

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type) -> V: ...

    def __get__(self, instance: object, owner: type) -> Self | V:
        if instance is None:
            return self
        values = vars(instance)  # where the next look-up finds it, because this class has no __set__
        with self._lock:
            if self._name not in values:
                values[self._name] = self._make(instance)
            made: V = values[self._name]
            return made


class KeyedLocks:
    """A lock for each key, shared by keys whose hashes meet: bounded, and never to be cleaned up.

    Args:
        size: As many as keys could be busy at once.
    """

    def __init__(self, size: int = 1024) -> None:
        self._size = size
        self._after_fork_in_child()
        reset_in_child(self)

    def _after_fork_in_child(self) -> None:
        # Made when first needed: most clients never hold more than a few of them.
        self._locks: dict[int, threading.Lock] = {}

    @contextmanager
    def hold(self, key: Hashable, timeout: float) -> Iterator[None]:
        """Hold the key's lock.

        Args:
            key: What to keep others out of.
            timeout: How long to wait for it, in seconds.

        Raises:
            TimeoutError: Others held it for too long.
        """
        # setdefault is one step: two threads get the same lock.
        lock = self._locks.setdefault(hash(key) % self._size, threading.Lock())
        if not lock.acquire(timeout=timeout):
            raise TimeoutError("the lock was not free in time")
        try:
            yield
        finally:
            lock.release()


class _Flight(Generic[V]):
    """Work that is under way, and what came of it; ``at_rest`` while it only waits, with nothing under way."""

    def __init__(self) -> None:
        self.landed = threading.Event()
        self.results: list[V] = []
        self.error: BaseException | None = None
        self.at_rest = False


class SingleFlight(Generic[K, V]):
    """Lets one thread a key do the work that several ask for at the same time, and tells all of them what came of it.

    A failure is the failure of all who waited, each with an error of its own: a hundred of them do not try again one
    after another. Only when the caller who led was cancelled between two attempts, with nothing under way, another one
    takes its place.
    """

    def __init__(self) -> None:
        self._flights: dict[K, _Flight[V]] = {}
        self._waiting = 0
        self._lock = threading.Lock()
        reset_in_child(self)

    def _after_fork_in_child(self) -> None:
        # The thread that led a flight lives in the parent; nothing in the child would ever end it.
        self._flights, self._waiting, self._lock = {}, 0, threading.Lock()

    @property
    def waiting(self) -> int:
        """How many callers wait for the work of another one at this moment."""
        return self._waiting

    def do(self, key: K, work: Callable[[], V], *, timeout: float | None = None) -> V:
        """Return what ``work()`` returns, or raise what it raises, calling it once for all concurrent callers.

        Args:
            key: What the work is about.
            work: The work; called without any lock held.
            timeout: How long a caller that does not lead waits, in seconds.

        Raises:
            TimeoutError: The leader did not finish in time.
        """
        return self.share(key, work, timeout=timeout)[0]

    def share(self, key: K, work: Callable[[], V], *, timeout: float | None = None) -> tuple[V, bool]:
        """Do the same, and tell whether it was this caller that did the work."""
        ends_at = None if timeout is None else time.monotonic() + timeout
        while True:
            with self._lock:
                flight = self._flights.get(key)
                if flight is None:
                    mine = self._flights[key] = _Flight()
                    break
                self._waiting += 1
            try:
                if not flight.landed.wait(None if ends_at is None else ends_at - time.monotonic()):
                    raise TimeoutError("the work of another thread was not done in time")
            finally:
                with self._lock:
                    self._waiting -= 1
            if flight.error is None:
                return flight.results[0], False
            if not flight.at_rest:
                raise _twin_of(flight.error)
        try:
            with _noting_rests(mine):
                mine.results.append(work())
        except BaseException as error:
            mine.error = error
            raise
        finally:
            with self._lock:
                self._flights.pop(key, None)
            mine.landed.set()
        return mine.results[0], True


def _twin_of(error: BaseException) -> Auth0CTEError:
    """Return a copy of an error for another thread to raise: raising one object in two mixes up their tracebacks."""
    if not isinstance(error, Auth0CTEError):
        return ExchangeTransportError(
            f"the call that this one waited for ended with {type(error).__name__}; this call has sent nothing",
            may_have_reached_server=True,
        )
    twin = copy(error)
    vars(twin).pop("_notes", None)  # its own, should somebody add to them
    twin.__cause__ = error.__cause__
    return without_frames(twin)


@contextmanager
def _noting_rests(flight: _Flight[V]) -> Iterator[None]:
    """Note when the work waits for a retry or a slot, which is where asynchronous code cancels it."""
    usual = sleeper.get()

    def rest(seconds: float) -> None:
        flight.at_rest = True
        usual(seconds)
        flight.at_rest = False

    token = sleeper.set(rest)
    try:
        yield
    finally:
        sleeper.reset(token)
