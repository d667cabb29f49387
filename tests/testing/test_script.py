"""Replies and faults that are scripted ahead of the local tenant's own."""

from __future__ import annotations

import pytest
import requests

from auth0_cte.testing import FakeClock, LocalTenant
from tests.testing.test_exchange import TYPE, ask


@pytest.fixture
def naps() -> list[float]:
    return []


@pytest.fixture
def tenant(naps: list[float]) -> LocalTenant:
    made = LocalTenant(clock=FakeClock(1000.0), sleep=naps.append)
    made.accept(TYPE, "auth0|jane")
    return made


def test_status_error_and_description(tenant: LocalTenant) -> None:
    """A scripted error has the given status, code, description and headers; then all is as before."""
    tenant.fail_next(503, "temporarily_unavailable", "later", headers={"Retry-After": "3"})
    reply = ask(tenant)

    assert (503, "3") == (reply.status_code, reply.headers["Retry-After"])
    assert {"error": "temporarily_unavailable", "error_description": "later"} == reply.json()
    assert 200 == ask(tenant).status_code


@pytest.mark.parametrize(
    ("status", "error"),
    [(None, "server_error"), (500, "server_error"), (400, "invalid_request"), (429, "too_many_requests")],
)
def test_usual_error_of_a_status(tenant: LocalTenant, status: int | None, error: str) -> None:
    """Without a code, the reply has one that is usual for its status; 500 is the status unless told."""
    tenant.fail_next(status)
    reply = ask(tenant)

    assert (status or 500, {"error": error}) == (reply.status_code, reply.json())


def test_raw_body(tenant: LocalTenant) -> None:
    """Any body of any type can be scripted."""
    tenant.fail_next(502, body="<h1>Bad Gateway</h1>", content_type="text/html")
    reply = ask(tenant)

    assert (502, "<h1>Bad Gateway</h1>") == (reply.status_code, reply.text)
    assert "text/html" == reply.headers["Content-Type"]


def test_mapping_becomes_json(tenant: LocalTenant) -> None:
    """A mapping as the body becomes JSON; with status 200 it scripts a success of one's own."""
    tenant.fail_next(200, body={"access_token": "opaque", "token_type": "N_A"})

    assert {"access_token": "opaque", "token_type": "N_A"} == ask(tenant).json()


def test_times_and_order(tenant: LocalTenant) -> None:
    """Scripts are used up in order, each as often as told."""
    tenant.fail_next(500, times=2)
    tenant.fail_next(400)

    assert [500, 500, 400, 200] == [ask(tenant).status_code for _ in range(4)]


def test_path(tenant: LocalTenant) -> None:
    """A script holds for its path alone."""
    tenant.fail_next(500, path="/.well-known/jwks.json")
    with tenant.session() as session:
        statuses = [session.get(f"{tenant.issuer}.well-known/jwks.json").status_code for _ in range(2)]

    assert ([500, 200], 200) == (statuses, ask(tenant).status_code)


def test_scripted_requests_are_recorded_but_not_served(tenant: LocalTenant) -> None:
    """A scripted request is recorded, yet leaves no log entry."""
    tenant.fail_next(500)
    ask(tenant)

    assert (1, 0) == (len(tenant.requests), len(tenant.logs))


def test_delay_alone(tenant: LocalTenant, naps: list[float]) -> None:
    """A delay without a status is the tenant's own reply, late."""
    tenant.fail_next(delay=2.5)

    assert (200, [2.5]) == (ask(tenant).status_code, naps)


def test_delay_beyond_the_read_timeout(tenant: LocalTenant, naps: list[float]) -> None:
    """A delay longer than the read time-out is a time-out, after that time-out."""
    tenant.fail_next(delay=60)
    with tenant.session() as session, pytest.raises(requests.ReadTimeout):
        session.get(f"{tenant.issuer}oauth/token", timeout=(1, 5))

    assert [5.0] == naps


@pytest.mark.parametrize("fault", ["close", "reset"])
def test_connection_fault_in_process(tenant: LocalTenant, fault: str) -> None:
    """A connection that breaks before the reply is a ConnectionError, and the tenant did nothing."""
    tenant.fail_next(fault=fault)  # type: ignore[arg-type]
    with pytest.raises(requests.ConnectionError):
        ask(tenant)

    assert (1, 0) == (len(tenant.requests), len(tenant.logs))


def test_half_a_body_in_process(tenant: LocalTenant) -> None:
    """A body that ends early is told by its Content-Length, though the tenant did its work."""
    tenant.fail_next(fault="half_body")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        ask(tenant)

    assert "secte" == tenant.logs[-1].type


def test_rate_limit(tenant: LocalTenant) -> None:
    """The tenant's rate limit tells its state in x-ratelimit headers."""
    tenant.fail_next_with_rate_limit(limit=15, reset_in=1.5)
    headers = ask(tenant).headers

    expected = ("15", "0", "1002")
    assert expected == tuple(headers[f"x-ratelimit-{name}"] for name in ("limit", "remaining", "reset"))


def test_rate_policy(tenant: LocalTenant) -> None:
    """A custom rate limit policy answers with Retry-After and Auth0-RateLimit."""
    tenant.fail_next_with_rate_policy(2)
    reply = ask(tenant)

    assert (429, "2", "client;q=10;t=2;r=0") == (
        reply.status_code,
        reply.headers["Retry-After"],
        reply.headers["Auth0-RateLimit"],
    )
    assert {"error": "too_many_requests", "error_description": "Rate limit exceeded."} == reply.json()


def test_scripted_headers_replace_the_usual_ones(tenant: LocalTenant) -> None:
    """A header that is given replaces the usual one, in whatever case it is written."""
    tenant.fail_next(200, body="{}", headers={"Content-Type": "application/jwt"})

    assert "application/jwt" == ask(tenant).headers["content-type"]
