"""A process that forks: whatever other threads were doing at that moment, the child goes on."""

from __future__ import annotations

import os
from typing import Any

import pytest
import requests
from attrs import frozen

from auth0_cte import DPoPKey, ExchangeCache, MemoryStateStore, RateLimit, RetryBudget, RetryPolicy, ServerClient
from auth0_cte.requests_auth import ExchangeAuth
from auth0_cte.testing import FakeClock, LocalTenant
from tests.exchanges import API, LIFETIME, make_tenant, options
from tests.forks import check_fork

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

SECRET = "a-secret-of-more-than-thirty-two-bytes"


@frozen
class Program:
    """A client with everything that keeps something between two calls, and what uses it."""

    tenant: LocalTenant
    client: ServerClient
    auth: ExchangeAuth
    clock: FakeClock
    jar: dict[str, str]

    def run(self) -> bool:
        """Exchange with a retry, log in, refresh the session, and authorize a request."""
        self.tenant.fail_next(status=503, headers={"Retry-After": "0"}, path="/oauth/token")
        exchanged = self.client.custom_token_exchange(options("auth0|0", scope="openid"))
        again = self.client.custom_token_exchange(options("auth0|0", scope="openid"))
        login = options("auth0|1", scope="openid offline_access")
        self.client.login_with_custom_token_exchange(login, {"cookies": self.jar})
        self.client.get_access_token({"cookies": self.jar}, audience="https://other.example")
        self.clock.advance(LIFETIME)  # so that the token for requests is replaced
        request = self.auth(requests.Request("GET", f"{API}/things").prepare())
        self.client.forget_exchanged_token(exchanged.access_token)
        seen = (self.client.get_user({"cookies": self.jar}) or {})["sub"]
        return again.from_cache and "auth0|1" == seen and "Authorization" in request.headers


def make_program(**more: Any) -> Program:
    clock = FakeClock()
    tenant = make_tenant(clock=clock)
    tenant.add_api("https://other.example")
    settings = {
        "secret": SECRET,
        "state_store": MemoryStateStore(),
        "exchange_cache": ExchangeCache(),
        "rate_limit": RateLimit("1000000/s", burst=1000),
        "retry": RetryPolicy(budget=RetryBudget(), sleep=lambda _: None),
        **more,
    }
    client = tenant.client(**settings)
    program = Program(tenant, client, ExchangeAuth(client, options(lambda: "auth0|2"), origin=API), clock, {})
    assert program.run()
    return program


@pytest.mark.parametrize("bound", [False, True], ids=["bearer", "dpop"])
def test_a_program_goes_on_in_a_child(bound: bool) -> None:
    """Every lock of a client, its caches, limits and sessions is held by another thread at the fork."""
    check_fork(lambda: make_program(dpop=DPoPKey.generate() if bound else None), Program.run)
