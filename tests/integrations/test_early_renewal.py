"""A token that is still good: renewed ahead of its end, and used on while that does not work."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from auth0_cte import CustomTokenExchangeError, CustomTokenExchangeOptions, ExchangeAuth, RetryPolicy, ServerClient
from auth0_cte.error import ExchangeTimeoutError
from auth0_cte.testing import FakeClock, LocalTenant
from auth0_cte.token_source import ExchangedTokenSource
from tests.exchanges import LIFETIME, make_tenant, options

MARGIN = 60


@pytest.fixture
def tenant(clock: FakeClock) -> LocalTenant:
    return make_tenant(clock=clock)


def make_source(client: ServerClient, supplier: Any = lambda: "auth0|0") -> ExchangedTokenSource:
    given = CustomTokenExchangeOptions(**options(supplier))
    return ExchangedTokenSource(client, given, store_options=None, skew=MARGIN, reusable=False)


def near_its_end(tenant: LocalTenant, clock: FakeClock, supplier: Any = lambda: "auth0|0") -> ExchangedTokenSource:
    """Return a source whose token is good for 50 more seconds."""
    source = make_source(tenant.client(retry=RetryPolicy(asked_retries=0, unsent_retries=0)), supplier)
    response = source.get()
    assert response.expires_at is not None
    clock.advance(response.expires_at - clock() - 50)
    return source


@pytest.mark.parametrize(
    "failure",
    [
        {"status": 503},
        {"status": 429},
        {"status": 500},
        {"fault": "reset"},
        {"status": 503, "headers": {"Retry-After": "5"}},
    ],
    ids=str,
)
def test_a_renewal_that_fails_leaves_the_token_in_use(
    failure: dict[str, Any], tenant: LocalTenant, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The valid token is used, renewal is tried again later, and the log tells of it once."""
    source = near_its_end(tenant, clock)
    tenant.fail_next(**failure)
    sent = len(tenant.token_requests)
    tokens = [source.get() for _ in range(20)]
    assert 1 == len({id(token) for token in tokens})
    assert sent + 1 == len(tenant.token_requests)
    assert 1 == caplog.text.count("could not be renewed")
    clock.advance(6)
    assert tokens[0] is not source.get()
    assert sent + 2 == len(tenant.token_requests)


def test_attempts_become_rarer(tenant: LocalTenant, clock: FakeClock) -> None:
    """While renewal fails it is tried after 1, 2, 4, 8 seconds, not at each request."""
    source = near_its_end(tenant, clock)
    tenant.fail_next(503, times=100)
    sent, attempts = len(tenant.token_requests), []
    for second in range(40):
        source.get()
        if len(tenant.token_requests) > sent:
            attempts.append(second)
            sent = len(tenant.token_requests)
        clock.advance(1)
    assert [0, 1, 3, 7, 15, 31] == attempts


def test_what_the_server_asks_for_is_waited(tenant: LocalTenant, clock: FakeClock) -> None:
    """``Retry-After`` wins over the library's own pauses."""
    source = near_its_end(tenant, clock)
    tenant.fail_next(429, headers={"Retry-After": "20"})
    stale = source.get()
    clock.advance(19)
    assert stale is source.get()
    clock.advance(1)
    assert stale is not source.get()


def test_an_expired_token_is_not_used(tenant: LocalTenant, clock: FakeClock) -> None:
    """When the token has ended, the failure of its renewal is raised, whatever pause there was."""
    source = near_its_end(tenant, clock)
    tenant.fail_next(503, headers={"Retry-After": "600"}, times=2)
    source.get()
    clock.advance(50)
    with pytest.raises(CustomTokenExchangeError) as caught:
        source.get()
    assert 503 == caught.value.status_code
    assert source.get().access_token


def test_others_use_the_valid_token_while_one_renews(tenant: LocalTenant, clock: FakeClock) -> None:
    """Nobody waits for the thread that renews."""
    asked, go_on = threading.Event(), threading.Event()
    calls: list[int] = []

    def supplier() -> str:
        calls.append(1)
        if len(calls) > 1:
            asked.set()
            assert go_on.wait(30)
        return "auth0|0"

    source = near_its_end(tenant, clock, supplier)
    with ThreadPoolExecutor(1) as pool:
        renewing = pool.submit(source.get)
        assert asked.wait(30)
        valid = [source.get() for _ in range(10)]
        go_on.set()
        renewed = renewing.result(30)
    assert {id(valid[0])} == {id(each) for each in valid}
    assert renewed is not valid[0]
    assert renewed is source.get()
    assert 2 == len(calls)


def test_who_needs_the_token_waits_no_longer_than_its_time_out(tenant: LocalTenant) -> None:
    """While a supplier hangs, the others give up at their own deadline, and say that they have sent nothing."""
    asked, go_on = threading.Event(), threading.Event()

    def supplier() -> str:
        asked.set()
        assert go_on.wait(30)
        return "auth0|0"

    source = make_source(tenant.client(timeout=0.2), supplier)
    with ThreadPoolExecutor(1) as pool:
        leader = pool.submit(source.get)
        assert asked.wait(30)
        with pytest.raises(ExchangeTimeoutError, match="waiting for another thread") as caught:
            source.get()
        go_on.set()
        assert leader.result(30).access_token
    assert not caught.value.may_have_reached_server


def test_exchange_auth_goes_on_with_the_valid_token(tenant: LocalTenant, clock: FakeClock) -> None:
    """Requests of an API are authorized while Auth0 is down, as long as the token is good."""
    client = tenant.client(retry=RetryPolicy(asked_retries=0))
    auth = ExchangeAuth(client, options(lambda: "auth0|0"), origin="https://api.example.com")

    def authorized() -> str:
        prepared = requests.Request("GET", "https://api.example.com/x", auth=auth).prepare()
        return str(prepared.headers["Authorization"])

    first = authorized()
    clock.advance(LIFETIME - 30)
    tenant.fail_next(503, times=2)
    assert first == authorized()
    clock.advance(10)
    assert first == authorized()
    clock.advance(10)
    assert first != authorized()
