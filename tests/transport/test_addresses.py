"""All addresses of a host, and the question for them, share one time."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from auth0_cte import (
    CustomTokenExchangeOptions,
    ExchangeTimeoutError,
    ExchangeTransportError,
    RetryPolicy,
    ServerClient,
    TransportTimeoutError,
)
from auth0_cte.foundation.deadline import Deadline
from auth0_cte.transport.client import Http, HttpRequest, TransportSettings
from tests.raw_server import RawServer
from tests.transport.test_heads import BODY, LENGTH, OK, HeadServer

OPTIONS = CustomTokenExchangeOptions(subject_token="s3cr3t-c4n4ry", subject_token_type="urn:acme:mcp-token")
HOST = "tenant.example"
Resolve = Callable[[str, int], list[tuple[str, int]]]


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Callable[[Resolve], None]:
    """Let a function of the test's answer the questions for addresses of ``tenant.example``."""
    real = socket.getaddrinfo

    def install(answer: Resolve) -> None:
        def getaddrinfo(host: Any, port: Any, *arguments: Any, **settings: Any) -> Any:
            if host != HOST:
                return real(host, port, *arguments, **settings)
            return [
                (socket.AF_INET6 if ":" in place[0] else socket.AF_INET, socket.SOCK_STREAM, 6, "", place)
                for place in answer(host, port)
            ]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return install


@pytest.fixture
def dead() -> Iterator[list[tuple[str, int]]]:
    """Six addresses that answer nothing: listeners whose queues are full."""
    with ExitStack() as stack:
        places = []
        for _ in range(6):
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            for _ in range(4):
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(listener.getsockname())
            places.append(listener.getsockname())
        yield places


def ask(settings: TransportSettings, seconds: float = 10.0) -> bytes:
    http = Http(settings)
    try:
        return http.send(HttpRequest(method="GET", url=f"http://{HOST}/", headers={}), Deadline(seconds)).body
    finally:
        http.close()


def test_six_dead_addresses_end_with_the_deadline(
    dead: list[tuple[str, int]], resolve: Callable[[Resolve], None], new_client: type[ServerClient]
) -> None:
    """``timeout=1`` takes a second, not one for each address; nothing was sent."""
    resolve(lambda *_: dead)
    began = time.monotonic()
    with new_client(HOST, "c", "s", timeout=1, retry=RetryPolicy(sleep=lambda _: None)) as client:
        with pytest.raises(ExchangeTimeoutError, match=f"could not connect to {HOST} in time") as caught:
            client.custom_token_exchange(OPTIONS)
    assert time.monotonic() - began < 4  # six seconds it would be
    assert ("connect", False) == (caught.value.phase, caught.value.may_have_reached_server)


def test_six_dead_addresses_share_the_time_to_connect(
    dead: list[tuple[str, int]], resolve: Callable[[Resolve], None]
) -> None:
    """``connect_timeout`` is that of all addresses together, so that there is time left to try again."""
    resolve(lambda *_: dead)
    naps: list[float] = []
    began = time.monotonic()
    with ServerClient(HOST, "c", "s", connect_timeout=0.3, retry=RetryPolicy(sleep=naps.append)) as client:
        with pytest.raises(ExchangeTimeoutError):
            client.custom_token_exchange(OPTIONS)
    assert 2 == len(naps)
    assert time.monotonic() - began < 5  # 5.4 seconds it would be


def test_a_full_backlog_ends_with_the_deadline(dead: list[tuple[str, int]], resolve: Callable[[Resolve], None]) -> None:
    """What is left of the call bounds the time to connect, however long that may take otherwise."""
    resolve(lambda *_: dead[:1])
    began = time.monotonic()
    with ServerClient(HOST, "c", "s", timeout=0.5, connect_timeout=30) as client:
        with pytest.raises(ExchangeTimeoutError):
            client.custom_token_exchange(OPTIONS)
    assert time.monotonic() - began < 10


def test_a_live_address_after_dead_ones_is_found(
    dead: list[tuple[str, int]], resolve: Callable[[Resolve], None]
) -> None:
    """Addresses are tried beside each other, so the last one is reached before the time is over."""
    with HeadServer(iter([OK + LENGTH + b"\r\n" + BODY])) as server:
        alive = ("127.0.0.1", int(server.url.rpartition(":")[2]))
        resolve(lambda *_: [*dead[:3], alive])
        assert BODY == ask(TransportSettings(connect_timeout=5))
        assert 1 == server.opened


