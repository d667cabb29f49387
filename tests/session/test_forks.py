"""A client that was used before the workers of a server were forked: each has connections of its own."""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest
import requests

from auth0_cte.testing import LocalTenant
from tests.integration.servers import serving
from tests.services import PostgresServer, RedisServer, start_memcached
from tests.session.clients import SECRET

API: Final = "https://api.example.com"
LOAD_SECONDS: Final = float(os.environ.get("AUTH0_CTE_LOAD_SECONDS", "5"))
"""How long each load goes on."""
AT_ONCE: Final = 3
USERS: Final = 8
REQUESTS: Final = 160
DEADLINE: Final = 20.0
# Workers of one thread, which is the one that was forked: what it had for itself is inherited, too.
GUNICORN: Final = [
    *(sys.executable, "-m", "gunicorn", "--preload", "--workers", "4", "--bind", "127.0.0.1:0"),
    "tests.session.preforked_app:application",
]
PYLIBMC: Final = ["django-pylibmc"] if find_spec("pylibmc") else []  # its wheels end with CPython 3.11
RECORDS: Final = ["postgresql", "sqlite", "redis", "django-redis", "django-db", "django-pymemcache", *PYLIBMC]
ROTATIONS: Final = ["postgresql", "redis", "django-pymemcache"]
KINDS: Final = [*(f"records {each}" for each in RECORDS), *(f"rotations {each}" for each in ROTATIONS)]


@pytest.fixture(scope="module")
def tenant() -> LocalTenant:
    """A tenant whose access tokens are good for a second before they are renewed; it rotates without overlap."""
    tenant = _make_tenant()
    tenant.add_api(API, token_lifetime=11)
    tenant.apis.default_audience = API
    return tenant


@pytest.fixture(scope="module")
def url(
    tenant: LocalTenant,
    redis_server: RedisServer,
    postgres_server: PostgresServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """Serve an application of a client for each kind of store, which has used all of them before it forks."""
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


@pytest.mark.parametrize("kind", [f"rotations {each}" for each in ROTATIONS])
def test_nobody_is_logged_out_by_rotation(kind: str, url: str, tenant: LocalTenant) -> None:
    """8 browsers send requests at once to 4 processes and keep the cookies of reordered answers.

    Each request is answered with a token of its own user, and no refresh token is sent twice.
    """
    sent, ends_at = len(tenant.token_requests), time.monotonic() + LOAD_SECONDS

    def ask(path: str, jar: dict[str, str]) -> tuple[str, dict[str, str]]:
        reply = requests.get(
            f"{url}/{path}&kind={kind}", cookies=jar, timeout=DEADLINE, headers={"Connection": "close"}
        )
        assert 200 == reply.status_code, reply.text
        return reply.json()[1], {each.name: each.value or "" for each in reply.cookies}

    def browse(number: int) -> int:
        user, order, count = f"auth0|load-{number}", random.Random(number), 0
        jar = ask(f"login?user={user}", {})[1]
        with ThreadPoolExecutor(AT_ONCE) as tabs:
            while time.monotonic() < ends_at:
                answers = [each.result() for each in [tabs.submit(ask, "token?", dict(jar)) for _ in range(AT_ONCE)]]
                assert [user] * AT_ONCE == [found for found, _ in answers]
                order.shuffle(answers)
                for _, cookies in answers:
                    jar |= cookies
                count += AT_ONCE
        return count

    with ThreadPoolExecutor(USERS) as browsers:
        counts = list(browsers.map(browse, range(USERS)))
    forms = [request.form for request in list(tenant.token_requests)[sent:]]
    used = [str(form["refresh_token"]) for form in forms if form["grant_type"] == "refresh_token"]
    assert min(counts) >= AT_ONCE
    assert USERS < len(used) == len(set(used))
