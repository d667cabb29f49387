"""Pieces of a wrong kind are refused where they are given, by a message that says what to give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis
import redis.asyncio

from auth0_cte import (
    Auth0CTEError,
    ConfigurationError,
    CustomTokenExchangeError,
    ExchangeCache,
    MemoryStateStore,
    RateLimit,
    RedisExchangeCache,
    ServerClient,
)
from auth0_cte.testing import LocalTenant

SECRET = "a-secret-of-more-than-thirty-two-bytes"
TYPE = "urn:acme:legacy-token"


class TheirStore:
    """As auth0-server-python has it."""

    async def get(self, identifier: str) -> None: ...
    async def set(self, identifier: str, state: object) -> None: ...
    async def delete(self, identifier: str) -> None: ...


def client(**given: Any) -> ServerClient:
    return ServerClient("tenant.auth0.com", "c", "s", secret=SECRET, **given)


def asynchronous() -> Any:
    return redis.asyncio.Redis()


def anything(piece: object) -> Any:
    return piece


WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "the class of a store": (lambda: client(state_store=MemoryStateStore), "state_store must be a store such as"),
    "an empty dict as store": (lambda: client(state_store={}), "state_store must be a store such as"),
    "a URL as store": (lambda: client(state_store="redis://localhost"), "state_store must be a store such as"),
    "a Redis client as store": (lambda: client(state_store=redis.Redis()), "RedisStateStore"),
    "a store of auth0-server-python": (lambda: client(state_store=TheirStore()), "state_store must be a store such as"),
    "a dict of settings": (lambda: client(session_settings={"a": 1}), "session_settings must be SessionSettings"),
    "a number of retries": (lambda: client(retry=3), "retry must be RetryPolicy"),
    "a URL as session": (lambda: client(session="https://proxy"), "session must be a requests.Session"),
    "the class of a cache": (lambda: client(exchange_cache=ExchangeCache), "exchange_cache must be a cache"),
    "an asynchronous Redis for a cache": (
        lambda: RedisExchangeCache(asynchronous(), secret=SECRET),
        "client must be a redis.Redis",
    ),
    "an asynchronous Redis for a rate limit": (
        lambda: RateLimit("4/s", redis=asynchronous()),
        "client must be a redis.Redis",
    ),
    "a URL for a rate limit": (
        lambda: RateLimit("4/s", redis=anything("redis://localhost")),
        "for a URL use from_url",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_pieces_are_refused_at_construction(name: str) -> None:
    """The message names the argument and what it must be."""
    make, fault = WRONG[name]
    with pytest.raises(ConfigurationError, match=fault):
        make()


@pytest.mark.parametrize(
    ("call", "known"),
    [
        (lambda client: client.custom_token_exchange({"audiance": "x"}), "audience"),
        (lambda client: client.custom_token_exchange({"subject_tokn": "x"}), "subject_token"),
        (
            lambda client: client.login_with_custom_token_exchange({"organisation": "x"}, {"cookies": {}}),
            "organization",
        ),
        (lambda client: client.mfa.verify({"mfa_token": "x", "otpp": "1"}), "otp"),
        (lambda client: client.mfa.enroll_authenticator({"mfa_tokn": "x"}), "mfa_token"),
        (lambda client: client.logout({"returnto": "x"}), "return_to"),
    ],
)
def test_a_misspelt_option_names_the_right_one(call: Callable[[Any], object], known: str) -> None:
    """The nearest option that exists is in the message."""
    with pytest.raises(Auth0CTEError, match=rf"did you mean {known}\?"):
        call(LocalTenant().client(secret=SECRET))


def test_an_option_that_resembles_none(caplog: pytest.LogCaptureFixture) -> None:
    """Then none is named."""
    with pytest.raises(CustomTokenExchangeError, match="unknown options: zzz; parameters of your own"):
        LocalTenant().client().custom_token_exchange({"zzz": 1})


def test_a_comma_in_the_scope_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """The scope is sent as it is; the log says what separates scopes."""
    tenant = LocalTenant()
    tenant.add_user("auth0|ada")
    tenant.accept(TYPE, "auth0|ada")
    given = {"subject_token": "x", "subject_token_type": TYPE, "scope": "openid,email"}
    tenant.client().custom_token_exchange(given)
    assert "openid,email" == tenant.token_requests[-1].form["scope"]
    assert 1 == caplog.text.count("scope has a comma")
