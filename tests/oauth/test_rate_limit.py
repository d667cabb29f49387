"""The client's own rate limit: slots, what replies teach it, and what the tenant's limits look like from outside."""

from __future__ import annotations

import itertools
import os
import random
import threading
from typing import Any

import anyio
import pytest

from auth0_cte import (
    AsyncServerClient,
    ClientEvent,
    ConfigurationError,
    MemoryStateStore,
    RateLimit,
    RateLimitError,
    RateLimitStatus,
    RetryPolicy,
    ServerClient,
    TokenRequestRetried,
)
from auth0_cte.foundation.deadline import Deadline
from auth0_cte.oauth.rate_limit.bucket import LocalBucket, Pace, Slot
from auth0_cte.testing import LocalTenant
from auth0_cte.testing.registry.rate_limits import Refill
from tests.forks import check_fork
from tests.oauth.driving import OPTIONS, drive
from tests.raw_server import TOKENS, RawServer, reply, send
from tests.virtual_time import DEADLINE, VirtualTime

TENANT = "https://tenant.auth0.com/"
PACE = Pace(interval=1.0, burst=1)


class Now:
    """A monotonic clock that sleeping moves."""

    def __init__(self) -> None:
        self.time = 100.0
        self.naps: list[float] = []

    def __call__(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.time += seconds


@pytest.fixture
def now() -> Now:
    return Now()


def limit(now: Now, rate: str = "4/s", **more: Any) -> RateLimit:
    return RateLimit(rate, monotonic=now, sleep=now.sleep, **{"headroom": 0.0, **more})


def take(limit: RateLimit, now: Now, times: int, seconds: float = 60) -> list[float]:
    """Take slots in a row, and return when each came, from the beginning."""
    return [round(limit.take(TENANT, Deadline(seconds, now)) - 100.0, 6) for _ in range(times)]


@pytest.mark.parametrize(
    ("rate", "interval"),
    [("4/s", 0.25), ("15/s", 1 / 15), (" 100 / min ", 0.6), ("0.5/s", 2.0), ("3600/hour", 1.0), ("60/m", 1.0)],
)
def test_a_rate_is_a_number_and_a_unit(rate: str, interval: float, now: Now) -> None:
    """Slots come at the even intervals of the rate."""
    assert [0.0, round(interval, 6), round(2 * interval, 6)] == take(limit(now, rate), now, 3)


@pytest.mark.parametrize("rate", ["", "4", "4/d", "0/s", "-1/s", "4/s/s", "x/s", "4 per s", 4, None, True])
def test_a_malformed_rate_is_refused(rate: Any) -> None:
    """What is no rate is a configuration error, from the client, too, that says how to write one."""
    with pytest.raises(ConfigurationError, match="4/s"):
        RateLimit(rate)
    if rate is not None:
        with pytest.raises(ConfigurationError, match="4/s"):
            ServerClient("tenant.auth0.com", "c", "s", rate_limit=rate)


@pytest.mark.parametrize("wrong", [{"burst": 0}, {"burst": 1.5}, {"burst": True}, {"headroom": 1}, {"headroom": -0.1}])
def test_malformed_settings_are_refused(wrong: dict[str, Any]) -> None:
    """A burst is a whole number from 1, a headroom a part below the whole."""
    with pytest.raises(ConfigurationError):
        RateLimit("4/s", **wrong)


def test_the_repr_tells_the_rate() -> None:
    """A limit is recognized in a log."""
    assert "RateLimit('4/s', burst=2)" == repr(RateLimit("4/s", burst=2))


def test_a_part_of_the_limit_is_left_unused(now: Now) -> None:
    """Headroom widens the intervals."""
    assert [0.0, 0.5, 1.0] == take(limit(now, headroom=0.5), now, 3)


def test_a_burst_leaves_at_once_and_comes_back_with_rest(now: Now) -> None:
    """As many slots as the burst come at once, then they are even again; a rest restores them, and no more."""
    burst = limit(now, burst=3)
    assert [0.0, 0.0, 0.0, 0.25, 0.5] == take(burst, now, 5)
    now.time += 100
    assert [100.5, 100.5, 100.5, 100.75] == take(burst, now, 4)


def test_tenants_do_not_share_a_limit(now: Now) -> None:
    """Each tenant has slots of its own."""
    shared = limit(now)
    take(shared, now, 3)
    shared.take("https://other.auth0.com/", Deadline(60, now))
    assert 2 == len(now.naps)


def test_a_slot_beyond_the_deadline_is_refused_at_once(now: Now) -> None:
    """Who cannot be served in time learns it without waiting, and takes no slot from others."""
    slow = limit(now, "1/min")
    take(slow, now, 1)
    for _ in range(2):
        with pytest.raises(RateLimitError) as caught:
            take(slow, now, 1, seconds=15)
        assert pytest.approx(60.0) == caught.value.retry_after
    assert [] == now.naps
    assert [60.0] == take(slow, now, 1, seconds=70)


def test_time_for_the_request_is_left(now: Now) -> None:
    """A slot that would come a moment before the deadline is none: the token would be sent in vain."""
    slow = limit(now, "1/min")
    take(slow, now, 1)
    with pytest.raises(RateLimitError):
        take(slow, now, 1, seconds=60.5)
    assert [60.0] == take(slow, now, 1, seconds=61)


def test_a_slot_that_moves_beyond_the_deadline_is_given_up(now: Now) -> None:
    """While a caller waits, the server says that all must: who cannot learns it at once, and its slot is another's."""

    def sleep(seconds: float) -> None:
        now.sleep(seconds)
        if 1 == len(now.naps):
            slow.back_off(TENANT, RateLimitError("slow down", retry_after=30.0))

    slow = RateLimit("1/s", headroom=0.0, monotonic=now, sleep=sleep)
    take(slow, now, 1)
    with pytest.raises(RateLimitError) as caught:
        take(slow, now, 1, seconds=5)
    assert [1.0] == now.naps
    assert pytest.approx(30.0) == caught.value.retry_after
    assert [31.0, 32.0] == take(slow, now, 2, seconds=100)


def test_a_thousand_tenants_are_remembered(now: Now) -> None:
    """Tenants that come and go do not fill the memory: the first one is forgotten, and has a slot at once."""
    shared = limit(now, "1/min")
    for number in [*range(1000), 0]:
        shared.take(f"https://t{number}.auth0.com/", Deadline(100, now))
    assert [60.0] == now.naps
    shared.take("https://another.auth0.com/", Deadline(100, now))
    shared.take("https://t0.auth0.com/", Deadline(100, now))
    assert [60.0] == now.naps


def test_taken_slots_keep_their_order_through_a_pause(now: Now) -> None:
    """A pause moves all slots that are taken, and later ones come behind them, at the same pace."""
    bucket = LocalBucket(PACE, now)
    slots = [bucket.reserve(60) for _ in range(3)][1:]
    bucket.pause(10)
    slots.append(bucket.reserve(60))
    assert [10.0, 11.0, 12.0] == [bucket.due_in(slot) for slot in slots]
    assert 12.0 == slots[-1].wait


def test_a_pause_that_ends_before_the_next_slot_changes_nothing(now: Now) -> None:
    """Where slots are rare, the server's wait is part of the one that there is anyway."""
    slow = limit(now, "1/min")
    take(slow, now, 1)
    slow.back_off(TENANT, RateLimitError("slow down", retry_after=5.0))
    assert [60.0, 120.0] == take(slow, now, 2, seconds=100)


def test_pauses_overlap(now: Now) -> None:
    """A second pause adds what it lasts beyond the first."""
    bucket = LocalBucket(PACE, now)
    bucket.reserve(60)
    slot = bucket.reserve(60)
    bucket.pause(5)
    now.time += 1
    bucket.pause(2)
    bucket.pause(6)
    assert 6.0 == bucket.due_in(slot)
    now.time += 7
    assert 0.0 == bucket.reserve(60).wait


def test_a_slot_that_was_given_back_is_not_lost(now: Now) -> None:
    """Whoever asks next gets a slot that somebody else gave up, and those behind keep theirs."""
    bucket = LocalBucket(PACE, now)
    slots = [bucket.reserve(60) for _ in range(4)]
    bucket.give_back(slots[2])
    bucket.give_back(slots[1])
    assert [1.0, 2.0, 4.0] == [bucket.reserve(60).wait for _ in range(3)]
    bucket.give_back(slots[3])
    now.time += 10
    assert [0.0, 1.0] == [bucket.reserve(60).wait for _ in range(2)]


def test_what_the_server_has_left_is_all_there_is(now: Now) -> None:
    """Saved slots beyond what a reply says is left are forgotten; others stay."""
    burst = limit(now, burst=4)
    take(burst, now, 1)
    burst.learn(TENANT, RateLimitStatus(limit=4, remaining=1, reset_at=None), now.time, 0.0)
    assert [0.0, 0.25] == take(burst, now, 2)
    now.time += 100
    burst.learn(TENANT, RateLimitStatus(limit=100, remaining=60, reset_at=None), now.time, 0.0)
    assert 4 == take(burst, now, 5).count(100.25)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (RateLimitStatus(limit=4, remaining=0, reset_at=1002.0), 0.25),
        (RateLimitStatus(limit=4, remaining=0, reset_at=1002.5), 2.5),
        (RateLimitStatus(limit=4, remaining=0, reset_at=1010.0), 10.0),
        (RateLimitStatus(limit=4, remaining=0, reset_at=1e12), 60.0),
        (RateLimitStatus(limit=4, remaining=3, reset_at=1010.0), 0.25),
        (RateLimitStatus(remaining=0), 0.25),
        (None, 0.25),
    ],
)
def test_a_success_tells_of_a_lower_limit(status: RateLimitStatus | None, expected: float, now: Now) -> None:
    """Nothing left until long after our own rate would have refilled it: all wait, though not for ever."""
    taught = limit(now)
    taught.learn(TENANT, status, taught.take(TENANT, Deadline(60, now)), 1000.0)
    assert [expected] == take(taught, now, 1, seconds=100)


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        ({"retry_after": 3.0}, 3.0),
        ({}, 0.25),
        ({"retry_after": 1e6}, 60.0),
        ({"retry_after": 9.0, "blocked": True}, 0.25),
    ],
)
def test_a_429_has_everybody_wait(evidence: dict[str, Any], expected: float, now: Now) -> None:
    """All slots wait as long as the server says, a minute at most; but for a blocked address nobody else must."""
    taught = limit(now, burst=2)
    take(taught, now, 2)
    taught.back_off(TENANT, RateLimitError("slow down", **evidence))
    assert [expected, expected + 0.25] == take(taught, now, 2, seconds=100)


