"""When a request is sent again, how long the client waits before, and when it stops."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests
import responses
from urllib3.exceptions import MaxRetryError, NewConnectionError

from auth0_cte import CustomTokenExchangeError, DPoPKey, RetryBudget, RetryPolicy, ServerClient
from auth0_cte.error import ExchangeTransportError
from tests.conftest import DOMAIN, TOKEN_ENDPOINT

OPTIONS: dict[str, Any] = {"subject_token": "a-token", "subject_token_type": "urn:acme:mcp-token"}
TOKENS = {"access_token": "issued"}


def lowest(low: float, _high: float) -> float:
    return low


def highest(_low: float, high: float) -> float:
    return high


class Caller:
    """Exchanges at a tenant whose replies are scripted, and notes how long it waits in between."""

    def __init__(self, wire: responses.RequestsMock, new_client: type[ServerClient]) -> None:
        self.wire, self.new_client = wire, new_client
        self.naps: list[float] = []

    @property
    def sent(self) -> int:
        return sum(call.request.method == "POST" for call in self.wire.calls)

    def make(self, **policy: Any) -> ServerClient:
        settings = {"sleep": self.naps.append, "uniform": lowest, "budget": RetryBudget(), **policy}
        return self.new_client(DOMAIN, "c", "s", retry=RetryPolicy(**settings))

    def refuse(self, status: int = 429, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.wire.upsert("POST", TOKEN_ENDPOINT, status=status, headers=named)

    def exchange(self, client: ServerClient) -> bool:
        """Exchange, and tell whether it succeeded."""
        try:
            client.custom_token_exchange(OPTIONS)
        except CustomTokenExchangeError:
            return False
        return True


@pytest.fixture
def caller(wire: responses.RequestsMock, new_client: type[ServerClient]) -> Caller:
    return Caller(wire, new_client)


@pytest.mark.parametrize(("uniform", "wait"), [(lowest, 2.0), (highest, 2.1)])
@pytest.mark.parametrize("status", [429, 503])
def test_jitter_comes_on_top_of_what_the_server_asks_for(
    status: int, uniform: Callable[[float, float], float], wait: float, caller: Caller
) -> None:
    """Retry-After is the least; a quarter of the usual jitter is added, so that a herd does not come back at once."""
    caller.refuse(status, Retry_After="2")
    assert not caller.exchange(caller.make(uniform=uniform))
    assert [pytest.approx(wait)] == caller.naps


def test_the_longest_wait_doubles_up_to_two_seconds(caller: Caller) -> None:
    """Full jitter: from 0 to a bound that doubles with each attempt, and stops at two seconds."""
    bounds: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        bounds.append((low, high))
        return 0.0

    caller.refuse()
    caller.exchange(caller.make(uniform=uniform, asked_retries=5))
    assert {0} == {low for low, _ in bounds}
    assert pytest.approx([0.4, 0.8, 1.6, 2.0, 2.0]) == [high for _, high in bounds]


def test_a_wait_to_the_deadline_is_not_begun(caller: Caller) -> None:
    """Fifteen seconds do not fit into a call of fifteen; ten do."""
    client = caller.make()
    caller.refuse(Retry_After="15")
    assert not caller.exchange(client)
    assert ([], 1) == (caller.naps, caller.sent)
    caller.refuse(Retry_After="10")
    assert not caller.exchange(client)
    assert ([10.0], 3) == (caller.naps, caller.sent)


def test_the_default_budget_is_a_hundred_retries(caller: Caller) -> None:
    """When everything fails, a process sends a hundred requests again and no more."""
    caller.refuse()
    client = caller.make(asked_retries=1000)
    caller.exchange(client)
    assert 101 == caller.sent
    caller.exchange(client)
    assert 102 == caller.sent


def test_a_time_out_costs_twice_as_much(caller: Caller) -> None:
    """Ten of the budget for a retry after a time-out: nine are too few."""
    caller.wire.upsert("POST", TOKEN_ENDPOINT, body=requests.exceptions.ReadTimeout("late"))
    caller.exchange(caller.make(subject_token_reusable=True, budget=RetryBudget(9)))
    assert 1 == caller.sent
    caller.exchange(caller.make(subject_token_reusable=True, budget=RetryBudget(10)))
    assert 3 == caller.sent


def test_successes_refill_the_budget_one_by_one(caller: Caller) -> None:
    """A retry takes five and a success gives one back, up to what there was at first."""
    client = caller.make(budget=RetryBudget(5), asked_retries=10)
    caller.wire.upsert("POST", TOKEN_ENDPOINT, json=TOKENS)
    assert all(caller.exchange(client) for _ in range(6))  # it is full, and stays so
    for refills, retries in [(0, 1), (4, 0), (1, 1)]:
        caller.wire.upsert("POST", TOKEN_ENDPOINT, json=TOKENS)
        assert all(caller.exchange(client) for _ in range(refills))
        caller.refuse()
        sent = caller.sent
        assert not caller.exchange(client)
        assert 1 + retries == caller.sent - sent


def test_retries_of_several_clients_share_a_budget(caller: Caller) -> None:
    """By default all clients of a process do, so that many tenants' outages are one outage."""
    shared = RetryBudget(5)
    caller.refuse()
    for sent in (2, 3):
        caller.exchange(caller.make(budget=shared))
        assert sent == caller.sent
    assert RetryPolicy().budget is RetryPolicy().budget


@pytest.mark.parametrize("first", ["503", "nonce"])
def test_a_failure_speaks_of_the_whole_call(first: str, caller: Caller) -> None:
    """After an answer the server has seen the token, whatever happens to the connection of the next attempt."""
    refused = requests.exceptions.ConnectionError(
        MaxRetryError(None, "/", NewConnectionError(None, "refused"))  # type: ignore[arg-type]
    )
    replies: list[Any] = [refused] * 3

    def answer(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        if not caller.naps and caller.sent == 0:
            status, headers = (503, {"Retry-After": "1"}) if first == "503" else (400, {"DPoP-Nonce": "n"})
            return status, headers, json.dumps({"error": "use_dpop_nonce" if first == "nonce" else "busy"})
        raise replies.pop()

    caller.wire.add_callback("POST", TOKEN_ENDPOINT, answer)
    more: dict[str, Any] = {} if first == "503" else {"dpop": DPoPKey.generate()}
    policy = RetryPolicy(sleep=caller.naps.append, uniform=lowest, budget=RetryBudget())
    client = caller.new_client(DOMAIN, "c", "s", retry=policy, **more)
    with pytest.raises(CustomTokenExchangeError) as caught:
        client.custom_token_exchange(OPTIONS)
    assert caller.sent > 1
    assert isinstance(caught.value, ExchangeTransportError)
    assert (True, False) == (caught.value.may_have_reached_server, caught.value.is_retryable)
