from __future__ import annotations

import json
import re
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import redis

from auth0_cte.testing import LocalTenant, TenantServer
from tests.cli.users import TYPE, USER, Terminal, environment, run, started
from tests.services import RedisServer, free_port

FAST = ("--rate", "10000/s")


@pytest.fixture
def users(tmp_path: Path) -> Path:
    """Twenty users of a legacy system."""
    path = tmp_path / "users.csv"
    path.write_text("email,subject_token\n" + "".join(f"u{n}@x.example,token-{n}\n" for n in range(20)))
    return path


@pytest.fixture
def seen(tenant: LocalTenant) -> list[str]:
    """The tokens that the Action saw. Those that end in -7 are rejected."""
    tokens: list[str] = []

    @tenant.action(TYPE)
    def migrate(event: Any, api: Any) -> None:
        token = event.transaction.subject_token
        tokens.append(token)
        if token.endswith("-7"):
            api.access.reject_invalid_subject_token("no such user")
        else:
            api.authentication.set_user_by_id(USER)

    return tokens


def batch(users: Path, *arguments: str, **env: str) -> Any:
    return run("batch", str(users), "-t", TYPE, "--id-column", "email", *FAST, *arguments, env=env)


def results(users: Path) -> dict[str, dict[str, Any]]:
    lines = users.with_name("users.csv.results.jsonl").read_text().splitlines()
    return {record["id"]: record for record in map(json.loads, lines)}


@pytest.mark.usefixtures("served")
class TestARun:
    """A batch from begin to end."""

    def test_every_row_is_exchanged_once(self, users: Path, seen: list[str]) -> None:
        """Each token is sent once, and the output file says what became of each row."""
        result = batch(users, "--json")
        assert sorted(seen) == sorted(f"token-{n}" for n in range(20))
        assert {"ok": 19, "failed": 1} == json.loads(result.stdout)["rows"]
        assert 3 == result.exit_code
        records = results(users)
        expected = {"id": "u1@x.example", "row": 2, "status": "ok", "sub": USER, "attempts": 1}
        assert expected == records["u1@x.example"]
        assert ("failed", "invalid_request") == (records["u7@x.example"]["status"], records["u7@x.example"]["code"])

    def test_a_clean_run_ends_with_0(self, users: Path) -> None:
        """When all rows are exchanged the status is 0."""
        assert 0 == batch(users).exit_code

    def test_nothing_written_has_a_token(self, users: Path, tenant: LocalTenant) -> None:
        """Neither output, journal nor terminal hold a token."""
        result = batch(users)
        written = b"".join(path.read_bytes() for path in users.parent.iterdir() if path != users)
        assert b"token-1" not in written + result.output.encode()
        assert not re.search(rb"eyJ[\w-]+\.", written)

    def test_tokens_are_written_on_request(self, users: Path) -> None:
        """--with-tokens writes them."""
        batch(users, "--with-tokens", "--scope", "openid offline_access")
        assert all({"access_token", "id_token", "refresh_token"} <= set(each) for each in results(users).values())

    def test_every_option_reaches_the_tenant(self, tmp_path: Path, tenant: LocalTenant) -> None:
        """Options of the exchange apply to each row, with an actor token where the row has one."""
        path = tmp_path / "users.jsonl"
        path.write_text('{"t": "a", "actor": "x"}\n{"t": "b"}\n')
        result = run(
            *("batch", str(path), "-t", TYPE, "--token-column", "t", "--actor-token-column", "actor"),
            *("--actor-token-type", "urn:acme:agent", "--audience", "https://api.example.com", "--scope", "openid"),
            *("-p", "campaign=2026", "--workers", "1"),
        )
        assert 0 == result.exit_code, result.output
        first, second = (request.form for request in tenant.token_requests)
        assert ("x", "urn:acme:agent") == (first["actor_token"], first["actor_token_type"])
        assert "actor_token" not in second
        for form in (first, second):
            assert ("2026", "openid", "https://api.example.com") == tuple(
                form[name] for name in ("campaign", "scope", "audience")
            )

    def test_bad_and_duplicate_rows_are_reported(self, tmp_path: Path, tenant: LocalTenant) -> None:
        """Malformed rows, tokens that the library refuses and rows with the same id are told, and never sent."""
        path = tmp_path / "users.csv"
        path.write_text("email,subject_token\na,one\na,two\nb,\nc,Bearer x\nd,four\n")
        result = batch(path, "--json")
        assert {"ok": 2, "failed": 1, "duplicate": 1, "invalid": 1} == json.loads(result.stdout)["rows"]
        for warning in ("row 2: another row has the id a", "row 3: subject_token is missing", "row 4: INVALID_TOKEN"):
            assert f"warning: {warning}" in result.stderr
        assert {"one", "four"} == {str(request.form["subject_token"]) for request in tenant.token_requests}

    def test_a_dry_run_sends_nothing(self, users: Path, tenant: LocalTenant) -> None:
        """--dry-run checks the rows, says how long it takes, and leaves no file."""
        result = batch(users, "--dry-run", "--json")
        told = json.loads(result.stdout)
        assert (0, 20, 20, 1) == (result.exit_code, told["rows"], told["sendable"], told["seconds"])
        assert ([], [users]) == (list(tenant.requests), list(users.parent.iterdir()))

    def test_a_dry_run_of_bad_rows_ends_with_3(self, tmp_path: Path) -> None:
        """Rows that cannot be sent are a reason to look at them first."""
        path = tmp_path / "users.csv"
        path.write_text("email,subject_token\na,Bearer x\n")
        assert 3 == batch(path, "--dry-run").exit_code

    def test_the_time_it_takes_is_told(self, tmp_path: Path) -> None:
        """The pre-flight says how long the plan's limit makes it take."""
        path = tmp_path / "users.csv"
        path.write_text("t\n" + "x\n" * 1_000)
        result = run("batch", str(path), "-t", TYPE, "--token-column", "t", "--dry-run", "--rate", "14.4/h")
        assert "1,000 rows at 14.4/h are 69 hours" in result.stderr

    @pytest.mark.parametrize(("plan", "words"), [("b2b-pro", "at 4/s"), ("enterprise", "at 15/s")])
    def test_the_rate_is_the_plans(self, plan: str, words: str, users: Path) -> None:
        """Without --rate the plan's limit counts."""
        result = run("batch", str(users), "-t", TYPE, "--plan", plan, "--dry-run")
        assert words in result.stderr

    def test_the_tenants_limit_is_not_overrun(self, users: Path, tenant: LocalTenant) -> None:
        """At the tenant's own rate no request is refused."""
        tenant.limit_exchanges(20)
        result = run("batch", str(users), "-t", TYPE, "--rate", "20/s")
        assert (0, 20) == (result.exit_code, len(tenant.token_requests))


