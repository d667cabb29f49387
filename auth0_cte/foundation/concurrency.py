"""A bounded cache with a time to live, and single flight: one caller works, the others wait for its result.

Both are small and written by hand because together they must never hold a lock while they do I/O, must survive a
fork, and must let a waiter give up at its own deadline.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

__all__ = ["KeyedLocks", "SingleFlight", "TTLCache", "once", "reset_in_child"]

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


class TTLCache(Generic[K, V]):
    """A least-recently-used mapping whose entries expire; safe for threads.

    Args:
        maxsize: How many entries are kept.
        ttl: How long an entry lives, in seconds.
        monotonic: A clock that never jumps.
    """

    def __init__(self, *, maxsize: int, ttl: float, monotonic: Callable[[], float]) -> None:
        self._maxsize, self._ttl, self._monotonic = maxsize, ttl, monotonic
        self._entries: OrderedDict[K, tuple[float, V]] = OrderedDict()
        self._lock = threading.Lock()
        reset_in_child(self)

    def _after_fork_in_child(self) -> None:
        self._lock = threading.Lock()

    def get(self, key: K) -> V | None:
        """Return the entry that has not expired, or None."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            if entry[0] <= self._monotonic():
                del self._entries[key]
                return None
            self._entries.move_to_end(key)
            return entry[1]

    def set(self, key: K, value: V, *, ttl: float | None = None) -> None:
        """Keep ``value`` for ``ttl`` seconds (default: the cache's own), at the expense of the least recently used."""
        expires = self._monotonic() + (self._ttl if ttl is None else ttl)
        with self._lock:
            self._entries[key] = (expires, value)
            self._entries.move_to_end(key)
            while len(self._entries) > self._maxsize:
                self._entries.popitem(last=False)

    def discard(self, key: K) -> None:
        """Forget an entry, if it is there."""
        with self._lock:
            self._entries.pop(key, None)

    def __len__(self) -> int:
        return len(self._entries)


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
        self._locks = [threading.Lock() for _ in range(self._size)]

    @contextmanager
    def hold(self, key: Hashable, timeout: float) -> Iterator[None]:
        """Hold the key's lock.

        Args:
            key: What to keep others out of.
            timeout: How long to wait for it, in seconds.

        Raises:
            TimeoutError: Others held it for too long.
        """
        lock = self._locks[hash(key) % self._size]
        if not lock.acquire(timeout=timeout):
            raise TimeoutError("the lock was not free in time")
        try:
            yield
        finally:
            lock.release()


class _Flight(Generic[V]):
    # Not concurrent.futures.Future, which takes longer to import than this takes to read.

    def __init__(self) -> None:
        self.landed = threading.Event()
        self.result: V
        self.error: BaseException | None = None

    def wait(self, timeout: float | None) -> V:
        if not self.landed.wait(timeout):
            raise TimeoutError("the work of another thread was not done in time")
        if self.error is not None:
            raise self.error
        return self.result


class SingleFlight(Generic[K, V]):
    """Lets one thread a key do the work that several ask for at the same time."""

    def __init__(self) -> None:
        self._flights: dict[K, _Flight[V]] = {}
        self._waiting = 0
        self._lock = threading.Lock()
        reset_in_child(self)

    def _after_fork_in_child(self) -> None:
        # Whoever led a flight lives in the parent; nobody here would ever land it.
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
        with self._lock:
            flight = self._flights.get(key)
            leads = flight is None
            if flight is None:
                flight = self._flights[key] = _Flight()
            else:
                self._waiting += 1
        if not leads:
            try:
                return flight.wait(timeout)
            finally:
                with self._lock:
                    self._waiting -= 1
        try:
            flight.result = work()
        except BaseException as error:
            flight.error = error
            raise
        finally:
            with self._lock:
                self._flights.pop(key, None)
            flight.landed.set()
        return flight.result
