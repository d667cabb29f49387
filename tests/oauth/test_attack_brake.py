"""After ``too_many_attempts``: nothing is sent until the block should be over, then one request finds out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from auth0_cte import ConfigurationError, CustomTokenExchangeError, RateLimitError, RetryPolicy, ServerClient
from auth0_cte.foundation.deadline import Deadline
from auth0_cte.oauth.attack_brake import AttackBrake
from auth0_cte.testing import LocalTenant
from tests.exchanges import LEGACY_TYPE, make_legacy_tenant
from tests.foundation.test_ttl_cache import Now


@pytest.fixture
def tenant() -> LocalTenant:
    return make_legacy_tenant()


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def client(tenant: LocalTenant, now: Now, new_client: type[ServerClient]) -> ServerClient:
    return make(tenant, now, new_client)


def make(tenant: LocalTenant, now: Now, new_client: type[ServerClient], **policy: Any) -> ServerClient:
    retry = RetryPolicy(monotonic=now, sleep=lambda _: None, **policy)
    session = tenant.session()
    return new_client(tenant.domain, tenant.client_id, tenant.client_secret, session=session, retry=retry)


def exchange(client: ServerClient, forwarded_for: str | None = None) -> None:
    client.custom_token_exchange(
        {"subject_token": "x", "subject_token_type": LEGACY_TYPE, "forwarded_for": forwarded_for}
    )


def block(tenant: LocalTenant, client: ServerClient, forwarded_for: str | None = None, **more: Any) -> None:
    tenant.fail_next(429, "too_many_attempts", **more)
    with pytest.raises(RateLimitError):
        exchange(client, forwarded_for)


def refused(client: ServerClient, forwarded_for: str | None = None) -> RateLimitError:
    with pytest.raises(RateLimitError) as caught:
        exchange(client, forwarded_for)
    return caught.value


def test_nothing_is_sent_while_the_address_is_blocked(tenant: LocalTenant, client: ServerClient, now: Now) -> None:
    """Each call fails at once, and ``retry_after`` counts down."""
    block(tenant, client)
    for now.time in (0.0, 1.0, 599.0):
        error = refused(client)
        assert ("too_many_attempts", True, "ip_block") == (error.code, error.blocked, error.kind)
        assert 600 - now.time == error.retry_after
        assert (False, False) == (error.may_have_reached_server, error.is_retryable)
        assert "nothing was sent" in error.message
    assert 1 == len(tenant.token_requests)
    now.time = 600.0
    exchange(client)
    exchange(client)
    assert 3 == len(tenant.token_requests)


def test_a_thousand_calls_cost_one_attempt(tenant: LocalTenant, client: ServerClient) -> None:
    """A batch that goes on burns no further tokens."""
    block(tenant, client)
    for _ in range(1000):
        refused(client)
    assert 1 == len(tenant.token_requests)


def test_a_renewed_block_begins_anew(tenant: LocalTenant, client: ServerClient, now: Now) -> None:
    """The request that finds out meets the block again: another ten minutes pass."""
    block(tenant, client)
    now.time = 600.0
    block(tenant, client)
    now.time = 1199.0
    assert 1.0 == refused(client).retry_after
    now.time = 1200.0
    exchange(client)
    assert 3 == len(tenant.token_requests)


def test_one_request_finds_out(tenant: LocalTenant, now: Now) -> None:
    """Of those who ask when the block should be over, one is sent; the others wait for its answer."""
    client = make(tenant, now, ServerClient)
    block(tenant, client)
    now.time = 600.0
    tenant.fail_next(429, "too_many_attempts", delay=0.3)

    def ask(_: int) -> bool:
        try:
            exchange(client)
        except RateLimitError as error:
            return error.blocked
        return False

    with ThreadPoolExecutor(8) as pool:
        assert [True] * 8 == list(pool.map(ask, range(8)))
    assert 2 == len(tenant.token_requests)


@pytest.mark.parametrize("fault", ["close", "reset"])
def test_a_probe_that_gets_no_answer_leaves_the_next_one_to_find_out(
    fault: Any, tenant: LocalTenant, client: ServerClient, now: Now
) -> None:
    """A broken connection says nothing of the block."""
    block(tenant, client)
    now.time = 600.0
    tenant.fail_next(fault=fault)
    with pytest.raises(CustomTokenExchangeError):
        exchange(client)
    exchange(client)


def test_another_refusal_ends_the_block(tenant: LocalTenant, client: ServerClient, now: Now) -> None:
    """Auth0 that looks at the token again does not block."""
    block(tenant, client)
    now.time = 600.0
    tenant.fail_next(400, "invalid_request")
    with pytest.raises(CustomTokenExchangeError):
        exchange(client)
    exchange(client)


def test_each_address_is_blocked_alone(tenant: LocalTenant, client: ServerClient) -> None:
    """Whoever else is forwarded goes on, and so do calls without an address."""
    tenant.add_application(tenant.client_id, tenant.client_secret, trust_forwarded_for=True)
    block(tenant, client, "192.0.2.1")
    exchange(client, "192.0.2.2")
    exchange(client)
    assert refused(client, "192.0.2.1").blocked


def test_refreshes_go_on(tenant: LocalTenant, client: ServerClient) -> None:
    """The block is of exchanges: sessions are refreshed meanwhile."""
    given = {"subject_token": "x", "subject_token_type": LEGACY_TYPE, "scope": "offline_access"}
    token = client.custom_token_exchange(given).refresh_token
    assert token is not None
    block(tenant, client)
    assert client.refresh_exchanged_token(token).access_token


def test_the_server_may_ask_for_longer(tenant: LocalTenant, client: ServerClient) -> None:
    """A longer ``Retry-After`` wins over the setting."""
    block(tenant, client, headers={"Retry-After": "3600"})
    assert 3600.0 == refused(client).retry_after


def test_it_can_be_set_and_switched_off(tenant: LocalTenant, now: Now) -> None:
    """``brake_seconds`` is how long, and 0 is not at all."""
    short, none = make(tenant, now, ServerClient, brake_seconds=5), make(tenant, now, ServerClient, brake_seconds=0)
    block(tenant, short)
    assert 5.0 == refused(short).retry_after
    block(tenant, none)
    exchange(none)
    with pytest.raises(ConfigurationError, match="brake_seconds must be"):
        RetryPolicy(brake_seconds=-1)


def test_memory_is_bounded(now: Now) -> None:
    """Of ten thousand blocked addresses the ones that came first are forgotten for others."""
    brake = AttackBrake(600, now)
    blocked = RateLimitError("x", blocked=True)
    for number in range(10_001):
        brake.settle(("https://tenant.auth0.com/", f"user {number}"), blocked)
    brake.check(("https://tenant.auth0.com/", "user 0"), Deadline(1))
    with pytest.raises(RateLimitError):
        brake.check(("https://tenant.auth0.com/", "user 1"), Deadline(1))
