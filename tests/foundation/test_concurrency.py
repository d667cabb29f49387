from __future__ import annotations

import threading
import time

import pytest

from auth0_cte.error import AccessTokenError
from auth0_cte.foundation.concurrency import KeyedLocks, SingleFlight, TTLCache


class Now:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def test_an_entry_expires() -> None:
    """After its time to live an entry is gone."""
    now = Now()
    cache: TTLCache[str, int] = TTLCache(maxsize=2, ttl=10, monotonic=now)
    cache.set("a", 1)
    cache.set("b", 2, ttl=20)
    now.time = 9.999
    assert (1, 2) == (cache.get("a"), cache.get("b"))
    now.time = 10
    assert (None, 2) == (cache.get("a"), cache.get("b"))
    now.time = 20
    assert (None, 0) == (cache.get("b"), len(cache))


def test_an_entry_that_is_set_again_is_a_new_one() -> None:
    """It lives from now on, and counts as used."""
    now = Now()
    cache: TTLCache[str, int] = TTLCache(maxsize=2, ttl=10, monotonic=now)
    cache.set("a", 1)
    cache.set("b", 2)
    now.time = 9
    cache.set("a", 3)
    cache.set("c", 4)
    now.time = 18
    assert (3, None, 4) == (cache.get("a"), cache.get("b"), cache.get("c"))


def test_the_least_recently_used_goes_first() -> None:
    """A full cache forgets what has not been asked for the longest."""
    cache: TTLCache[str, int] = TTLCache(maxsize=2, ttl=10, monotonic=Now())
    cache.set("a", 1)
    cache.set("b", 2)
    cache.get("a")
    cache.set("c", 3)
    assert (1, None, 3, 2) == (cache.get("a"), cache.get("b"), cache.get("c"), len(cache))


def test_an_entry_can_be_discarded() -> None:
    """A discarded entry is gone, and discarding twice does no harm."""
    cache: TTLCache[str, int] = TTLCache(maxsize=2, ttl=10, monotonic=Now())
    cache.set("a", 1)
    cache.discard("a")
    cache.discard("a")
    assert cache.get("a") is None


def _run_together(count: int, work: object) -> list[threading.Thread]:
    threads = [threading.Thread(target=work) for _ in range(count)]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    return threads


def test_one_works_for_all() -> None:
    """Callers that come while the work is under way get its result without doing it."""
    flights: SingleFlight[str, int] = SingleFlight()
    started, release = threading.Event(), threading.Event()
    calls: list[int] = []
    results: list[int] = []

    def work() -> int:
        calls.append(1)
        started.set()
        release.wait(5)
        return 42

    leader = _run_together(1, lambda: results.append(flights.do("k", work)))
    started.wait(5)
    waiters = _run_together(9, lambda: results.append(flights.do("k", work)))
    _wait_for(flights, 9)
    release.set()
    for thread in leader + waiters:
        thread.join(5)
    assert [42] * 10 == results
    assert ([1], 0) == (calls, flights.waiting)


def _wait_for(flights: SingleFlight[str, int], count: int) -> None:
    end = time.monotonic() + 10
    while flights.waiting < count:
        assert time.monotonic() < end
        time.sleep(0.001)


def test_a_failure_is_everybodys() -> None:
    """What the work raises, every waiting caller gets, and the next one tries anew."""
    flights: SingleFlight[str, int] = SingleFlight()
    started, release = threading.Event(), threading.Event()
    failures: list[Exception] = []

    def fail() -> int:
        started.set()
        release.wait(5)
        raise AccessTokenError("no")

    def ask() -> None:
        with pytest.raises(AccessTokenError, match="no") as caught:
            flights.do("k", fail)
        failures.append(caught.value)

    threads = _run_together(1, ask)
    started.wait(5)
    threads += _run_together(3, ask)
    _wait_for(flights, 3)
    release.set()
    for thread in threads:
        thread.join(5)
    assert (4, 0) == (len({id(failure) for failure in failures}), flights.waiting)  # each has an error of its own
    assert 7 == flights.do("k", lambda: 7)


def test_a_waiter_gives_up_in_time() -> None:
    """A caller that does not lead waits no longer than it said."""
    flights: SingleFlight[str, int] = SingleFlight()
    started, release = threading.Event(), threading.Event()

    def work() -> int:
        started.set()
        release.wait(5)
        return 1

    (leader,) = _run_together(1, lambda: flights.do("k", work))
    started.wait(5)
    with pytest.raises(TimeoutError):
        flights.do("k", work, timeout=0.01)
    assert 0 == flights.waiting
    release.set()
    leader.join(5)


def test_who_holds_a_key_keeps_others_out() -> None:
    """A second holder of the same key gives up in time; after the first has let go it is free again."""
    locks = KeyedLocks()
    with locks.hold("k", 1):
        (other,) = _run_together(1, lambda: _check_held(locks))
        other.join(5)
        assert not other.is_alive()
    with locks.hold("k", 0.01):
        pass


def _check_held(locks: KeyedLocks) -> None:
    with pytest.raises(TimeoutError), locks.hold("k", 0.01):
        pass


def test_a_key_is_free_after_an_error() -> None:
    """What is raised while a key is held lets it go."""
    locks = KeyedLocks(1)
    with pytest.raises(LookupError), locks.hold("k", 1):
        raise LookupError
    with locks.hold("another", 0.01):
        pass


def test_other_keys_do_not_wait() -> None:
    """Work for one key is independent of work for another."""
    flights: SingleFlight[str, int] = SingleFlight()
    assert 2 == flights.do("a", lambda: flights.do("b", lambda: 2))