@pytest.mark.usefixtures("served")
class TestRetries:
    """What is sent again, and what is not."""

    @pytest.mark.parametrize("kind", ["rate_limit", "policy", "unavailable"])
    def test_what_may_be_sent_again_is(self, kind: str, users: Path, tenant: LocalTenant, seen: list[str]) -> None:
        """A rate limit and a 503 with Retry-After are waited for."""
        users.write_text("email,subject_token\na,one\n")
        if kind == "rate_limit":
            tenant.fail_next_with_rate_limit(reset_in=0.1)
        elif kind == "policy":
            tenant.fail_next_with_rate_policy(0)
        else:
            tenant.fail_next(503, headers={"retry-after": "0"}, times=2)
        assert 0 == batch(users).exit_code
        assert ["one"] == seen

    @pytest.mark.parametrize("fault", ["reset", "half_body"])
    def test_what_may_have_been_exchanged_is_unknown(
        self, fault: Any, users: Path, tenant: LocalTenant, seen: list[str]
    ) -> None:
        """A row whose answer was lost is unknown, and not sent again but on request."""
        users.write_text("email,subject_token\na,one\n")
        tenant.fail_next(fault=fault)
        result = batch(users, "--json")
        assert (3, {"unknown": 1}) == (result.exit_code, json.loads(result.stdout)["rows"])
        assert 1 == len(tenant.token_requests)
        batch(users, "--resume")
        assert 1 == len(tenant.token_requests)
        assert 0 == batch(users, "--resume", "--retry-unknown").exit_code
        assert 2 == len(tenant.token_requests)
        assert "ok" == results(users)["a"]["status"]

    def test_a_rejected_token_is_not_sent_again(self, users: Path, seen: list[str]) -> None:
        """Whatever the number of attempts, a rejected token is sent once, in all runs."""
        batch(users, "--attempts", "5")
        batch(users, "--resume")
        assert {"token-7": 1} == {token: n for token, n in Counter(seen).items() if token == "token-7"}


@pytest.mark.usefixtures("served")
class TestStops:
    """What ends a run before its end."""

    @pytest.mark.parametrize("workers", [1, 4])
    def test_a_blocked_address_stops_it_at_once(
        self, workers: int, users: Path, tenant: LocalTenant, seen: list[str]
    ) -> None:
        """After too_many_attempts no request starts, at most workers - 1 are under way, and it says when to go on."""
        answered: list[int] = []

        @tenant.action(TYPE)
        def migrate(event: Any, api: Any) -> None:
            time.sleep(0.02)
            answered.append(1)
            if len(answered) == 5:
                tenant.fail_next(429, "too_many_attempts", "blocked", times=100)
            api.authentication.set_user_by_id(USER)

        result = batch(users, "--workers", str(workers), "--json")
        told = json.loads(result.stdout)
        assert 5 == result.exit_code
        assert ("attack_limit", "too_many_attempts") == (told["stopped"]["reason"], told["stopped"]["code"])
        assert 590 < told["go_on_at"] - time.time() < 601
        assert re.search(r"go on with --resume, not before .* \(in 10 minutes\)", result.stderr)
        blocked = len(tenant.token_requests) - len(answered)
        assert 1 <= blocked <= workers
        assert told["rows"].get("unknown", 0) == told["rows"].get("failed", 0) == 0

    def test_the_run_goes_on_after_a_block(self, users: Path, tenant: LocalTenant, seen: list[str]) -> None:
        """--resume sends what was not sent, the row that met the block included."""
        tenant.fail_next(429, "too_many_attempts", "blocked")
        assert 5 == batch(users, "--workers", "1").exit_code
        assert 3 == batch(users, "--resume").exit_code
        assert sorted(seen) == sorted(f"token-{n}" for n in range(20))

    @pytest.mark.parametrize(
        ("status", "error", "description"),
        [(401, "access_denied", "Unauthorized"), (403, "unauthorized_client", "no"), (401, "invalid_client", "no")],
    )
    def test_wrong_settings_stop_it(
        self, status: int, error: str, description: str, users: Path, tenant: LocalTenant
    ) -> None:
        """When the application is refused, the first answer stops the run, and no row is lost."""
        tenant.fail_next(status, error, description, times=100)
        result = batch(users, "--workers", "1", "--json")
        assert (4, 1) == (result.exit_code, len(tenant.token_requests))
        assert {"pending": 1} == json.loads(result.stdout)["rows"]

    def test_a_type_without_a_profile_stops_it(self, users: Path, tenant: LocalTenant) -> None:
        """A token type that nobody registered stops the run at the first row."""
        result = run("batch", str(users), "-t", "urn:acme:unknown", "--workers", "1")
        assert (4, 1) == (result.exit_code, len(tenant.token_requests))

    def test_a_dead_network_stops_it(self, users: Path) -> None:
        """When nobody is there the run stops soon, and all rows can be sent later."""
        env = {"AUTH0_DOMAIN": f"http://127.0.0.1:{free_port()}"}
        result = batch(users, "--workers", "2", "--attempts", "1", "--json", **env)
        told = json.loads(result.stdout)
        assert (6, "network") == (result.exit_code, told["stopped"]["reason"])
        assert {"pending"} == set(told["rows"])

    def test_missing_settings_leave_no_files(self, users: Path) -> None:
        """Without settings nothing is begun."""
        result = batch(users, AUTH0_CLIENT_ID="")
        assert (4, [users]) == (result.exit_code, list(users.parent.iterdir()))

    def test_a_full_disk_ends_it(self, users: Path) -> None:
        """An output file that cannot be written ends the run with a message."""
        result = batch(users, "--output", "/dev/full/results")
        assert 2 == result.exit_code
        assert "/dev/full/results: " in result.stderr

    @pytest.mark.parametrize(
        ("arguments", "status", "message"),
        [
            (["--retry-unknown"], 2, "--retry-unknown requires --resume"),
            (["--resume"], 4, "found no journal"),
            (["--rate", "fast"], 4, "4/s"),
            (["--id-column", "nothing"], 4, "the header line has no column nothing"),
            (["--id-column", "subject_token"], 4, "must be different"),
            (["--redis", "http://x"], 2, "--redis must be a URL such as redis://localhost:6379/0"),
        ],
    )
    def test_wrong_use(self, arguments: list[str], status: int, message: str, users: Path) -> None:
        """What cannot work is told before anything is sent, and leaves no file behind."""
        before = set(users.parent.iterdir())
        result = batch(users, *arguments)
        assert status == result.exit_code, result.output
        assert message in " ".join(result.stderr.split())
        assert before == set(users.parent.iterdir())

    def test_ctrl_c_ends_it_in_good_order(self, users: Path, tenant: LocalTenant, served: TenantServer) -> None:
        """Ctrl-C waits for what is under way, and leaves nothing unknown; the run can be resumed."""

        @tenant.action(TYPE)
        def slow(event: Any, api: Any) -> None:
            time.sleep(0.2)
            api.authentication.set_user_by_id(USER)

        with started(
            "batch", str(users), "-t", TYPE, "--workers", "1", *FAST, **environment(tenant, served)
        ) as process:
            while not tenant.token_requests:
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            _, told = process.communicate(timeout=30)
        assert 130 == process.returncode
        assert "go on with --resume" in told
        again = run("batch", str(users), "-t", TYPE, "--resume", "--json", *FAST)
        assert {"ok": 20} == json.loads(again.stdout)["rows"]


class TestAtATerminal:
    """What a person sees."""

    def test_there_is_a_progress_bar(self, users: Path, tenant: LocalTenant, served: TenantServer) -> None:
        """Rows, rate, time left and failures by code are shown while it runs, within 80 columns."""

        @tenant.action(TYPE)
        def slow(event: Any, api: Any) -> None:
            time.sleep(0.1)
            if len(tenant.token_requests) == 1:
                api.access.deny("account_closed", "no")
            else:
                api.authentication.set_user_by_id(USER)

        terminal = Terminal(*("batch", str(users), "-t", TYPE, "--workers", "1", *FAST), **environment(tenant, served))
        assert 3 == terminal.wait()
        for text in ("/20", "/s", "left", "1 not ok: account_closed 1", "Rows, all runs together"):
            assert text in terminal.plain
        drawn = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.output))
        assert max(len(line) for line in drawn if not line.startswith("results: ")) <= 80


class TestSharedByMachines:
    """``--redis``."""

    def test_two_machines_share_rows_and_rate(
        self, tmp_path: Path, tenant: LocalTenant, served: TenantServer, redis_server: RedisServer
    ) -> None:
        """Two processes with journals of their own exchange each row once, at one rate together."""
        with redis.Redis.from_url(redis_server.url) as client:
            client.flushall()
        users = tmp_path / "users.csv"
        users.write_text("email,subject_token\n" + "".join(f"u{n},token-{n}\n" for n in range(60)))
        tenant.limit_exchanges(30)
        seen: list[str] = []
        both = threading.Event()

        @tenant.action(TYPE)
        def wait_for_both(event: Any, api: Any) -> None:
            seen.append(event.transaction.subject_token)
            if len(seen) > 8:  # more than the workers of one machine
                both.set()
            assert both.wait(30)
            api.authentication.set_user_by_id(USER)

        def arguments(machine: str) -> tuple[str, ...]:
            place = ("--journal", str(tmp_path / machine), "--output", str(tmp_path / f"{machine}.jsonl"))
            shared = ("--rate", "30/s", "--workers", "8", "--redis", redis_server.url, "--json")
            return ("batch", str(users), "-t", TYPE, "--id-column", "email", *place, *shared)

        env = environment(tenant, served)
        with started(*arguments("m1"), **env) as first, started(*arguments("m2"), **env) as second:
            told = [json.loads(process.communicate(timeout=60)[0]) for process in (first, second)]
        assert sorted(seen) == sorted(f"token-{n}" for n in range(60))
        done = [each["rows"].get("ok", 0) for each in told]
        assert 60 == sum(done)
        assert min(done) > 0

    def test_a_block_stops_the_other_machine(
        self, users: Path, tenant: LocalTenant, served: TenantServer, redis_server: RedisServer
    ) -> None:
        """What one machine was told stops all; one that resumes by hand goes on."""
        with redis.Redis.from_url(redis_server.url) as client:
            client.flushall()
        tenant.fail_next(429, "too_many_attempts", "blocked")
        shared = ("--redis", redis_server.url, "--workers", "1")
        assert 5 == batch(users, *shared).exit_code
        requests = len(tenant.token_requests)
        place = ("--journal", str(users.parent / "m2"), "--output", str(users.parent / "m2.jsonl"))
        assert 5 == batch(users, *shared, *place).exit_code
        assert requests == len(tenant.token_requests)
        assert 0 == batch(users, *shared, "--resume").exit_code

    def test_a_redis_that_is_away_ends_with_6(self, users: Path, served: TenantServer, tenant: LocalTenant) -> None:
        """Without the shared rate nothing is sent, and the URL's password is not told."""
        result = batch(users, "--redis", f"redis://:hunter2@127.0.0.1:{free_port()}/0")
        assert (6, []) == (result.exit_code, tenant.token_requests)
        assert "hunter2" not in result.output
        assert "Fix the connection to the Redis" in result.stderr
