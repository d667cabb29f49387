"""A long batch that is killed again and again."""

from __future__ import annotations

import json
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from auth0_cte.testing import LocalTenant, TenantServer
from tests.cli.users import TYPE, USER, environment, run, started
from tests.load import load, sized

pytestmark = load

ROWS, KILLS = sized(20_000, 1_000), sized(10, 3)
RATE = 400
FAULTS: list[dict[str, Any]] = [
    {"status": 503, "headers": {"retry-after": "0"}},
    {"status": 429, "headers": {"retry-after": "0"}},
    {"status": 502, "body": "<html>", "content_type": "text/html"},
    {"status": 500, "error": "server_error"},
    {"fault": "reset"},
    {"fault": "half_body"},
]


@pytest.fixture
def exchanged(tenant: LocalTenant) -> list[str]:
    """The tokens that became tokens of a user; 5 % of the requests fail in one of six ways."""
    tokens: list[str] = []
    chance = random.Random(7)

    @tenant.action(TYPE)
    def migrate(event: Any, api: Any) -> None:
        tokens.append(event.transaction.subject_token)
        api.authentication.set_user_by_id(USER)
        if chance.random() < 0.05:
            tenant.fail_next(**chance.choice(FAULTS))

    tenant.limit_exchanges(RATE)
    return tokens


@pytest.fixture
def users(tmp_path: Path) -> Path:
    path = tmp_path / "users.jsonl"
    rows = ({"id": f"user-{n}", "subject_token": f"token-{n}"} for n in range(ROWS))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def arguments(users: Path, *more: str) -> tuple[str, ...]:
    return ("batch", str(users), "-t", TYPE, "--id-column", "id", "--rate", f"{RATE}/s", "--workers", "16", *more)


def last_lines(users: Path) -> dict[str, str]:
    lines = users.with_name("users.jsonl.results.jsonl").read_text().splitlines()
    return {record["id"]: record["status"] for record in map(json.loads, lines)}


def test_a_killed_batch_exchanges_every_row_once_or_reports_it(
    users: Path, tenant: LocalTenant, served: TenantServer, exchanged: list[str]
) -> None:
    """Killed by SIGKILL again and again: no token is exchanged twice, and each row is done or reported."""
    env = environment(tenant, served)
    killed, resume = 0, False
    while killed < KILLS:
        with started(*arguments(users, *(["--resume"] if resume else [])), **env) as process:
            goal = len(exchanged) + max(1, ROWS // (KILLS + 1) - random.randrange(20))
            while len(exchanged) < goal and process.poll() is None:
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
            assert -signal.SIGKILL == process.wait(10), "the batch ended before it was killed"
        killed, resume = killed + 1, users.with_name("users.jsonl.journal").exists()
    counts: dict[str, int] = {}
    for _ in range(5):  # rows that the tenant was too busy for are pending at first
        result = run(*arguments(users, "--resume", "--json"))
        counts = json.loads(result.stdout)["rows"]
        if not counts.get("pending"):
            break
    states = last_lines(users)
    assert ROWS == len(states) == sum(counts.values())
    assert {"ok", "unknown", "failed"} >= set(states.values())
    assert counts == Counter(states.values())
    assert [] == [token for token, times in Counter(exchanged).items() if times > 1]
    done = {token.replace("token", "user") for token in exchanged}
    assert {row for row, state in states.items() if state == "ok"} <= done
    # What was exchanged without being told so is reported as unknown, never as failed.
    assert {"unknown"} >= {states[row] for row in done if states[row] != "ok"}
    assert counts["unknown"] < 16 * KILLS + ROWS * 0.05


def test_memory_stays_flat(users: Path, tenant: LocalTenant, served: TenantServer, exchanged: list[str]) -> None:
    """From a tenth of the rows to the last one the process grows by less than 20 MB."""
    sizes: list[int] = []
    with started(*arguments(users, "--json"), **environment(tenant, served)) as process:
        watcher = threading.Thread(target=lambda: sizes.extend(_sizes(process.pid, exchanged)))
        watcher.start()
        process.communicate(timeout=ROWS)
        watcher.join()
    assert len(sizes) > 5
    assert max(sizes) - sizes[0] < 20 * 1024


def _sizes(pid: int, exchanged: list[str]) -> Iterator[int]:
    """The resident kilobytes of a process, from a tenth of the rows on, until it ends."""
    status = Path(f"/proc/{pid}/status")
    while status.exists():
        try:
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        except (OSError, ProcessLookupError):
            return
        if "VmRSS" not in lines:  # it ended
            return
        if len(exchanged) > ROWS / 10:
            yield int(lines["VmRSS"].split()[0])
        time.sleep(0.05)
