"""The local tenant's limits on exchanges, counted as Auth0 counts."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from auth0_cte.testing import FakeClock, LocalTenant
from tests.testing.test_exchange import TYPE, ask


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1000.0)


@pytest.fixture
def tenant(clock: FakeClock) -> LocalTenant:
    made = LocalTenant(clock=clock)
    made.accept(TYPE, "auth0|jane")
    return made


def statuses(tenant: LocalTenant, times: int, **more: Any) -> list[int]:
    return [ask(tenant, **more).status_code for _ in range(times)]


def told(reply: requests.Response) -> list[str]:
    return [reply.headers[f"x-ratelimit-{name}"] for name in ("limit", "remaining", "reset")]


def test_without_a_limit_nothing_is_told(tenant: LocalTenant) -> None:
    """A new tenant neither limits nor tells of a limit."""
    assert [200] * 50 == statuses(tenant, 50)
    assert not [name for name in ask(tenant).headers if "ratelimit" in name.lower()]


def test_a_steady_bucket(tenant: LocalTenant, clock: FakeClock) -> None:
    """As many as the limit pass at once; then one comes back with each part of a second."""
    tenant.limit_exchanges(per_second=4)
    assert [200] * 4 + [429] == statuses(tenant, 5)
    clock.advance(0.25)
    assert [200, 429] == statuses(tenant, 2)
    clock.advance(60)
    assert [200] * 4 + [429] == statuses(tenant, 5)


def test_a_bucket_that_is_refilled_by_the_window(tenant: LocalTenant, clock: FakeClock) -> None:
    """Nothing comes back until the next window, and then everything does."""
    tenant.limit_exchanges(per_second=4, refill="window")
    assert [200] * 4 + [429] == statuses(tenant, 5)
    clock.advance(0.75)
    assert [429] == statuses(tenant, 1)
    clock.advance(0.25)
    assert [200] * 4 + [429] == statuses(tenant, 5)


def test_replies_tell_of_the_limit(tenant: LocalTenant, clock: FakeClock) -> None:
    """Limit, what is left, and the Unix second at which all will be back: on successes, refusals and 429s."""
    tenant.limit_exchanges(per_second=4)
    assert ["4", "3", "1001"] == told(ask(tenant))
    assert ["4", "2", "1001"] == told(ask(tenant, subject_token_type="urn:unknown:type"))
    statuses(tenant, 2)
    reply = ask(tenant)
    assert (429, ["4", "0", "1001"]) == (reply.status_code, told(reply))
    assert ("api_limit", "Global limit has been reached") == (tenant.logs[-1].type, tenant.logs[-1].description)


def test_a_limit_can_be_lifted(tenant: LocalTenant) -> None:
    """None lifts the limit."""
    tenant.limit_exchanges(per_second=1)
    tenant.limit_exchanges(None)
    assert [200] * 3 == statuses(tenant, 3)


def test_other_grants_are_not_limited(tenant: LocalTenant) -> None:
    """The limit is on exchanges alone."""
    tenant.limit_exchanges(per_second=1)
    token = ask(tenant, scope="openid offline_access").json()["refresh_token"]
    refreshed = ask(tenant, grant_type="refresh_token", refresh_token=token)
    assert 200 == refreshed.status_code
    assert "x-ratelimit-limit" not in refreshed.headers


def test_a_policy_limits_each_application(tenant: LocalTenant, clock: FakeClock) -> None:
    """A custom policy counts applications apart, tells of it, and says when to come back."""
    tenant.limit_clients(10, seconds=5)
    tenant.add_application("other", "secret")
    first = ask(tenant)
    assert "client;q=10;t=1;r=9" == first.headers["auth0-ratelimit"]
    assert [200] * 9 == statuses(tenant, 9)
    reply = ask(tenant)
    assert (429, "1", "client;q=10;t=5;r=0") == (
        reply.status_code,
        reply.headers["retry-after"],
        reply.headers["auth0-ratelimit"],
    )
    assert {"error": "too_many_requests", "error_description": "Rate limit exceeded."} == reply.json()
    assert [200] == statuses(tenant, 1, client_id="other", client_secret="secret")
    clock.advance(0.5)
    assert [200, 429] == statuses(tenant, 2)
    tenant.limit_clients(None)
    assert [200] * 20 == statuses(tenant, 20)


@pytest.mark.parametrize("wrong", [0, -1])
def test_a_limit_is_above_zero(wrong: int, tenant: LocalTenant) -> None:
    """What allows nothing is a mistake."""
    with pytest.raises(ValueError, match="per_second"):
        tenant.limit_exchanges(wrong)
    with pytest.raises(ValueError, match="quota"):
        tenant.limit_clients(wrong)
    with pytest.raises(ValueError, match="seconds"):
        tenant.limit_clients(1, seconds=0)
