"""The events that a client tells: which, in what order, with what in them, and what a failing hook does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import anyio
import attrs
import pytest

from auth0_cte import (
    AsyncServerClient,
    ClientEvent,
    ConfigurationError,
    CustomTokenExchangeError,
    ExchangeFailed,
    ExchangeStarted,
    ExchangeSucceeded,
    MemoryStateStore,
    RateLimit,
    RateLimitWaitStarted,
    RetryPolicy,
    ServerClient,
    TokenRequestFailed,
    TokenRequestRetried,
    TokenRequestStarted,
    TokenRequestSucceeded,
)
from auth0_cte.testing import LocalTenant
from auth0_cte.token_types import ACCESS_TOKEN
from tests.raw_server import TOKENS, Arrived, RawServer, reply, send

TYPE = "urn:acme:mcp-token"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
SECRET = "s3cr3t-c4n4ry"
OPTIONS: dict[str, Any] = {
    "subject_token": SECRET,
    "subject_token_type": TYPE,
    "authorization_params": {"custom": SECRET},
}


@pytest.fixture
def told() -> list[Any]:
    return []


@pytest.fixture
def client(raw_server: RawServer, told: list[Any]) -> Iterator[ServerClient]:
    """A client of `raw_server` whose events are in `told`."""
    with ServerClient(
        raw_server.url, "c", SECRET, on_event=told.append, retry=RetryPolicy(sleep=lambda _: None)
    ) as made:
        yield made


def kinds(told: list[Any]) -> list[type[ClientEvent]]:
    return [type(event) for event in told]


def test_a_success_is_told(raw_server: RawServer, client: ServerClient, told: list[Any]) -> None:
    """Start and end of the exchange stand around those of its request, with the same call id."""
    raw_server.scripts = [send(reply(TOKENS, headers=["x-auth0-requestid: r-1"]))]
    client.custom_token_exchange(OPTIONS)
    assert [ExchangeStarted, TokenRequestStarted, TokenRequestSucceeded, ExchangeSucceeded] == kinds(told)
    assert 1 == len({event.call_id for event in told})
    for event in told:
        assert (raw_server.url, EXCHANGE, TYPE) == (event.domain, event.grant_type, event.subject_token_type)
    _, began, ended, whole = told
    assert (1, f"{raw_server.url}/oauth/token") == (began.attempt, began.url)
    assert (1, 200, "r-1") == (ended.attempt, ended.status, ended.request_id)
    assert 0 <= ended.duration <= whole.duration
    names = ["exchange.started", "token_request.started", "token_request.succeeded", "exchange.succeeded"]
    assert names == [event.name for event in told]


def test_a_retry_is_told_before_the_wait(raw_server: RawServer, told: list[Any]) -> None:
    """The failure, the delay and the second attempt are told in order, the delay before it is slept."""
    seen: list[int] = []
    raw_server.scripts = [send(reply("", "503 Unavailable", ["Retry-After: 2"])), send(reply(TOKENS))]
    retry = RetryPolicy(sleep=lambda _: seen.append(len(told)), uniform=lambda _low, _high: 0.0)
    with ServerClient(raw_server.url, "c", "s", on_event=told.append, retry=retry) as client:
        client.custom_token_exchange(OPTIONS)
    assert [
        ExchangeStarted,
        TokenRequestStarted,
        TokenRequestFailed,
        TokenRequestRetried,
        TokenRequestStarted,
        TokenRequestSucceeded,
        ExchangeSucceeded,
    ] == kinds(told)
    failed, retried, again = told[2:5]
    assert ("CustomTokenExchangeError", "TOKEN_EXCHANGE_FAILED", 503, True) == (
        failed.error_type,
        failed.error_code,
        failed.status,
        failed.may_have_reached_server,
    )
    assert (1, 2.0, 503, "TOKEN_EXCHANGE_FAILED") == (
        retried.attempt,
        retried.delay,
        retried.status,
        retried.error_code,
    )
    assert 2 == again.attempt
    assert [4] == seen


def test_a_refusal_is_told(raw_server: RawServer, client: ServerClient, told: list[Any]) -> None:
    """An error reply ends request and exchange with Auth0's code and status."""
    raw_server.scripts = [send(reply('{"error": "invalid_request"}', "400 Bad", ["x-auth0-requestid: r-2"]))]
    with pytest.raises(CustomTokenExchangeError):
        client.custom_token_exchange(OPTIONS)
    assert [ExchangeStarted, TokenRequestStarted, TokenRequestFailed, ExchangeFailed] == kinds(told)
    assert ("invalid_request", 400, "r-2") == (told[2].error_code, told[2].status, told[2].request_id)
    assert ("CustomTokenExchangeError", "invalid_request", 400) == (
        told[3].error_type,
        told[3].error_code,
        told[3].status,
    )


