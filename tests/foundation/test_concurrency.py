from __future__ import annotations

import threading
import time

import pytest

from auth0_cte.error import AccessTokenError
from auth0_cte.foundation.concurrency import KeyedLocks, SingleFlight


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
