"""The Celery example with two real workers over a real Redis."""

from __future__ import annotations

import base64
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType

import pytest
import redis

from auth0_cte.examples import legacy
from auth0_cte.examples.tenant import make_tenant
from auth0_cte.testing import LocalTenant
from tests.processes import children_of
from tests.services import RedisServer

ROWS = 40


@pytest.fixture(scope="module")
def tenant() -> Iterator[LocalTenant]:
    made = make_tenant()
    with made:
        yield made


@pytest.fixture(scope="module")
def settings(tenant: LocalTenant, redis_server: RedisServer) -> dict[str, str]:
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    return {
        "AUTH0_DOMAIN": tenant.serve().domain,
        "AUTH0_CLIENT_ID": tenant.client_id,
        "AUTH0_CLIENT_SECRET": tenant.client_secret,
        "AUTH0_SECRET": "a-secret-of-at-least-32-bytes-for-tests",
        "LEGACY_SECRET": "the-legacy-system-signs-with-this",
        "REDIS_URL": redis_server.url,
        "AUTH0_CTE_RATE": "100/s",
        "AUTH0_CTE_ABANDONED": "2",
    }


@pytest.fixture
def celery_app(tenant: LocalTenant, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The application, imported with this test's settings; the tenant has seen nothing yet."""
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    tenant.requests.clear()
    tenant.limit_exchanges(None)
    module = importlib.import_module("auth0_cte.examples.celery_app")
    yield importlib.reload(module)
    module.app.close()


@contextmanager
def worker(name: str, settings: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    command = ("celery", "-A", "auth0_cte.examples.celery_app", "worker", "--concurrency", "2", "--pool", "prefork")
    options = ("--hostname", f"{name}@localhost", "--without-mingle", "--without-gossip", "--loglevel", "WARNING")
    environment = {**os.environ, **settings}
    process = subprocess.Popen([sys.executable, "-m", *command, *options], env=environment, start_new_session=True)
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


@pytest.fixture(scope="module")
def workers(settings: dict[str, str]) -> Iterator[list[subprocess.Popen[bytes]]]:
    with ExitStack() as stack:
        yield [stack.enter_context(worker(name, settings)) for name in ("one", "two")]


def users_of(tenant: LocalTenant) -> Counter[str]:
    """How often a token of each user arrived at the tenant."""
    profiles = (legacy.read(str(request.form["subject_token"])) for request in tenant.token_requests)
    return Counter(profile["user_id"] for profile in profiles if profile is not None)


def test_each_row_is_exchanged_once_by_two_workers(
    tenant: LocalTenant, celery_app: ModuleType, workers: list[subprocess.Popen[bytes]]
) -> None:
    """Rows that are delivered twice, and whose worker is killed, are exchanged once; what is not known is told."""
    rows = [(f"user-{n}", legacy.mint(f"user-{n}")) for n in range(ROWS)]
    results = celery_app.enqueue("once", rows) + celery_app.enqueue("once", rows)
    while len(tenant.token_requests) < ROWS // 4:
        time.sleep(0.01)
    os.kill(min(children_of(workers[0].pid)), signal.SIGKILL)  # the pool puts another one in its place
    told = [result.get(timeout=60) for result in results]
    assert {"ok", "unknown"} >= {each["status"] for each in told}
    arrived = users_of(tenant)
    assert {1} == set(arrived.values())
    assert {each["id"] for each in told if each["status"] == "ok"} <= set(arrived)
    assert sum(each["status"] == "unknown" for each in told) <= 4
    assert {f"oauth2|legacy|{user}" for user in arrived} >= {each["sub"] for each in told if each.get("sub")}


def test_the_cache_spares_a_second_exchange(
    tenant: LocalTenant, celery_app: ModuleType, workers: list[subprocess.Popen[bytes]]
) -> None:
    """A task that calls an API uses the token that the migration got, in whichever process."""
    token = legacy.mint("ada")
    (migrated,) = celery_app.enqueue("cached", [("ada", token)])
    assert "ok" == migrated.get(timeout=60)["status"]
    sealed = celery_app.sealer().seal({"subject_token": token})
    assert ["ada"] * 6 == [each.get(timeout=60) for each in [celery_app.call_api.delay(sealed) for _ in range(6)]]
    assert Counter(ada=1) == users_of(tenant)


def test_the_rate_is_shared(
    tenant: LocalTenant,
    celery_app: ModuleType,
    workers: list[subprocess.Popen[bytes]],
) -> None:
    """Four processes keep to one limit: the tenant refuses nothing."""
    tenant.limit_exchanges(100)
    rows = [(f"user-{n}", legacy.mint(f"user-{n}")) for n in range(ROWS)]
    assert {"ok"} == {each.get(timeout=60)["status"] for each in celery_app.enqueue("paced", rows)}
    assert ROWS == len(tenant.token_requests)


def test_a_rejected_row_fails_once(
    tenant: LocalTenant, celery_app: ModuleType, workers: list[subprocess.Popen[bytes]]
) -> None:
    """A token that the Action rejects is told, and not sent again when the row is handed in anew."""
    for _ in range(2):
        (result,) = celery_app.enqueue("rejected", [("eve", "forged")])
        assert "failed" == result.get(timeout=60)["status"]
    assert 1 == len(tenant.token_requests)


def test_a_message_shows_no_token(celery_app: ModuleType, redis_server: RedisServer) -> None:
    """What waits in the broker is sealed."""
    celery_app.app.conf.task_default_queue = "unread"
    celery_app.enqueue("sealed", [("ada", "the-subject-token")])
    with redis.Redis.from_url(redis_server.url) as client:
        (message,) = client.lrange("unread", 0, -1)
    body = base64.b64decode(json.loads(message)["body"])
    assert b"ada" in body
    assert b"the-subject-token" not in body