def test_a_broken_connection_is_told(raw_server: RawServer, client: ServerClient, told: list[Any]) -> None:
    """A failure of the network has its class and code, and no status."""

    def close(_request: Arrived, connection: Any) -> None:
        connection.shutdown(2)

    raw_server.scripts = [close]
    with pytest.raises(CustomTokenExchangeError):
        client.custom_token_exchange(OPTIONS)
    assert ("TransportError", "TRANSPORT_ERROR", None) == (told[2].error_type, told[2].error_code, told[2].status)
    assert told[2].may_have_reached_server


def test_an_unusable_reply_fails_the_exchange_after_its_request(
    raw_server: RawServer, client: ServerClient, told: list[Any]
) -> None:
    """A JSON object without tokens is an answered request, and a failed exchange."""
    raw_server.scripts = [send(reply("{}"))]
    with pytest.raises(CustomTokenExchangeError):
        client.custom_token_exchange(OPTIONS)
    assert [TokenRequestSucceeded, ExchangeFailed] == kinds(told)[2:]
    assert "INVALID_RESPONSE" == told[3].error_code


def test_a_failure_before_the_request_is_told(told: list[Any]) -> None:
    """An exchange whose domain cannot be reached fails without a request."""
    retry = RetryPolicy(unsent_retries=0, sleep=lambda _: None)
    with ServerClient("http://127.0.0.1:1", "c", "s", on_event=told.append, retry=retry) as client:
        with pytest.raises(CustomTokenExchangeError):
            client.custom_token_exchange(OPTIONS)
    assert [ExchangeStarted, ExchangeFailed] == kinds(told)


def test_bad_input_is_no_exchange(client: ServerClient, told: list[Any]) -> None:
    """What is refused before anything began is not told."""
    with pytest.raises(CustomTokenExchangeError):
        client.custom_token_exchange({**OPTIONS, "subject_token": "Bearer x"})
    assert [] == told


def test_waiting_for_a_turn_is_told(raw_server: RawServer, told: list[Any]) -> None:
    """The client's own rate limit tells how long it has a request wait."""
    turns = RateLimit(
        "1/s", headroom=0, monotonic=lambda: clock[0], sleep=lambda seconds: clock.__setitem__(0, seconds)
    )
    clock = [0.0]
    with ServerClient(raw_server.url, "c", "s", on_event=told.append, rate_limit=turns) as client:
        client.custom_token_exchange(OPTIONS)
        client.custom_token_exchange(OPTIONS)
    waits = [event for event in told if isinstance(event, RateLimitWaitStarted)]
    assert [(1, 1.0)] == [(event.attempt, event.delay) for event in waits]
    assert ExchangeStarted is kinds(told)[told.index(waits[0]) - 1]


def check_a_refresh(told: list[Any]) -> None:
    tenant = LocalTenant()
    tenant.accept(TYPE, "auth0|ada")
    with tenant.client(on_event=told.append, secret="x" * 40, state_store=MemoryStateStore()) as client:
        jar: dict[str, str] = {}
        client.login_with_custom_token_exchange({**OPTIONS, "scope": "openid offline_access"}, {"cookies": jar})
        login = {event.call_id for event in told}
        told.clear()
        client.get_access_token({"cookies": jar}, audience="https://api.example")
    assert [TokenRequestStarted, TokenRequestSucceeded] == kinds(told)
    assert {("refresh_token", None)} == {(event.grant_type, event.subject_token_type) for event in told}
    assert login.isdisjoint({event.call_id for event in told})


def test_a_refresh_is_told_as_a_token_request(told: list[Any]) -> None:
    """Other grants have events of their requests, with a call id of their own and no token type."""
    check_a_refresh(told)


def test_no_secret_is_in_any_event(raw_server: RawServer, client: ServerClient, told: list[Any]) -> None:
    """Neither tokens nor the client secret nor parameters nor what was issued are told."""
    raw_server.scripts = [
        send(reply(f'{{"error": "{SECRET}"}}', "429 Too Many", ["Retry-After: 0"])),
        send(reply(TOKENS.replace("issued", f"new-{SECRET}"))),
    ]
    client.custom_token_exchange(OPTIONS)
    text = " ".join(f"{event!r} {attrs.asdict(event)}" for event in told)
    assert 7 == len(told)
    assert SECRET not in text


