from __future__ import annotations

import threading

from auth0_cte.foundation.ttl_cache import TTLCache


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


def test_what_has_expired_makes_room_behind_what_lives_long() -> None:
    """Short-lived entries do not stay because long-lived ones were there first."""
    now = Now()
    cache: TTLCache[int, str] = TTLCache(maxsize=1000, monotonic=now)
    for number in range(20):
        cache.set(number, "long", ttl=1000)
    for number in range(20, 40):
        cache.set(number, "short", ttl=10)
    now.time = 10
    cache.set(40, "new", ttl=10)
    assert 21 == len(cache)


def test_an_entry_whose_end_was_moved_lives_until_then() -> None:
    """A later end replaces the first one, also when room is made in between."""
    now = Now()
    cache: TTLCache[str, int] = TTLCache(maxsize=10, ttl=10, monotonic=now)
    cache.set("a", 1)
    assert cache.change("a", lambda value: value + 1, ttl=100)
    now.time = 50
    cache.set("b", 2)
    assert 2 == cache.get("a")
    now.time = 100
    cache.set("c", 3)
    assert 1 == len(cache)


def test_moving_ends_again_and_again_costs_no_memory() -> None:
    """Entries that are set or moved thousands of times end when the last one says."""
    now = Now()
    cache: TTLCache[int, int] = TTLCache(maxsize=10, ttl=10, monotonic=now)
    for number in range(5000):
        cache.set(number % 3, number)
        cache.change(number % 3, lambda value: value, ttl=20)
    now.time = 19.9
    assert (4998, 4999, 4997) == (cache.get(0), cache.get(1), cache.get(2))
    now.time = 20
    cache.set(9, 9)
    assert 1 == len(cache)


def test_entries_are_found_by_their_tags() -> None:
    """All entries with a tag that meet the condition are forgotten, and counted; the others stay."""
    cache: TTLCache[str, int] = TTLCache(maxsize=10, monotonic=Now(), tags=lambda value: (value % 2,))
    for name, value in {"a": 1, "b": 2, "c": 3}.items():
        cache.set(name, value)
    assert 1 == cache.discard_tagged(1, where=lambda value: value > 1)
    assert (1, 2, None) == (cache.get("a"), cache.get("b"), cache.get("c"))
    assert (1, 0) == (cache.discard_tagged(1), cache.discard_tagged(1))


def test_threads_keep_it_whole() -> None:
    """Threads that set, change and discard at once leave at most the size, and no tag of what is gone."""
    cache: TTLCache[int, int] = TTLCache(maxsize=50, ttl=10, monotonic=Now(), tags=lambda _: ("all",))

    def work() -> None:
        for number in range(2000):
            cache.set(number % 100, number)
            cache.change(number % 100, lambda value: value + 1, ttl=5)
            cache.discard((number + 50) % 100)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cache) == cache.discard_tagged("all")
    assert 0 == len(cache)
