"""Every store there is, made for a test."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from auth0_cte.session.redis import RedisStateStore
from auth0_cte.session.sql import SQLStateStore
from auth0_cte.session.stores import CookieStateStore, MemoryStateStore, StateStore
from tests.services import PostgresServer, RedisServer

NAMES = ["cookie", "memory", "redis", "sqlite", "postgresql"]
SERVER_SIDE = NAMES[1:]
_numbers = itertools.count()

MakeStore = Callable[[str], StateStore]


@contextmanager
def sql_store(url: str, table: str = "auth0_cte_sessions", *, pool_size: int = 20) -> Iterator[SQLStateStore]:
    engine = sa.create_engine(url, pool_pre_ping=True, pool_size=pool_size, max_overflow=20)
    store = SQLStateStore(engine, table=table)
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
        store._client.close()


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
    elif name == "sqlite":
        with sql_store(f"sqlite:///{directory / 'sessions.db'}") as sql:
            yield sql
    else:
        yield CookieStateStore() if name == "cookie" else MemoryStateStore()