def test_events_are_frozen(client: ServerClient, told: list[Any]) -> None:
    """A hook cannot change what the next one sees."""
    client.custom_token_exchange(OPTIONS)
    for event in told:
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            event.call_id = "x"


def test_a_hook_that_raises_changes_nothing(raw_server: RawServer, caplog: pytest.LogCaptureFixture) -> None:
    """The answer that a spent token bought is returned; the log tells the class, and not the text, of the failure."""

    def fail(event: ClientEvent) -> None:
        raise LookupError(f"{SECRET} {event.name}")

    with ServerClient(raw_server.url, "c", "s", on_event=fail) as client:
        assert "issued" == client.custom_token_exchange(OPTIONS).access_token
        raw_server.scripts = [send(reply('{"error": "access_denied"}', "401 No"))]
        with pytest.raises(CustomTokenExchangeError) as caught:
            client.custom_token_exchange(OPTIONS)
    assert "access_denied" == caught.value.code
    assert caught.value.__context__ is None
    assert 8 == caplog.text.count("on_event raised LookupError")
    assert SECRET not in caplog.text


def test_an_interrupt_passes_a_hook(raw_server: RawServer) -> None:
    """Ctrl-C in a hook is a KeyboardInterrupt, before the token is sent."""

    def interrupt(_event: ClientEvent) -> None:
        raise KeyboardInterrupt

    with ServerClient(raw_server.url, "c", "s", on_event=interrupt) as client, pytest.raises(KeyboardInterrupt):
        client.custom_token_exchange(OPTIONS)
    assert [] == raw_server.arrived


def test_an_interrupted_exchange_leaves_nothing_for_the_next_call(raw_server: RawServer, told: list[Any]) -> None:
    """After Ctrl-C in a hook, a refresh in the same thread is not told under the interrupted call's id."""

    def interrupt(_event: ClientEvent) -> None:
        raise KeyboardInterrupt

    with ServerClient(raw_server.url, "c", "s", on_event=interrupt) as client, pytest.raises(KeyboardInterrupt):
        client.custom_token_exchange(OPTIONS)
    check_a_refresh(told)


async def _asynchronous(_event: ClientEvent) -> None: ...


class _AsynchronousHook:
    async def __call__(self, _event: ClientEvent) -> None: ...


@pytest.mark.parametrize("hook", ["text", 5, _asynchronous, _AsynchronousHook()])
def test_a_hook_is_a_plain_function(hook: Any) -> None:
    """What cannot be called, or would have to be awaited, is refused at construction."""
    with pytest.raises(ConfigurationError, match="on_event"):
        ServerClient("tenant.auth0.com", "c", "s", on_event=hook)


def test_threads_do_not_mix_their_calls(raw_server: RawServer, client: ServerClient, told: list[Any]) -> None:
    """However many exchanges run at once, each has its own id and its own four events, in order."""
    threads = [threading.Thread(target=client.custom_token_exchange, args=(OPTIONS,)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    calls: dict[str, list[type[ClientEvent]]] = {}
    for event in told:
        calls.setdefault(event.call_id, []).append(type(event))
    assert 16 == len(calls)
    expected = [ExchangeStarted, TokenRequestStarted, TokenRequestSucceeded, ExchangeSucceeded]
    assert all(expected == each for each in calls.values())


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_the_mirror_tells_in_its_threads_with_the_callers_context(raw_server: RawServer) -> None:
    """A hook runs in the worker thread, and sees the context variables of the task that called."""
    user: ContextVar[str] = ContextVar("user")
    seen: list[tuple[str, bool]] = []
    loop = threading.current_thread()

    def hook(_event: ClientEvent) -> None:
        seen.append((user.get(), threading.current_thread() is loop))

    async with AsyncServerClient(raw_server.url, "c", "s", on_event=hook) as client:

        async def exchange(name: str) -> None:
            user.set(name)
            await client.custom_token_exchange(OPTIONS)

        async with anyio.create_task_group() as tasks:
            for name in ("ada", "bob"):
                tasks.start_soon(exchange, name)
    assert {("ada", False), ("bob", False)} == set(seen)
    assert 8 == len(seen)


def test_an_exchange_of_a_standard_type_is_told_alike(
    raw_server: RawServer, client: ServerClient, told: list[Any]
) -> None:
    """On-behalf-of exchanges have the same events."""
    client.custom_token_exchange({"subject_token": SECRET, "subject_token_type": ACCESS_TOKEN})
    assert {ACCESS_TOKEN} == {event.subject_token_type for event in told}