def test_threads_are_served_in_the_order_they_came() -> None:
    """Each thread comes when the one before waits: they leave one after another, in that order, as slots come."""
    now = VirtualTime(0.0)
    shared = RateLimit("2/s", headroom=0.0, monotonic=now, sleep=now.sleep)
    numbers = itertools.count()
    come = [threading.Event() for _ in range(51)]
    come[0].set()
    served: list[tuple[int, float]] = []

    def work() -> None:
        number = next(numbers)
        assert come[number].wait(DEADLINE)
        shared.take(TENANT, Deadline(60, now), announce=lambda _seconds: come[number + 1].set())
        come[number + 1].set()  # the first does not wait
        served.append((number, now()))

    now.run(50, work)
    assert [(number, number / 2) for number in range(50)] == served


def test_no_two_threads_get_the_same_slot(now: Now) -> None:
    """However many threads take slots, no two get the same one, and none is left out."""
    bucket = LocalBucket(Pace(interval=0.5, burst=1), now)
    slots: list[Slot] = []
    threads = [threading.Thread(target=lambda: slots.append(bucket.reserve(1000))) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [index / 2 for index in range(50)] == sorted(slot.wait for slot in slots)


def test_a_client_that_has_no_slot_sends_nothing(tenant: LocalTenant) -> None:
    """The error is typed, says when to come back, and that the token is unspent."""
    with tenant.client(rate_limit="1/min", timeout=2) as client:
        client.custom_token_exchange(OPTIONS)
        with pytest.raises(RateLimitError) as caught:
            client.custom_token_exchange(OPTIONS)
    error = caught.value
    assert ("LOCAL_RATE_LIMIT", "local", True, False, None) == (
        error.code,
        error.kind,
        error.is_retryable,
        error.may_have_reached_server,
        error.status_code,
    )
    assert error.retry_after is not None
    assert 50 < error.retry_after < 64
    assert "Nothing was sent" in error.hint
    assert 1 == len(tenant.token_requests)


def test_a_retry_takes_a_slot(raw_server: RawServer, now: Now) -> None:
    """Each attempt counts, because the server counts it."""
    raw_server.scripts = [send(reply("", "503 Unavailable", ["Retry-After: 0"])), send(reply(TOKENS))]
    retry = RetryPolicy(sleep=lambda _: None)
    with ServerClient(raw_server.url, "c", "s", retry=retry, rate_limit=limit(now)) as client:
        client.custom_token_exchange(OPTIONS)
    assert [0.25] == now.naps
    assert 2 == len(raw_server.arrived)


def test_without_a_slot_for_the_retry_the_servers_error_is_raised(raw_server: RawServer, now: Now) -> None:
    """The caller learns what the server said, which is more than that there was no second slot."""
    raw_server.scripts = [send(reply("", "429 Too Many", ["Retry-After: 1", "x-ratelimit-limit: 4"]))]
    retry = RetryPolicy(sleep=lambda _: None)
    with ServerClient(raw_server.url, "c", "s", retry=retry, rate_limit=limit(now, "1/min")) as client:
        with pytest.raises(RateLimitError) as caught:
            client.custom_token_exchange(OPTIONS)
    assert ("tenant", 429, 1.0) == (caught.value.kind, caught.value.status_code, caught.value.retry_after)
    assert 1 == len(raw_server.arrived)


def test_after_a_429_the_next_call_waits(raw_server: RawServer, now: Now) -> None:
    """One caller's 429 spares the others theirs."""
    limited = send(reply("", "429 Too Many", ["Retry-After: 5"]))
    raw_server.scripts = [limited, send(reply(TOKENS))]
    with ServerClient(raw_server.url, "c", "s", retry=RetryPolicy(asked_retries=0), rate_limit=limit(now)) as client:
        with pytest.raises(RateLimitError):
            client.custom_token_exchange(OPTIONS)
        client.custom_token_exchange(OPTIONS)
    assert [pytest.approx(5.0)] == now.naps


def test_a_refresh_takes_no_slot(tenant: LocalTenant) -> None:
    """Auth0's limit is on exchanges; a refresh neither waits nor is refused."""
    limits = {"rate_limit": "1/h", "secret": "x" * 40, "state_store": MemoryStateStore()}
    with tenant.client(**limits) as client:
        jar: dict[str, str] = {}
        client.login_with_custom_token_exchange({**OPTIONS, "scope": "openid offline_access"}, {"cookies": jar})
        for scope in ("openid profile", "openid email"):
            client.get_access_token({"cookies": jar}, audience=f"https://{scope[7:]}.example")
    grants = [request.form["grant_type"] for request in tenant.token_requests]
    assert ["refresh_token"] * 2 == grants[1:]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_waiting_for_a_slot_is_cancelled_at_once(tenant: LocalTenant) -> None:
    """In the mirror, who waits can be cancelled, spends nothing, and gives the slot back."""
    shared = RateLimit("1/h")
    async with AsyncServerClient.from_sync(tenant.client(rate_limit=shared, timeout=8000)) as client:
        await client.custom_token_exchange(OPTIONS)
        with anyio.move_on_after(0.2) as scope:
            await client.custom_token_exchange(OPTIONS)
        with pytest.raises(RateLimitError) as caught:
            shared.take(tenant.issuer, Deadline(10))
    assert scope.cancelled_caught
    assert 1 == len(tenant.token_requests)
    assert caught.value.retry_after is not None
    assert 3000 < caught.value.retry_after < 4000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_takes_slots(now: Now) -> None:
    """Locks that another thread held at the fork do not stop the child, at this tenant or another one."""

    def make() -> RateLimit:
        shared = limit(now)
        take(shared, now, 1)
        return shared

    def work(shared: RateLimit) -> bool:
        own = take(shared, now, 1)
        shared.take("https://other.auth0.com/", Deadline(60, now))
        return [0.25] == own

    check_fork(make, work)


@pytest.mark.parametrize(("refill", "seconds"), [("steady", 30.0), ("window", 20.0)])
def test_a_limited_tenant_is_driven_at_its_limit(refill: Refill, seconds: float) -> None:
    """Eight threads at 4 a second: no 429 reaches a caller, and less than a tenth of the limit is left unused.

    Each request leaves up to 50 ms late, so that some are closer together than their slots.
    """
    now, late = VirtualTime(), random.Random(refill)
    tenant = LocalTenant(clock=now)
    tenant.accept("urn:acme:mcp-token", "auth0|ada")
    tenant.limit_exchanges(per_second=4, refill=refill)
    shared = RateLimit("4/s", monotonic=now, sleep=lambda wait: now.sleep(wait + late.uniform(0, 0.05)))
    with tenant.serve() as server, server.client(rate_limit=shared, timeout=60) as client:
        count, failures = drive(client, 8, seconds, clock=now, run=now.run)
    assert [] == failures
    assert {"secte"} == {entry.type for entry in tenant.logs}
    assert 0.9 * 4 * seconds <= count <= 4 * seconds


def test_a_limit_that_others_use_up_is_waited_out() -> None:
    """Where another program shares the tenant, a 429 is waited for by all and tried again, unseen by callers."""
    now = VirtualTime()
    retries: list[ClientEvent] = []

    def on_event(event: ClientEvent) -> None:
        if isinstance(event, TokenRequestRetried):
            retries.append(event)

    tenant = LocalTenant(clock=now)
    tenant.accept("urn:acme:mcp-token", "auth0|ada")
    tenant.fail_next_with_rate_limit(reset_in=0.5)
    settings: dict[str, Any] = {
        "rate_limit": RateLimit("20/s", monotonic=now, sleep=now.sleep),
        "retry": RetryPolicy(sleep=now.sleep),
    }
    with tenant.serve() as server, server.client(timeout=60, on_event=on_event, **settings) as client:
        count, failures = drive(client, 4, 3, clock=now, run=now.run)
    assert [] == failures
    assert 1 == len(retries)
    assert count > 0
