"""Every store there is, made for a test."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
import sqlalchemy as sa
from django.core.cache.backends.db import DatabaseCache

from auth0_cte import MemoryRotations, RedisRotations, SQLRotations
from auth0_cte.django import DjangoCacheRotations, DjangoCacheStateStore
from auth0_cte.session.redis import client_from_url
from auth0_cte.session.stores.contract import Rotations, StateStore
from auth0_cte.session.stores.cookie import CookieStateStore
from auth0_cte.session.stores.memory import MemoryStateStore
from auth0_cte.session.stores.redis import RedisStateStore
from auth0_cte.session.stores.sql import SQLStateStore
from tests.integration.apps import configure_django
from tests.services import PostgresServer, RedisServer

NAMES = ["cookie", "memory", "redis", "sqlite", "postgresql", "django-locmem", "django-redis", "django-db"]
SERVER_SIDE = NAMES[1:]
_numbers = itertools.count()

MakeStore = Callable[[str], StateStore]


@contextmanager
def sql_store(
    url: str, table: str = "auth0_cte_sessions", *, pool_size: int = 20, clock: Callable[[], float] = time.time
) -> Iterator[SQLStateStore]:
    # SQLite waits five seconds for a lock, which is not enough for 200 threads on a busy machine.
    patient = {"timeout": 60} if url.startswith("sqlite") else {}
    engine = sa.create_engine(
        url, pool_pre_ping=True, pool_size=pool_size, max_overflow=20, pool_timeout=60, connect_args=patient
    )
    store = SQLStateStore(engine, table=table, clock=clock)
    store.create_tables()
    try:
        yield store
    finally:
        engine.dispose()


@contextmanager
def redis_store(url: str, prefix: str, timeout: float = 10.0) -> Iterator[RedisStateStore]:
    store = RedisStateStore.from_url(url, prefix=prefix, timeout=timeout)
    try:
        yield store
    finally:
        store.close()


ROTATIONS = ["memory", "redis", "sqlite", "postgresql", "django-redis"]


@contextmanager
def sql_rotations(
    url: str, table: str = "auth0_cte_rotations", *, clock: Callable[[], float] = time.time
) -> Iterator[SQLRotations]:
    patient = {"timeout": 60} if url.startswith("sqlite") else {}
    engine = sa.create_engine(url, pool_pre_ping=True, pool_size=20, pool_timeout=60, connect_args=patient)
    rotations = SQLRotations(engine, table=table, clock=clock)
    rotations.create_tables()
    try:
        yield rotations
    finally:
        engine.dispose()


@contextmanager
def redis_rotations(url: str, prefix: str) -> Iterator[RedisRotations]:
    with client_from_url(url, timeout=10.0, pool_size=100) as client:
        yield RedisRotations(client, prefix=prefix)


@contextmanager
def make_rotations(name: str, request: pytest.FixtureRequest, directory: Path) -> Iterator[Rotations]:
    """Open rotations of a kind, which each test has for itself."""
    unique = f"r{next(_numbers)}"
    if name == "redis":
        with redis_rotations(request.getfixturevalue("redis_server").url, f"{{{unique}}}") as redis:
            yield redis
    elif name == "postgresql":
        with sql_rotations(request.getfixturevalue("postgres_server").url, unique) as sql:
            yield sql
    elif name == "sqlite":
        with sql_rotations(f"sqlite:///{directory / 'rotations.db'}") as sql:
            yield sql
    elif name == "django-redis":
        with redis_cache_store(request.getfixturevalue("redis_server").url, unique):
            yield DjangoCacheRotations(prefix=unique)
    else:
        yield MemoryRotations()


def _closing(name: str) -> Callable[..., Any]:
    def call(self: Any, *arguments: Any, **named: Any) -> Any:
        from django.db import connections

        try:
            return getattr(super(ClosingCache, self), name)(*arguments, **named)
        finally:
            connections.close_all()

    return call


class ClosingCache(DatabaseCache):  # type: ignore[misc]
    """Closes the database connections of the tests' own threads, as Django does at the end of a request."""

    add, get, get_many, set, touch, delete, delete_many = map(
        _closing, ("add", "get", "get_many", "set", "touch", "delete", "delete_many")
    )


@contextmanager
def django_store(kind: str, unique: str, request: pytest.FixtureRequest) -> Iterator[DjangoCacheStateStore]:
    from django.core.management import call_command
    from django.test import override_settings

    configure_django()
    backends = {"locmem": "locmem.LocMemCache", "redis": "redis.RedisCache"}
    backend = f"{__name__}.ClosingCache" if kind == "db" else f"django.core.cache.backends.{backends[kind]}"
    location = request.getfixturevalue("redis_server").url if kind == "redis" else unique
    cache: dict[str, Any] = {"BACKEND": backend, "LOCATION": location}
    with _closing_pools() as pool_class:
        cache["OPTIONS"] = {"pool_class": pool_class} if kind == "redis" else {"MAX_ENTRIES": 10_000}
        with override_settings(CACHES={"default": cache}):
            if kind == "db":
                call_command("createcachetable", verbosity=0)
            yield DjangoCacheStateStore(prefix=unique)


@contextmanager
def _closing_pools() -> Iterator[type[redis.ConnectionPool]]:
    """Make a class of connection pools that are closed in the end: Django, with a cache a thread, leaves them open."""
    made: list[redis.ConnectionPool] = []

    class Pool(redis.ConnectionPool):
        def __init__(self, *arguments: Any, **settings: Any) -> None:
            super().__init__(*arguments, **settings)
            made.append(self)

    try:
        yield Pool
    finally:
        for pool in made:
            pool.disconnect()


@contextmanager
def redis_cache_store(url: str, prefix: str) -> Iterator[DjangoCacheStateStore]:
    """Open a store in a Redis that Django has for a cache: for processes that share it."""
    from django.test import override_settings

    configure_django()
    backend = "django.core.cache.backends.redis.RedisCache"
    with _closing_pools() as pool_class:
        cache = {"BACKEND": backend, "LOCATION": url, "OPTIONS": {"pool_class": pool_class}}
        with override_settings(CACHES={"default": cache}):
            yield DjangoCacheStateStore(prefix=prefix)


@contextmanager
def make_store(name: str, request: pytest.FixtureRequest, directory: Path) -> Iterator[StateStore]:
    unique = f"s{next(_numbers)}"
    if name == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        with redis_store(server.url, f"{{{unique}}}") as redis:
            yield redis
    elif name == "postgresql":
        postgres: PostgresServer = request.getfixturevalue("postgres_server")
        with sql_store(postgres.url, unique) as sql:
            yield sql
    elif name.startswith("django-"):
        with django_store(name.removeprefix("django-"), unique, request) as cache:
            yield cache
    elif name == "sqlite":
        with sql_store(f"sqlite:///{directory / 'sessions.db'}") as sql:
            yield sql
    else:
        yield CookieStateStore() if name == "cookie" else MemoryStateStore()


def threads_inside(lock: Callable[[], AbstractContextManager[object]]) -> list[int]:
    """Let eight threads take a lock; return how many were inside whenever one of them had come in."""
    inside: list[int] = []
    seen: list[int] = []

    def work() -> None:
        with lock():
            inside.append(1)
            seen.append(len(inside))
            time.sleep(0.002)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen
