"""A rate limit that processes share through a real Redis."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import redis

from auth0_cte import (
    AsyncServerClient,
    CustomTokenExchangeError,
    ExchangeSucceeded,
    RateLimit,
    RateLimitError,
    RateLimitStatus,
    RetryPolicy,
)
from auth0_cte.foundation.deadline import Deadline
from auth0_cte.oauth.rate_limit.bucket import Pace
from auth0_cte.oauth.rate_limit.redis_bucket import RedisBucket
from auth0_cte.testing import LocalTenant
from tests.services import RedisServer

OPTIONS: dict[str, Any] = {"subject_token": "a-token", "subject_token_type": "urn:acme:mcp-token"}
PACE = Pace(interval=10.0, burst=1)
"""Slow enough that the time between two calls does not matter."""


@pytest.fixture(params=[True, False], ids=["text", "bytes"])
def client(redis_server: RedisServer, request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_server.url, socket_timeout=5, decode_responses=request.param) as made:
        yield made


@pytest.fixture
def bucket(client: redis.Redis, request: pytest.FixtureRequest) -> RedisBucket:
    client.flushdb()
    return RedisBucket(client, PACE, request.node.name)


def _near(seconds: float) -> Any:
    return pytest.approx(seconds, abs=4)


def test_slots_are_even(bucket: RedisBucket) -> None:
    """The first slot is now, the next ones are exactly an interval apart."""
    slots = [bucket.reserve(60) for _ in range(4)]
    assert [0.0, _near(10), _near(20), _near(30)] == [slot.wait for slot in slots]
    assert [10e6] * 3 == [after.at - before.at for before, after in pairwise(slots)]


def test_a_burst_leaves_at_once(client: redis.Redis) -> None:
    """As many slots as the burst have no wait."""
    client.flushdb()
    bucket = RedisBucket(client, Pace(interval=10.0, burst=3), "burst")
    assert [0.0, 0.0, 0.0, _near(10)] == [bucket.reserve(60).wait for _ in range(4)]


def test_slots_that_are_far_apart(client: redis.Redis) -> None:
    """A limit of one exchange an hour is not taken for the mistake of a clock, nor forgotten before its slot comes."""
    client.flushdb()
    bucket = RedisBucket(client, Pace(interval=4000.0, burst=1), "rare")
    assert [0.0, _near(4000)] == [bucket.reserve(10_000).wait for _ in range(2)]
    assert [4000 < int(client.pttl(key)) / 1000 for key in client.scan_iter("*rare*")] == [True]


def test_processes_with_the_same_name_share_slots(
    bucket: RedisBucket, client: redis.Redis, request: pytest.FixtureRequest
) -> None:
    """Another client of the same Redis goes on where the first one is; one with another name does not."""
    bucket.reserve(60)
    same = RedisBucket(client, PACE, request.node.name)
    assert _near(10) == same.reserve(60).wait
    assert 0.0 == RedisBucket(client, PACE, "another").reserve(60).wait


def test_a_slot_too_far_away_is_not_taken(bucket: RedisBucket) -> None:
    """Who would wait too long is told how long, and leaves the slot to others."""
    bucket.reserve(60)
    refused = bucket.reserve(5)
    assert (False, _near(10)) == (refused.granted, refused.wait)
    assert _near(10) == bucket.reserve(60).wait


def test_a_pause_moves_all_slots(bucket: RedisBucket) -> None:
    """Slots that are taken move, and later ones come behind them; a shorter pause adds nothing."""
    taken = [bucket.reserve(60) for _ in range(3)][1:]
    bucket.pause(100)
    bucket.pause(50)
    assert [_near(100), _near(110)] == [bucket.due_in(slot) for slot in taken]
    assert _near(120) == bucket.reserve(200).wait


@pytest.mark.parametrize("field", ["next", "paused_until", "seen", "all"])
def test_a_bucket_ahead_of_the_clock_recovers(
    field: str, bucket: RedisBucket, client: redis.Redis, request: pytest.FixtureRequest
) -> None:
    """After a clock that was an hour ahead slots are given as ever, not refused for an hour."""
    bucket.reserve(60)
    key = f"{{{request.node.name}}}:rate-limit"
    ahead = int((time.time() + 3600) * 1e6)
    fields = ["next", "paused_until", "seen"] if field == "all" else [field]
    client.hset(key, mapping=dict.fromkeys(fields, ahead))
    assert [True, True, True] == [bucket.reserve(60).granted for _ in range(3)]
    assert bucket.reserve(60).wait <= 60


def test_a_slot_that_was_given_back_is_taken_next(bucket: RedisBucket) -> None:
    """A slot that nobody used goes to who asks next."""
    slots = [bucket.reserve(60) for _ in range(3)]
    bucket.give_back(slots[1])
    assert [slots[1].at, slots[2].at + 10e6] == [bucket.reserve(60).at for _ in range(2)]


def test_what_the_server_has_left_is_all_there_is(client: redis.Redis) -> None:
    """Saved slots beyond what a reply says is left are forgotten."""
    client.flushdb()
    shared = RateLimit("6/min", burst=3, headroom=0, redis=client, name="drain")
    shared.learn("tenant", RateLimitStatus(limit=6, remaining=1, reset_at=None), time.monotonic(), 0.0)
    bucket = RedisBucket(client, Pace(interval=10.0, burst=3), "drain:tenant")
    assert [0.0, _near(10)] == [bucket.reserve(60).wait for _ in range(2)]


def test_tenants_do_not_share_a_limit(client: redis.Redis) -> None:
    """Each tenant has slots of its own, in Redis, too."""
    client.flushdb()
    waits: list[float] = []
    for _ in range(2):
        for tenant in ("https://a.auth0.com/", "https://b.auth0.com/"):
            shared = RateLimit("6/min", headroom=0, redis=client, sleep=lambda _: None)
            with suppress(RateLimitError):
                shared.take(tenant, Deadline(5), announce=waits.append)
                waits.append(0.0)
    assert [0.0, 0.0] == waits


def test_an_idle_bucket_is_forgotten(bucket: RedisBucket, client: redis.Redis) -> None:
    """Keys expire, so that tenants that are gone leave nothing behind."""
    bucket.give_back(bucket.reserve(60))
    lives = [int(client.pttl(key)) for key in client.scan_iter()]
    assert 2 == len(lives)
    assert all(0 < life <= 3_610_000 for life in lives)


def test_without_redis_nothing_is_sent(mortal_redis: RedisServer, tenant: LocalTenant) -> None:
    """While Redis is down an exchange fails, typed, before its token is spent; back again, all is well."""
    with redis.Redis.from_url(mortal_redis.url, socket_timeout=1) as connection:
        with tenant.client(rate_limit=RateLimit("100/s", redis=connection)) as client:
            client.custom_token_exchange(OPTIONS)
            mortal_redis.kill()
            with pytest.raises(CustomTokenExchangeError) as caught:
                client.custom_token_exchange(OPTIONS)
            mortal_redis.start()
            client.custom_token_exchange(OPTIONS)
    error = caught.value
    assert ("RATE_LIMIT_UNAVAILABLE", True, False) == (error.code, error.is_retryable, error.may_have_reached_server)
    assert isinstance(error.__cause__, redis.ConnectionError)
    assert 2 == len(tenant.token_requests)


def test_an_answer_survives_redis(
    mortal_redis: RedisServer, tenant: LocalTenant, caplog: pytest.LogCaptureFixture
) -> None:
    """When Redis dies while the token is under way, the answer is returned; what it taught is lost, with a warning."""
    with redis.Redis.from_url(mortal_redis.url, socket_timeout=1) as connection:

        @tenant.action("urn:acme:killing")
        def kill(_event: Any, api: Any) -> None:
            mortal_redis.kill()
            api.authentication.setUserById("auth0|ada")

        tenant.limit_exchanges(per_second=1)
        with tenant.client(rate_limit=RateLimit("1/s", redis=connection)) as client:
            assert client.custom_token_exchange({**OPTIONS, "subject_token_type": "urn:acme:killing"}).access_token
    assert "could not be told" in caplog.text


def test_a_429_survives_redis(mortal_redis: RedisServer, tenant: LocalTenant) -> None:
    """When Redis is down after a 429, the 429 is what is raised."""
    with redis.Redis.from_url(mortal_redis.url, socket_timeout=1) as connection:
        shared = RateLimit("100/s", redis=connection)
        retry = RetryPolicy(sleep=lambda _: mortal_redis.kill())
        with tenant.client(rate_limit=shared, retry=retry) as client:
            tenant.fail_next_with_rate_limit()
            with pytest.raises(CustomTokenExchangeError) as caught:
                client.custom_token_exchange(OPTIONS)
    assert isinstance(caught.value, RateLimitError)
    assert ("tenant", 429) == (caught.value.kind, caught.value.status_code)


def test_a_client_without_time_out_is_warned_of(redis_server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """A Redis that hangs would make exchanges hang."""
    with redis.Redis.from_url(redis_server.url, socket_timeout=None) as connection:
        RateLimit("4/s", redis=connection)
    assert "socket_timeout" in caplog.text


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_the_mirror_shares_it_too(redis_server: RedisServer, tenant: LocalTenant) -> None:
    """Asynchronous exchanges wait for slots of the same Redis."""
    events: list[Any] = []
    with redis.Redis.from_url(redis_server.url, socket_timeout=5) as connection:
        connection.flushdb()
        shared = RateLimit("50/s", redis=connection)
        async with AsyncServerClient.from_sync(tenant.client(rate_limit=shared, on_event=events.append)) as client:
            for _ in range(3):
                await client.custom_token_exchange(OPTIONS)
    assert 3 == sum(isinstance(event, ExchangeSucceeded) for event in events)


def test_processes_leave_no_slot_unused(
    client: redis.Redis, bucket: RedisBucket, request: pytest.FixtureRequest
) -> None:
    """Slots that several processes take are as even as those of one: together they go at the full rate."""
    buckets = [bucket, *[RedisBucket(client, PACE, request.node.name) for _ in range(2)]]
    moments = [each.reserve(1000).at for _ in range(10) for each in buckets]
    assert [10e6] * 29 == [after - before for before, after in pairwise(moments)]


def test_three_processes_drive_a_tenant_at_its_limit(redis_server: RedisServer) -> None:
    """In real time, too, they stay below the limit together: no 429 reaches any of them, and all get slots."""
    seconds, rate, processes = 3.0, 8, 3
    tenant = LocalTenant()  # in real time
    tenant.accept("urn:acme:mcp-token", "auth0|ada")
    tenant.limit_exchanges(per_second=rate)
    with tenant.serve() as server:
        arguments = [server.url, tenant.client_secret, redis_server.url, f"{rate}/s", str(seconds)]
        command = [sys.executable, "-m", "tests.rate_limited_process", *arguments]
        running = [
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
            for _ in range(processes)
        ]
        told = [process.communicate(timeout=120)[0].split() for process in running]
    counts, failures = zip(*[(int(count), int(failed)) for count, failed in told], strict=True)
    assert (0, 0, 0) == failures
    stamps = sorted(entry.date for entry in tenant.logs if "secte" == entry.type)
    assert all(count > 0 for count in counts)
    # While one at least is at work; how many slots a busy machine sleeps through is not what this is about.
    middle = [stamp for stamp in stamps if stamps[0] <= stamp < stamps[0] + 2.5]
    assert rate <= len(middle) <= rate * 2.5 + 1
