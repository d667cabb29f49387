"""A client that was used before the workers of a server were forked: each has connections of its own."""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import pytest
import requests

from auth0_cte.testing import LocalTenant
from auth0_cte.testing.wire.messages import Reply
from tests.integration.servers import serving
from tests.load import LOAD_SECONDS, load, sized
from tests.services import PostgresServer, RedisServer, start_memcached
from tests.session.clients import SECRET

API: Final = "https://api.example.com"
AT_ONCE: Final = 3
USERS: Final = 8
REQUESTS: Final = 160
DEADLINE: Final = 20.0
CROWD: Final = sized(200, 40)
CHAOS_SECONDS: Final = LOAD_SECONDS if LOAD_SECONDS >= 60 else LOAD_SECONDS / 5
ROTATION_SECONDS: Final = 5.0
FAULTS: Final[list[dict[str, Any]]] = [
    {"status": 500},
    {"status": 503},
    {"status": 503, "headers": {"Retry-After": "1"}},
    {"status": 502, "body": "<html>bad gateway</html>", "content_type": "text/html"},
    {"status": 429, "headers": {"Retry-After": "1"}},
    {"status": 200, "body": "{"},
    {"fault": "close"},
    {"fault": "reset"},
]
"""What the network and a busy server do, before anything of the request is done."""
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
def tenant() -> ShakyTenant:
    """A tenant whose access tokens are good for a second before they are renewed; it rotates without overlap."""
    tenant = _make_tenant()
    tenant.add_api(API, token_lifetime=11)
    tenant.apis.default_audience = API
    return tenant


@pytest.fixture(scope="module")
def url(
    tenant: ShakyTenant,
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


class ShakyTenant(LocalTenant):
    """A tenant that, while it is told to, fails three requests of ten."""

    shaky = False
    _order = random.Random(7)

    def handle(self, **request: Any) -> Reply:
        """Answer a request, or fail it before anything of it was done."""
        if self.shaky and self._order.random() < 0.3:
            path = request["target"].partition("?")[0]
            self.fail_next(**self._order.choice(FAULTS), path=path)
        return super().handle(**request)


def _make_tenant() -> ShakyTenant:
    tenant = ShakyTenant()

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


@load
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


@load
@pytest.mark.parametrize("kind", KINDS)
def test_chaos_mixes_nobody_up_and_loses_no_login(kind: str, url: str, tenant: ShakyTenant) -> None:
    """200 users, four workers, keys that rotate every 5 seconds, 30 % faults.

    Who was logged in by a 200 stays so until the logout, as the same user; failures are typed; no worker hangs.
    """
    crowd = [Visitor(url, kind, f"auth0|{kind.replace(' ', '-')}-{number}") for number in range(CROWD)]
    ends_at = time.monotonic() + CHAOS_SECONDS
    stop = threading.Event()

    def rotate() -> None:
        while not stop.wait(ROTATION_SECONDS):
            tenant.rotate_keys()

    def visit(visitors: list[Visitor]) -> None:
        for each in visitors:
            each.act()
        while time.monotonic() < ends_at:
            for each in visitors:
                each.act()

    rotating = threading.Thread(target=rotate)
    rotating.start()
    tenant.shaky = True
    try:
        with ThreadPoolExecutor(50) as pool:
            list(pool.map(visit, [crowd[number::50] for number in range(50)]))
    finally:
        tenant.shaky = False
        stop.set()
        rotating.join()
    assert [] == [fault for each in crowd for fault in each.faults]
    assert any(each.logged_in for each in crowd)
    for each in crowd:
        if each.logged_in:
            assert (200, each.user) == each.ask("")
    pids: set[int] = set()
    give_up = time.monotonic() + 60
    while len(pids) < 4 and time.monotonic() < give_up:
        pids.add(requests.get(f"{url}/?kind={kind}", timeout=DEADLINE, headers={"Connection": "close"}).json()[0])
    assert 4 == len(pids)


class Visitor:
    """A user's browser, which notes what must not be.

    Args:
        url: Where the application is.
        kind: The store of its sessions.
        user: Who the user is.
    """

    def __init__(self, url: str, kind: str, user: str) -> None:
        self.user, self.logged_in = user, False
        self.faults: list[object] = []
        self._url, self._kind = url, kind
        self._order = random.Random(user)
        self._jar: dict[str, str] = {}

    def act(self) -> None:
        """Do what users do: log in, look, call an API, log out now and then."""
        if not self.logged_in:
            status, found = self.ask(f"login?user={self.user}")
            self.logged_in = status == 200
            self._expect("login", status, found, self.user, {200, 409})
            return
        what = self._order.choices(["", "token?", f"exchange?user={self.user}", "logout?"], [60, 25, 10, 5])[0]
        status, found = self.ask(what)
        expected = None if what == "logout?" else self.user
        self.logged_in = what != "logout?"
        # Without the tenant nothing can fail: neither reading a session nor ending it.
        self._expect(what, status, found, expected, {200, 409} if what[:1] in ("t", "e") else {200})

    def ask(self, path: str) -> tuple[int, object]:
        """Send one request by a connection of its own, which any worker may take."""
        address = f"{self._url}/{path}{'&' if '?' in path else '?'}kind={self._kind}"
        try:
            reply = requests.get(address, cookies=self._jar, timeout=60, headers={"Connection": "close"})
        except requests.RequestException as error:
            return 0, repr(error)
        self._jar |= {each.name: each.value or "" for each in reply.cookies}
        return reply.status_code, reply.json()[1] if reply.status_code in (200, 409) else reply.text

    def _expect(self, what: str, status: int, found: object, expected: str | None, allowed: set[int]) -> None:
        if status not in allowed or (status == 200 and found != expected):
            self.faults.append((self.user, what, status, found))
