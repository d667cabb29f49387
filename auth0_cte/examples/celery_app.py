"""Users of a legacy system are migrated by Celery workers, each user once, at the tenant's rate.

Run as many workers as there are machines, with ``AUTH0_DOMAIN``, ``AUTH0_CLIENT_ID``, ``AUTH0_CLIENT_SECRET``,
``AUTH0_SECRET`` and ``REDIS_URL`` in the environment::

    celery -A auth0_cte.examples.celery_app worker --concurrency 4

and hand them a file of rows, which ``auth0-cte batch`` reads as well::

    python -m auth0_cte.examples.celery_app users.jsonl

Celery may deliver a task twice, and a worker may die at any moment. A row is claimed in Redis before its token is sent:
a second delivery finds the claim and sends nothing. Needs ``pip install 'auth0-cte[examples]'``.
"""

from __future__ import annotations

import os
import sys
import uuid
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from auth0_cte.foundation.extras import extra

with extra("examples", "the example"):
    import redis
    import requests
    from celery import Celery

from auth0_cte import CustomTokenExchangeError, RateLimit, RedisExchangeCache, ServerClient
from auth0_cte.batch.claims import RedisClaims, StoppedError
from auth0_cte.batch.outcome import judge
from auth0_cte.batch.rows import BadRow, RowFile
from auth0_cte.examples import legacy
from auth0_cte.jose import Sealer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from auth0_cte.auth_types import TokenExchangeResponse

__all__ = ["app", "call_api", "enqueue", "main", "migrate"]

REDIS_URL: Final = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
RATE: Final = os.environ.get("AUTH0_CTE_RATE", "4/s")
BLOCKED_SECONDS: Final = 600

app: Final[Any] = Celery("auth0_cte_examples", broker=REDIS_URL, backend=REDIS_URL)
app.conf.update(
    # A task is acknowledged when it is done, so that one whose worker died is delivered again: the claim tells.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    result_expires=24 * 3600,
)


@cache
def connection() -> redis.Redis:
    """Return this process's Redis, with time-outs."""
    return redis.Redis.from_url(REDIS_URL, socket_timeout=5, socket_connect_timeout=5)


@cache
def auth0() -> ServerClient:
    """Return this process's client; rate and exchanged tokens are shared by all processes."""
    return ServerClient.from_env(
        rate_limit=RateLimit(RATE, redis=connection()),
        exchange_cache=RedisExchangeCache(connection(), secret=os.environ["AUTH0_SECRET"]),
    )


@cache
def sealer() -> Sealer:
    """Return what keeps tokens unreadable while they wait in the broker."""
    return Sealer([os.environ["AUTH0_SECRET"]], "celery-messages")


@cache
def claims(batch: str) -> RedisClaims:
    """Return the claims of a batch."""
    return RedisClaims(connection(), batch, abandoned_after=int(os.environ.get("AUTH0_CTE_ABANDONED", "300")))


def exchange(sealed: str) -> TokenExchangeResponse:
    """Exchange a sealed token, or take what a task before got for it out of the cache."""
    return auth0().custom_token_exchange(
        {
            "subject_token": sealer().unseal(sealed)["subject_token"],
            "subject_token_type": legacy.TOKEN_TYPE,
            "scope": "openid profile",
        }
    )


def _migrate(task: Any, batch: str, row_id: str, sealed: str) -> dict[str, Any]:
    """Exchange a row's token once, however often the task is delivered."""
    # Each delivery is an owner of its own: the second one of a task must not send what the first may have sent.
    owner = f"{task.request.id}:{uuid.uuid4().hex}"
    try:
        known = claims(batch).claim(row_id, owner)
    except StoppedError as error:
        raise task.retry(countdown=error.retry_after or BLOCKED_SECONDS) from None
    if known == "in_flight":  # another delivery is at it, or died: later it is done, or unknown
        raise task.retry(countdown=1)
    if known is not None:
        return {"id": row_id, "status": known}
    try:
        response = exchange(sealed)
    except CustomTokenExchangeError as error:
        return _failed(task, batch, (row_id, owner), error)
    claims(batch).settle(row_id, owner, "ok")
    return {"id": row_id, "status": "ok", "sub": (response.claims or {}).get("sub")}


def _failed(task: Any, batch: str, row: tuple[str, str], error: CustomTokenExchangeError) -> dict[str, Any]:
    state, retryable = judge(error)
    claims(batch).settle(*row, state)
    if error.code == "too_many_attempts":  # nobody sends anything until Auth0 lets this address in again
        claims(batch).stop(error.retry_after or BLOCKED_SECONDS)
    if retryable or state == "pending":
        raise task.retry(countdown=error.retry_after or 2)
    return {"id": row[0], "status": state, "code": error.code}


def _call_api(sealed: str) -> str:
    """Call an API for the user with the access token that the cache has, and return what it says."""
    domain = os.environ["AUTH0_DOMAIN"]
    url = f"{domain if '://' in domain else f'https://{domain}'}/userinfo"
    token = exchange(sealed).access_token
    response = requests.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=10)
    response.raise_for_status()
    return str(response.json()["name"])


migrate: Final[Any] = app.task(_migrate, bind=True, name="auth0_cte.migrate", max_retries=None)
call_api: Final[Any] = app.task(_call_api, name="auth0_cte.call_api")


def enqueue(batch: str, rows: Iterable[tuple[str, str]]) -> list[Any]:
    """Hand rows to the workers.

    Args:
        batch: The batch's name; the same rows under the same name are not sent again.
        rows: Ids and subject tokens.

    Returns:
        Celery's results, in order.
    """
    return [migrate.delay(batch, row_id, sealer().seal({"subject_token": token})) for row_id, token in rows]


def main(path: str) -> None:
    """Hand the rows of a file to the workers, and print what becomes of them."""
    source = RowFile(path=Path(path), id="id")
    rows = [row for row in source if not isinstance(row, BadRow)]
    for result in enqueue(source.fingerprint(), ((row.id, row.token) for row in rows)):
        print(result.get())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m auth0_cte.examples.celery_app FILE")
    main(sys.argv[1])
