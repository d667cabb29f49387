"""What is wrong with a store is told: a wrong piece at once, a server that fails by our own error, without secrets."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import redis
import redis.asyncio
import sqlalchemy as sa
from django.test import override_settings
from sqlalchemy.ext.asyncio import create_async_engine

from auth0_cte import ConfigurationError, CookieStateStore, MemoryRotations, SessionError
from auth0_cte.django import DjangoCacheStateStore
from auth0_cte.session.redis import RedisRotations, RedisStateStore
from auth0_cte.session.sql import SQLRotations, SQLStateStore
from auth0_cte.session.stores.contract import Owner, Record
from tests.integration.apps import configure_django
from tests.services import Server, free_port, start_redis
from tests.session.stores import redis_store

ISSUER = "https://tenant.auth0.com/"
OWNER = Owner(ISSUER, "sid-1", "auth0|1")
PASSWORD = "s3cr3t-passw0rd"

WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "redis-url": (lambda: RedisStateStore("redis://localhost"), r"redis\.Redis.*not a builtins\.str.*from_url"),  # type: ignore[arg-type]
    "redis-class": (lambda: RedisStateStore(redis.Redis), r"redis\.Redis.*not the class"),  # type: ignore[arg-type]
    "redis-none": (lambda: RedisStateStore(None), r"redis\.Redis.*not a builtins\.NoneType"),  # type: ignore[arg-type]
    "redis-async": (lambda: RedisStateStore(redis.asyncio.Redis()), r"not a redis\.asyncio"),  # type: ignore[arg-type]
    "rotations-async": (lambda: RedisRotations(redis.asyncio.Redis()), r"not a redis\.asyncio"),  # type: ignore[arg-type]
    "sql-url": (lambda: SQLStateStore("sqlite://"), r"sqlalchemy\.Engine.*not a builtins\.str"),  # type: ignore[arg-type]
    "sql-async": (
        lambda: SQLStateStore(create_async_engine("postgresql+psycopg://x")),  # type: ignore[arg-type]
        r"sqlalchemy\.Engine.*not a sqlalchemy\.ext\.asyncio",
    ),
    "sql-rotations": (lambda: SQLRotations("sqlite://"), r"sqlalchemy\.Engine"),  # type: ignore[arg-type]
    "rotations-class": (lambda: CookieStateStore(rotations=MemoryRotations), r"rotations must be"),  # type: ignore[arg-type]
    "rotations-client": (lambda: CookieStateStore(rotations=redis.Redis()), r"rotations must be"),  # type: ignore[arg-type]
    "remembered-0": (lambda: CookieStateStore(remembered=0), r"at most 300 seconds"),
    "remembered-301": (lambda: CookieStateStore(remembered=300.5), r"at most 300 seconds"),
    "remembered-nan": (lambda: CookieStateStore(remembered=float("nan")), r"at most 300 seconds"),
    "remembered-text": (lambda: CookieStateStore(remembered="60"), r"at most 300 seconds"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize(("make", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_piece_is_told_at_once(make: Callable[[], object], message: str) -> None:
    """What cannot work is refused where it is given, and the message says what to give."""
    with pytest.raises(ConfigurationError, match=message):
        make()


def test_the_longest_memory_is_accepted() -> None:
    """Five minutes are the limit, and allowed."""
    assert 300 == CookieStateStore(remembered=300).remembered


def test_a_missing_table_says_how_to_make_it() -> None:
    """The hint names the method."""
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    for store in (SQLStateStore(engine), SQLRotations(engine)):
        with pytest.raises(SessionError) as caught:
            store.check()
        assert "create_tables()" in caught.value.hint
    engine.dispose()


@pytest.mark.parametrize("kind", ["redis", "sql"])
def test_no_frame_of_a_driver_shows_its_password(kind: str) -> None:
    """Neither the error, nor its cause, nor what caused that holds the password in a frame's variables."""
    port = free_port()
    if kind == "redis":
        store: Any = RedisStateStore.from_url(f"redis://:{PASSWORD}@127.0.0.1:{port}/0")
    else:
        store = SQLStateStore(sa.create_engine(f"postgresql+psycopg://tester:{PASSWORD}@127.0.0.1:{port}/postgres"))
    with pytest.raises(SessionError) as caught:
        store.create("the-id", "sealed-data", OWNER, 60)
    assert "STORE_UNAVAILABLE" == caught.value.code
    assert caught.value.__cause__ is not None
    error: BaseException | None = caught.value.__cause__
    while error is not None:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
        assert PASSWORD not in shown
        assert "sealed-data" not in shown
        error = error.__cause__ or error.__context__


def test_a_lock_that_is_not_given_back_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """What was done under a lock stands, although the server died before the lock was released."""
    with start_redis() as server, redis_store(server.url, "{release}", timeout=0.5) as store:
        with store.lock("id", 1):
            server.kill()
    assert "will expire" in caplog.text


@contextmanager
def swallowing(url: str) -> Iterator[DjangoCacheStateStore]:
    """Open a store in a cache that answers as if it were empty when its server cannot be reached."""
    configure_django()
    options = {"IGNORE_EXCEPTIONS": True, "CLIENT_CLASS": "django_redis.client.DefaultClient"}
    cache = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": url, "OPTIONS": options}
    with override_settings(CACHES={"default": cache}):
        yield DjangoCacheStateStore()


def test_a_cache_that_swallows_errors_is_told() -> None:
    """No call takes a cache that cannot be reached for an empty one: no logout "succeeds", no session seems to end."""
    with ExitStack() as stack:
        server: Server = stack.enter_context(start_redis())
        store = stack.enter_context(swallowing(server.url))  # type: ignore[attr-defined]
        cookie = store.create("id", "sealed", OWNER, 60)
        server.kill()
        calls: list[Callable[[], object]] = [
            store.check,
            lambda: store.get(cookie),
            lambda: store.get("unknown"),
            lambda: store.create("other", "x", OWNER, 60),
            lambda: store.replace(cookie, "again", 0),
            lambda: store.touch(cookie, 60),
            lambda: store.delete(cookie),
            lambda: store.delete_by_owner(ISSUER, sid="sid-1", sub=None),
            lambda: store.lock(cookie, 0.1).__enter__(),
        ]
        for call in calls:
            with pytest.raises(SessionError) as caught:
                call()
            assert "STORE_UNAVAILABLE" == caught.value.code
        server.start()
        assert Record("sealed") == store.get(cookie)
        store.delete(cookie)
        assert store.get(cookie) is None
