"""What is the business of Django's caches alone: what they throw out, refuse and break; the rest is in test_stores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from django.test import override_settings

from auth0_cte import SessionError
from auth0_cte.django import DjangoCacheStateStore
from auth0_cte.session.stores.contract import Owner, Record
from tests.integration.apps import configure_django

ISSUER = "https://tenant.auth0.com/"
OWNER = Owner(ISSUER, "sid-1", "auth0|1")


class OddCache(LocMemCache):  # type: ignore[misc]
    """A cache that can be filled to the brim, and broken in its own way."""

    is_full = False
    is_broken = False
    loses_answers = False

    def add(self, *args: Any, **kwargs: Any) -> Any:
        if type(self).is_broken:
            raise RuntimeError("no connection")
        if type(self).is_full:
            return False
        added = super().add(*args, **kwargs)
        # What a client does that sends a command again whose answer got lost.
        return super().add(*args, **kwargs) if type(self).loses_answers else added


@contextmanager
def _cache(backend: str, **more: Any) -> Iterator[Any]:
    configure_django()
    with override_settings(CACHES={"default": {"BACKEND": backend, **more}}):
        caches["default"].clear()
        yield caches["default"]


@pytest.fixture
def cache(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Memory of this process, with room for a thousand entries."""
    backend = "tests.django_project.ListedCache"
    with _cache(backend, LOCATION=request.node.name, OPTIONS={"MAX_ENTRIES": 1000}) as made:
        yield made


@pytest.fixture
def odd(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A cache whose mood a test can set; it has its old one back afterwards."""
    with _cache(f"{__name__}.OddCache", LOCATION=request.node.name), monkeypatch.context() as mood:
        yield mood


def values(cache: Any) -> list[Any]:
    return [cache.get(key) for key in cache.names()]


def test_what_is_kept_is_text_and_numbers(cache: Any) -> None:
    """Nothing that a reader of the cache could be made to run, no id that opens a session, and nobody's name."""
    store = DjangoCacheStateStore()
    cookie = store.create("the-id", "sealed", OWNER, 60)
    store.replace(cookie, "again", 0)
    with store.lock(cookie, 1):
        kept = values(cache)
    assert {str, int} == {type(value) for value in kept}
    assert not any(name in f"{cache.names()} {kept}" for name in ("the-id", "sid-1", "auth0|1", "tenant.auth0.com"))
    assert all(key.startswith("auth0-cte:") for key in cache.names())


def test_whatever_is_thrown_out_no_older_version_comes_back(cache: Any) -> None:
    """A full cache evicts what it likes: then the session is there as it was last, or not at all."""
    store = DjangoCacheStateStore()
    for number in range(len(_session_of_three_versions(store, cache))):
        evicted = _session_of_three_versions(store, cache)[number]
        cache.delete(evicted)
        assert store.get("id") in (None, Record("third", 2)), evicted


def _session_of_three_versions(store: DjangoCacheStateStore, cache: Any) -> list[str]:
    cache.clear()
    store.create("id", "first", OWNER, 60)
    assert "id" == store.replace("id", "second", 0)
    assert "id" == store.replace("id", "third", 1)
    return list(cache.names())


def test_more_sessions_than_are_counted_end(cache: Any) -> None:
    """The index of a user is bounded, the logout is not."""
    store = DjangoCacheStateStore()
    for number in range(70):
        store.create(f"id-{number}", "sealed", Owner(ISSUER, f"sid-{number}", "auth0|1"), 60)
    assert 64 == store.delete_by_owner(ISSUER, sid=None, sub="auth0|1")
    assert [None] * 70 == [store.get(f"id-{number}") for number in range(70)]


def test_a_lock_that_went_to_another_is_not_released(cache: Any) -> None:
    """Who lost its lock, because the cache was emptied, leaves the lock of the one who has it now."""
    store = DjangoCacheStateStore()
    with ExitStack() as second:
        with store.lock("id", 1):
            cache.clear()
            second.enter_context(store.lock("id", 1))
        with pytest.raises(SessionError, match="another refresh"), store.lock("id", 0.1):
            pass


def test_ended_sessions_leave_nothing_but_their_owners(cache: Any) -> None:
    """A cache is not filled by those who have left."""
    store = DjangoCacheStateStore()
    cookie = store.create("id", "first", OWNER, 60)
    store.delete(cookie)
    assert {"auth0-cte:owner", "auth0-cte"} == {key.rpartition(":")[0] for key in cache.names()}
    assert "auth0-cte:present" in cache.names()


def test_a_cache_that_cannot_write_is_told(odd: pytest.MonkeyPatch) -> None:
    """It says so by ``add`` alone: nothing is lost silently, and what was there is there still."""
    store = DjangoCacheStateStore()
    cookie = store.create("id", "sealed", OWNER, 60)
    odd.setattr(OddCache, "is_full", True)
    calls: list[Callable[[], object]] = [
        store.check,
        lambda: store.create("other", "x", OWNER, 60),
        lambda: store.replace(cookie, "again", 0),
    ]
    for call in calls:
        with pytest.raises(SessionError, match="did not keep") as caught:
            call()
        assert "STORE_UNAVAILABLE" == caught.value.code
    assert Record("sealed") == store.get(cookie)


def test_a_cache_that_breaks_in_its_own_way_is_told(odd: pytest.MonkeyPatch) -> None:
    """Backends raise what they like: the store raises its own error, with the other as its cause."""
    odd.setattr(OddCache, "is_broken", True)
    with pytest.raises(SessionError, match=r"'default'.*cannot be used: RuntimeError") as caught:
        DjangoCacheStateStore().check()
    assert "STORE_UNAVAILABLE" == caught.value.code
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_lock_whose_answer_got_lost_is_had(odd: pytest.MonkeyPatch) -> None:
    """A client that sends ``add`` a second time would else wait for itself."""
    store = DjangoCacheStateStore()
    cookie = store.create("id", "sealed", OWNER, 60)
    odd.setattr(OddCache, "loses_answers", True)
    with store.lock(cookie, 1), pytest.raises(SessionError, match="another refresh"), store.lock(cookie, 0.1):
        pass


def test_a_cache_that_is_not_configured_is_told(cache: Any) -> None:
    """The alias is in the message."""
    with pytest.raises(SessionError, match="CACHES has no 'sessions'"):
        DjangoCacheStateStore("sessions").check()


def test_stores_of_two_prefixes_are_apart(cache: Any) -> None:
    """Two applications may use one cache."""
    first, second = DjangoCacheStateStore(prefix="one"), DjangoCacheStateStore(prefix="two")
    cookie = first.create("id", "sealed", OWNER, 60)
    assert second.get(cookie) is None
    assert 0 == second.delete_by_owner(ISSUER, sid="sid-1", sub=None)
    assert Record("sealed") == first.get(cookie)
