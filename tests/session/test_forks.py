"""A client that was used before the workers of a server were forked: each has connections of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest
import requests

from auth0_cte.testing import LocalTenant
from tests.integration.servers import serving
from tests.services import PostgresServer, RedisServer, start_memcached
from tests.session.clients import SECRET

USERS: Final = 8
REQUESTS: Final = 160
DEADLINE: Final = 20.0
# Workers of one thread, which is the one that was forked: what it had for itself is inherited, too.
GUNICORN: Final = [
    *(sys.executable, "-m", "gunicorn", "--preload", "--workers", "4", "--bind", "127.0.0.1:0"),
    "tests.session.preforked_app:application",
]
RECORDS: Final = ["postgresql", "sqlite", "redis", "django-redis", "django-db", "django-pymemcache", "django-pylibmc"]
ROTATIONS: Final = ["postgresql", "redis", "django-pymemcache"]
KINDS: Final = [*(f"records {each}" for each in RECORDS), *(f"rotations {each}" for each in ROTATIONS)]


@pytest.fixture(scope="module")
def url(
    redis_server: RedisServer, postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Serve an application of a client for each kind of store, which has used all of them before it forks."""
    tenant = _make_tenant()
    with start_memcached() as memcached, tenant.serve() as server:
        settings = {"domain": server.url, "client_id": tenant.client_id}
        settings |= {"client_secret": tenant.client_secret, "secret": SECRET}
        urls = {
            "postgresql": postgres_server.url,
            "sqlite": f"sqlite:///{tmp_path_factory.mktemp('forks') / 'sessions.db'}?timeout=60",
            "redis": redis_server.url,
            "django-redis": redis_server.url,
            "django-db": "sessions",
        }
        address = f"127.0.0.1:{memcached.port}"
        named = {kind: urls.get(kind.split(" ")[1], address) for kind in KINDS}
        order = {"urls": named, "redis": redis_server.url, "client": settings}
        root = str(Path(__file__).parents[2])
        with serving(GUNICORN, ORDER=json.dumps(order), PYTHONPATH=root) as served:
            yield served


def _make_tenant() -> LocalTenant:
    tenant = LocalTenant()

    @tenant.action("urn:acme:mcp-token")
    def exchange(event: object, api: object) -> None:
        user = event.transaction.subject_token  # type: ignore[attr-defined]
        if user not in tenant.users:
            tenant.add_user(user)
        api.authentication.set_user_by_id(user)  # type: ignore[attr-defined]

    return tenant


@pytest.mark.parametrize("kind", KINDS)
def test_workers_use_connections_of_their_own(kind: str, url: str) -> None:
    """Of 160 requests to four workers each is answered, with its own user, whatever was used before the fork."""
    users = [f"auth0|{number}" for number in range(USERS)]

    def get(path: str, jar: dict[str, str]) -> tuple[int, str | None, dict[str, str]]:
        # Each request by a connection of its own, so that any worker may take it.
        address = f"{url}/{path}{'&' if '?' in path else '?'}kind={kind}"
        reply = requests.get(address, cookies=jar, timeout=DEADLINE, headers={"Connection": "close"})
        assert 200 == reply.status_code, reply.text
        pid, user = reply.json()
        return pid, user, {each.name: each.value or "" for each in reply.cookies}

    with ThreadPoolExecutor(16) as pool:
        jars = list(pool.map(lambda user: get(f"login?user={user}", {})[2], users))

        def ask(number: int) -> tuple[int, str | None, str | None]:
            user = users[number % USERS]
            pid, seen, _ = get("", jars[number % USERS])
            return pid, seen, get(f"exchange?user={user}", {})[1] if number < USERS else user

        answers = list(pool.map(ask, range(REQUESTS)))
    expected = [users[number % USERS] for number in range(REQUESTS)]
    assert (expected, expected) == ([seen for _, seen, _ in answers], [exchanged for _, _, exchanged in answers])
    assert len({pid for pid, _, _ in answers}) > 1
    assert [None] * USERS == [get("logout", jar)[1] for jar in jars]
