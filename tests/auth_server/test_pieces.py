"""Pieces of a wrong kind are refused where they are given, by a message that says what to give."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, ClassVar

import pytest
import redis
import redis.asyncio
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine
from starlette.requests import Request
from starlette.responses import Response
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request as WerkzeugRequest

from auth0_cte import (
    Auth0CTEError,
    ConfigurationError,
    CustomTokenExchangeError,
    ExchangeCache,
    MemoryRotations,
    MemoryStateStore,
    RateLimit,
    RedisExchangeCache,
    ServerClient,
    SQLStateStore,
)
from auth0_cte.testing import LocalTenant

SECRET = "a-secret-of-more-than-thirty-two-bytes"
TYPE = "urn:acme:legacy-token"
EXCHANGE = {"subject_token": "x", "subject_token_type": TYPE}


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


def context(verify_mode: ssl.VerifyMode, *, check_hostname: bool) -> ssl.SSLContext:
    made = ssl.create_default_context()
    made.check_hostname, made.verify_mode = check_hostname, verify_mode
    return made


WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "the class of a store": (lambda: client(state_store=MemoryStateStore), "state_store must be a store such as"),
    "an empty dict as store": (lambda: client(state_store={}), "state_store must be a store such as"),
    "a URL as store": (lambda: client(state_store="redis://localhost"), "state_store must be a store such as"),
    "a Redis client as store": (lambda: client(state_store=redis.Redis()), "RedisStateStore"),
    "a client of a cluster's class as store": (lambda: client(state_store=redis.RedisCluster), "RedisStateStore"),
    "an engine as store": (lambda: client(state_store=sa.create_engine("sqlite://")), "SQLStateStore"),
    "rotations as store": (lambda: client(state_store=MemoryRotations()), "state_store must be a store such as"),
    "a function as store": (
        lambda: client(state_store=MemoryStateStore.__call__),
        "state_store must be a store such as",
    ),
    "nothing that is false as store": (lambda: client(state_store=""), "state_store must be a store such as"),
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
    "a pipeline of Redis": (
        lambda: RedisExchangeCache(redis.Redis().pipeline(), secret=SECRET),
        "client must be a redis.Redis",
    ),
    "an engine of an asynchronous driver": (
        lambda: SQLStateStore(create_async_engine("postgresql+psycopg://x").sync_engine),
        "engine must have a synchronous driver",
    ),
    "a number as clock": (lambda: client(clock=5), "clock must be a plain function"),
    "an asynchronous clock": (lambda: client(clock=TheirStore().get), "clock must be a plain function"),
    "a path as ssl_context": (lambda: client(ssl_context="ca.pem"), "ssl_context must be an ssl.SSLContext"),
    "a number as ca_bundle": (lambda: client(ca_bundle=5), "ca_bundle must be the path"),
    "a text as authorization_params": (lambda: client(authorization_params="a=b"), "must be a mapping"),
    "a number as algorithms": (lambda: client(id_token_algorithms=5), "id_token_algorithms must be"),
    "half a connection": (lambda: client(pool_size=1.5), "pool_size must be"),
    "a number as secret": (lambda: ServerClient("t.auth0.com", "c", "s", secret=anything(5)), "secret must be text"),
    "a number as identifier": (lambda: client(state_identifier=5), "session identifier must"),
    "blanks in the identifier": (lambda: client(state_identifier="my session"), "session identifier must"),
    "a text as maxsize": (lambda: MemoryStateStore(anything("x")), "maxsize must be"),
    "no verification": (
        lambda: client(ssl_context=context(ssl.CERT_NONE, check_hostname=False)),
        "ssl_context must verify certificates and host names",
    ),
    "optional certificates": (
        lambda: client(ssl_context=context(ssl.CERT_OPTIONAL, check_hostname=True)),
        "ssl_context must verify certificates and host names",
    ),
    "any host name": (
        lambda: client(ssl_context=context(ssl.CERT_REQUIRED, check_hostname=False)),
        "ssl_context must verify certificates and host names",
    ),
    "half an entry as maxsize": (lambda: MemoryStateStore(anything(2.5)), "maxsize must be"),
    "no room for rotations": (lambda: MemoryRotations(0), "maxsize must be"),
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


REQUEST = Request({"type": "http", "method": "GET", "path": "/", "headers": []})
OF_FLASK = WerkzeugRequest(EnvironBuilder().get_environ())
NO_OPTIONS: list[Any] = [REQUEST, Response(), OF_FLASK, [REQUEST], "request", 5, "", ()]

CALLS: dict[str, Callable[[ServerClient, Any], object]] = {
    "exchange": lambda c, given: c.custom_token_exchange(EXCHANGE, given),
    "login": lambda c, given: c.login_with_custom_token_exchange(EXCHANGE, given),
    "session": lambda c, given: c.get_session(given),
    "user": lambda c, given: c.get_user(given),
    "access token": lambda c, given: c.get_access_token(given),
    "connection": lambda c, given: c.get_access_token_for_connection({"connection": "g"}, given),
    "logout": lambda c, given: c.logout(store_options=given),
    "revocation": lambda c, given: c.revoke_refresh_token("r", given),
    "refresh": lambda c, given: c.refresh_exchanged_token("r", store_options=given),
    "transfer": lambda c, given: c.request_session_transfer_token("x", TYPE, store_options=given),
    "on behalf of": lambda c, given: c.get_token_on_behalf_of("a", "https://api", store_options=given),
    "back-channel logout": lambda c, given: c.handle_backchannel_logout("x", given),
    "authenticators": lambda c, given: c.list_mfa_authenticators("m", given),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("given", NO_OPTIONS, ids=lambda given: type(given).__name__)
def test_a_request_in_the_place_of_store_options(name: str, given: object) -> None:
    """Each method says what to give, before anything is sent."""
    tenant = LocalTenant()
    with pytest.raises(ConfigurationError, match=r"store_options must be a dict, not a \w+: store_options=\{"):
        CALLS[name](tenant.client(secret=SECRET), given)
    assert 0 == len(tenant.requests)


def test_a_method_of_the_class() -> None:
    """A method that is called on the class says that it needs a client, which hides no other fault."""
    method: Any = ServerClient.get_access_token
    with pytest.raises(ConfigurationError, match=r"ServerClient\.get_access_token must be called on an instance"):
        method("https://api.example.com")

    class Broken:
        @property
        def headers(self) -> object:
            raise AttributeError("of the application's own request")

        cookies: ClassVar[dict[str, str]] = {}

    with LocalTenant().client(secret=SECRET) as client, pytest.raises(AttributeError, match="of the application's own"):
        client.get_session({"request": Broken()})


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"cookies": "x"}, r'store_options\["cookies"\] must be a dict of cookies, not a str'),
        ({"cookies": [("a", "b")]}, "must be a dict of cookies, not a list"),
        ({"carrier": "x"}, r'store_options\["carrier"\] must be a carrier of cookies, not a str'),
        ({"carrier": {}}, "must be a carrier of cookies, not a dict"),
        ({"request": "x"}, r'store_options\["request"\] must be a request of Flask, Django or Starlette, not a str'),
        ({"request": REQUEST, "response": {}}, r'store_options\["response"\] must be a response'),
        ({"request": Response(), "response": REQUEST}, "must be a request of Flask, Django or Starlette"),
        ({"cookies": MappingProxyType({})}, "no response to set the session cookie on"),
        ({"cookies": ImmutableMultiDict()}, "no response to set the session cookie on"),
    ],
)
def test_store_options_that_cannot_keep_a_session(given: Any, fault: str) -> None:
    """A login is refused before the subject token is spent."""
    tenant = LocalTenant()
    with pytest.raises(Auth0CTEError, match=fault):
        tenant.client(secret=SECRET).login_with_custom_token_exchange(EXCHANGE, given)
    assert 0 == len(tenant.requests)


def test_cookies_of_a_request_can_be_read() -> None:
    """What cannot be changed serves to find a session."""
    tenant = LocalTenant()
    tenant.accept(TYPE, "auth0|ada")
    jar: dict[str, str] = {}
    web = tenant.client(secret=SECRET)
    web.login_with_custom_token_exchange(EXCHANGE, {"cookies": jar})
    for cookies in (MappingProxyType(jar), ImmutableMultiDict(jar)):
        user = web.get_user({"cookies": cookies})
        assert user is not None
        assert "auth0|ada" == user["sub"]


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
