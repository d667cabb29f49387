"""What a 429 tells: whose limit it is, how long to wait, and what to make of headers that make no sense."""

from __future__ import annotations

import pickle
from typing import Any

import attrs
import pytest
import responses

from auth0_cte import RateLimitError, RateLimitStatus, RetryPolicy, ServerClient
from auth0_cte.oauth.error_response import read_rate_limit, read_retry_after
from tests.conftest import TOKEN_ENDPOINT

NOW = 1_000_000.0
OPTIONS: dict[str, Any] = {"subject_token": "a-token", "subject_token_type": "urn:acme:mcp-token"}
LEFT = {"x-ratelimit-limit": "4", "x-ratelimit-remaining": "3", "x-ratelimit-reset": "1000001"}
USED_UP = {**LEFT, "x-ratelimit-remaining": "0"}


def refused(wire: responses.RequestsMock, body: Any, headers: dict[str, str]) -> RateLimitError:
    """Have an exchange answered with 429."""
    wire.post(TOKEN_ENDPOINT, status=429, json=body, headers=headers)
    retry = RetryPolicy(asked_retries=0)
    with ServerClient("tenant.auth0.com", "c", "s", clock=lambda: NOW, retry=retry) as client:
        with pytest.raises(RateLimitError) as caught:
            client.custom_token_exchange(OPTIONS)
    return caught.value


@pytest.mark.parametrize(
    ("body", "headers", "kind", "status", "retry_after"),
    [
        ({"error": "too_many_attempts"}, {}, "ip_block", None, None),
        (
            {"error": "too_many_attempts"},
            LEFT,
            "ip_block",
            RateLimitStatus(limit=4, remaining=3, reset_at=NOW + 1),
            1.0,
        ),
        (None, USED_UP, "tenant", RateLimitStatus(limit=4, remaining=0, reset_at=NOW + 1), 1.0),
        (
            {"error": "too_many_requests"},
            {"Retry-After": "7", "Auth0-RateLimit": "client;q=10;t=1;r=9"},
            "policy",
            RateLimitStatus(limit=10, remaining=9, reset_at=NOW + 1, policy="client"),
            7.0,
        ),
        (
            {"error": "too_many_requests"},
            {"Auth0-RateLimit": "client;q=10;t=5;r=0", **LEFT},
            "policy",
            RateLimitStatus(limit=10, remaining=0, reset_at=NOW + 5, policy="client"),
            5.0,
        ),
        (
            None,
            {"Auth0-RateLimit": "client;q=10;t=5;r=9", **USED_UP},
            "tenant",
            RateLimitStatus(limit=4, remaining=0, reset_at=NOW + 1),
            1.0,
        ),
        (
            None,
            {"Auth0-RateLimit": '"a"; q=10; t=5; r=9, "b";q=3;t=60;r=1'},
            "policy",
            RateLimitStatus(limit=3, remaining=1, reset_at=NOW + 60, policy="b"),
            60.0,
        ),
        (None, {}, "unknown", None, None),
        (
            None,
            {"Retry-After": "soon", **USED_UP},
            "tenant",
            RateLimitStatus(limit=4, remaining=0, reset_at=NOW + 1),
            1.0,
        ),
    ],
)
def test_429s_are_told_apart(
    body: Any,
    headers: dict[str, str],
    kind: str,
    status: RateLimitStatus | None,
    retry_after: float | None,
    wire: responses.RequestsMock,
) -> None:
    """The kind says whose limit it is; the tightest limit told is kept, and in the flat attributes, too."""
    error = refused(wire, body, headers)
    assert (kind, status, retry_after) == (error.kind, error.rate_limit, error.retry_after)
    assert (error.blocked, not error.blocked) == (kind == "ip_block", error.is_retryable)
    if status is not None:
        assert (status.limit, status.remaining, status.reset_at) == (error.limit, error.remaining, error.reset_at)


def test_a_block_says_what_helps(wire: responses.RequestsMock) -> None:
    """The hint of an IP block names forwarded_for."""
    assert "forwarded_for" in refused(wire, {"error": "too_many_attempts"}, {}).hint


def test_a_status_is_frozen_and_survives_pickling(wire: responses.RequestsMock) -> None:
    """An error that crosses processes keeps what it knows of the limit, which nobody can change."""
    error = refused(wire, None, USED_UP)
    copy = pickle.loads(pickle.dumps(error))
    assert (error.rate_limit, error.kind) == (copy.rate_limit, copy.kind)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        copy.rate_limit.limit = 5


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 1.5 ", 1.5),
        ("999999999", 86_400.0),
        ("Mon, 12 Jan 1970 13:46:45 GMT", 5.0),
        ("Mon, 12 Jan 1970 13:46:35 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400.0),
        ("Monday, 12-Jan-70 13:46:45 GMT", 5.0),
        ("-1", None),
        ("1e9", None),
        ("inf", None),
        ("", None),
        ("99999999999999999999", None),
        ("Mon, 99 Foo 1970 99:99:99 GMT", None),
        ("٣", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(value: str, seconds: float | None) -> None:
    """Seconds and HTTP dates are read, up to a day; the rest counts as absent."""
    assert seconds == read_retry_after({"retry-after": value}, NOW)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-ratelimit-limit": "four"},
        {"x-ratelimit-limit": "-4", "x-ratelimit-remaining": "", "x-ratelimit-reset": "NaN"},
        {"auth0-ratelimit": ""},
        {"auth0-ratelimit": ";;;=,=;,"},
        {"auth0-ratelimit": "client"},
    ],
)
def test_malformed_limits_count_as_absent(headers: dict[str, str]) -> None:
    """Headers without any sense tell nothing, and break nothing."""
    assert read_rate_limit(headers, NOW) is None


def test_half_of_a_limit_is_kept() -> None:
    """What can be read is kept beside what cannot."""
    told = {"x-ratelimit-limit": "4", "x-ratelimit-remaining": "x", "x-ratelimit-reset": "1000001.5"}
    assert RateLimitStatus(limit=4, reset_at=1_000_001.5) == read_rate_limit(told, NOW)
    assert RateLimitStatus(limit=10, policy="client") == read_rate_limit({"auth0-ratelimit": "client;q=10;t=-1;r"}, NOW)


def test_a_limit_is_no_request_to_come_back(wire: responses.RequestsMock) -> None:
    """x-ratelimit headers come with every reply: on a 503 or a 400 they are no Retry-After."""
    from auth0_cte import CustomTokenExchangeError

    wire.post(TOKEN_ENDPOINT, status=503, headers=USED_UP)
    with ServerClient("tenant.auth0.com", "c", "s", clock=lambda: NOW) as client:
        with pytest.raises(CustomTokenExchangeError) as caught:
            client.custom_token_exchange(OPTIONS)
    assert caught.value.retry_after is None
    assert 2 == len(wire.calls)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("x-ratelimit-limit", "4", (4, None, None)),
        ("x-ratelimit-remaining", "3", (None, 3, None)),
        ("x-ratelimit-reset", "1000001", (None, None, NOW + 1)),
    ],
)
def test_each_header_tells_something_alone(name: str, value: str, expected: tuple[Any, ...]) -> None:
    """Of a tenant that sends one of the three, that one is told."""
    status = read_rate_limit({name: value}, NOW)
    assert status is not None
    assert expected == (status.limit, status.remaining, status.reset_at)