def test_a_refused_address_is_left_at_once(resolve: Callable[[Resolve], None]) -> None:
    """The next address is tried when the one before has refused, without the head start of a silent one."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        refusing = listener.getsockname()
    with HeadServer(iter([OK + LENGTH + b"\r\n" + BODY])) as server:
        alive = ("127.0.0.1", int(server.url.rpartition(":")[2]))
        resolve(lambda *_: [refusing] * 40 + [alive])
        began = time.monotonic()
        assert BODY == ask(TransportSettings())
        assert time.monotonic() - began < 5  # ten seconds it would be


def test_families_take_turns(dead: list[tuple[str, int]], resolve: Callable[[Resolve], None]) -> None:
    """After a dead address of one family comes one of the other (RFC 8305 section 4)."""
    with HeadServer(iter([OK + LENGTH + b"\r\n" + BODY])) as server:
        alive = ("127.0.0.1", int(server.url.rpartition(":")[2]))
        nowhere: list[Any] = [("::1", 1, 0, 0)] * 3
        resolve(lambda *_: [*nowhere, alive, *dead])
        assert BODY == ask(TransportSettings(connect_timeout=5))


def test_addresses_that_all_refuse_are_told(resolve: Callable[[Resolve], None]) -> None:
    """When there is none left, the host could not be connected to, and nothing was sent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        refusing = listener.getsockname()
    resolve(lambda *_: [refusing] * 3)
    with ServerClient(HOST, "c", "s", retry=RetryPolicy(sleep=lambda _: None)) as client:
        with pytest.raises(ExchangeTransportError, match=rf"could not connect to {HOST} \(") as caught:
            client.custom_token_exchange(OPTIONS)
    assert ("connect", False, True) == (
        caught.value.phase,
        caught.value.may_have_reached_server,
        caught.value.is_retryable,
    )
    assert not isinstance(caught.value, ExchangeTimeoutError)


@pytest.mark.parametrize("kind", [socket.gaierror(-2, "not known"), UnicodeError("label too long")])
def test_a_name_without_an_address_is_told(kind: Exception, resolve: Callable[[Resolve], None]) -> None:
    """What the resolver says is told as what it is: the name could not be resolved."""

    def refuse(*_: Any) -> Any:
        raise kind

    resolve(refuse)
    with ServerClient(HOST, "c", "s", retry=RetryPolicy(sleep=lambda _: None)) as client:
        with pytest.raises(ExchangeTransportError, match=f"could not resolve the name of {HOST}") as caught:
            client.custom_token_exchange(OPTIONS)
    assert not caught.value.may_have_reached_server


def test_a_resolver_that_hangs_holds_no_call_beyond_its_deadline(
    resolve: Callable[[Resolve], None], raw_server: RawServer
) -> None:
    """Eight calls give up in time, with one thread left behind; later calls join it and go on when it has an answer."""
    asked: list[str] = []
    answered = threading.Event()
    threads = threading.active_count()

    def hang(host: str, _port: int) -> Any:
        asked.append(host)
        answered.wait(20)
        return [("127.0.0.1", 1)]

    resolve(hang)
    began = time.monotonic()
    failed: list[bool] = []

    def exchange() -> None:
        with pytest.raises(ExchangeTimeoutError) as caught:
            client.custom_token_exchange(OPTIONS)
        failed.append(caught.value.may_have_reached_server)

    with ServerClient(HOST, "c", "s", timeout=0.5, retry=RetryPolicy(sleep=lambda _: None)) as client:
        callers = [threading.Thread(target=exchange) for _ in range(8)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(10)
        assert time.monotonic() - began < 10
        assert ([False] * 8, [HOST]) == (failed, asked)
        assert threads + 1 == threading.active_count()
        answered.set()
        with pytest.raises(ExchangeTransportError, match="could not connect"):
            client.custom_token_exchange(OPTIONS)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_asks_for_itself(resolve: Callable[[Resolve], None]) -> None:
    """A question that hangs in the parent holds nobody in the child, where its thread does not exist."""
    asked, answered = threading.Event(), threading.Event()

    def hang_in_parent(_host: str, _port: int) -> Any:
        if os.getpid() == parent:
            asked.set()
            answered.wait(20)
        return [place]

    def give_up() -> None:
        with pytest.raises(TransportTimeoutError):
            ask(TransportSettings(), 0.3)

    parent = os.getpid()
    with HeadServer(iter([OK + LENGTH + b"\r\n" + BODY])) as server:
        place = ("127.0.0.1", int(server.url.rpartition(":")[2]))
        resolve(hang_in_parent)
        waiting = threading.Thread(target=give_up)
        waiting.start()
        assert asked.wait(5)
        pid = os.fork()
        if pid == 0:
            try:
                os._exit(0 if ask(TransportSettings()) == BODY else 1)
            finally:
                os._exit(2)
        assert 0 == os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        waiting.join(5)
        answered.set()
