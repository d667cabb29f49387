from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import responses

from auth0_cte import (
    CustomTokenExchangeError,
    CustomTokenExchangeOptions,
    DiscoveryError,
    ExchangeDiscoveryError,
    ExchangeTimeoutError,
    ExchangeTransportError,
    RetryPolicy,
    ServerClient,
)
from auth0_cte.foundation.deadline import Deadline, waited
from auth0_cte.jose import SigningKey
from auth0_cte.oauth.discovery import Discovery
from auth0_cte.transport.client import Http, TransportSettings
from tests.conftest import DOMAIN, ISSUER, TOKEN_ENDPOINT
from tests.foundation.test_ttl_cache import Now
from tests.raw_server import RawServer

OPTIONS = CustomTokenExchangeOptions(subject_token="t", subject_token_type="urn:acme:mcp-token")
CONFIGURATION = f"{ISSUER}.well-known/openid-configuration"
JWKS = f"{ISSUER}.well-known/jwks.json"
GOOD = {"issuer": ISSUER, "token_endpoint": TOKEN_ENDPOINT, "jwks_uri": JWKS}
KEYS = {"keys": [SigningKey.generate("ES256", kid="one").public_jwk()]}


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def discovery(now: Now) -> Discovery:
    return Discovery(Http(TransportSettings()), {"User-Agent": "x"}, RetryPolicy(sleep=lambda _: None), now)


def deadline() -> Deadline:
    return Deadline(5)


BAD: dict[str, dict[str, Any]] = {
    "no-issuer": {"issuer": None},
    "other-issuer": {"issuer": "https://other.auth0.com/"},
    "http-issuer": {"issuer": "http://tenant.auth0.com/"},
    "list-issuer": {"issuer": [ISSUER]},
    "upper-case-issuer": {"issuer": "https://TENANT.auth0.com/"},
    "no-token-endpoint": {"token_endpoint": None},
    "other-host": {"token_endpoint": "https://evil.example/oauth/token"},
    "sub-domain": {"token_endpoint": "https://x.tenant.auth0.com/oauth/token"},
    "http": {"token_endpoint": "http://tenant.auth0.com/oauth/token"},
    "port": {"token_endpoint": "https://tenant.auth0.com:8443/oauth/token"},
    "bad-port": {"token_endpoint": "https://tenant.auth0.com:x/oauth/token"},
    "userinfo": {"token_endpoint": "https://tenant.auth0.com@evil.example/oauth/token"},
    "empty-userinfo": {"token_endpoint": "https://@tenant.auth0.com/oauth/token"},
    "fragment": {"token_endpoint": "https://tenant.auth0.com/oauth/token#x"},
    "backslash": {"token_endpoint": "https://tenant.auth0.com\\@evil.example/"},
    "white-space": {"token_endpoint": "https://tenant.auth0.com/ oauth"},
    "not-text": {"token_endpoint": {"url": TOKEN_ENDPOINT}},
    "relative": {"token_endpoint": "/oauth/token"},
    "jwks-elsewhere": {"jwks_uri": "https://evil.example/jwks"},
}


@pytest.mark.parametrize("changes", BAD.values(), ids=BAD.keys())
def test_metadata_that_leads_elsewhere_is_refused(changes: dict[str, Any], new_client: type[ServerClient]) -> None:
    """The issuer must be the domain's and every endpoint on its own host, or no token is sent."""
    client = new_client(DOMAIN, "c", "s")
    with responses.RequestsMock() as wire:
        wire.get(CONFIGURATION, json=GOOD | changes)
        with pytest.raises(ExchangeDiscoveryError) as caught:
            client.custom_token_exchange(OPTIONS)
        assert 1 == len(wire.calls)
    assert isinstance(caught.value, DiscoveryError)
    assert ("TOKEN_EXCHANGE_FAILED", False) == (caught.value.code, caught.value.may_have_reached_server)


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (404, "no", {}),
        (302, "", {"Location": "https://evil.example/"}),
        (200, "<html>", {}),
        (200, "[]", {}),
        (200, '{"issuer": "a", "issuer": "b"}', {}),
        (200, " " * (1024 * 1024 + 1), {}),
        (200, "x", {"Content-Encoding": "gzip"}),
    ],
)
def test_what_is_no_configuration_is_a_discovery_error(
    status: int, body: str, headers: dict[str, str], new_client: type[ServerClient]
) -> None:
    """Wrong status, redirects, HTML and oversize end the exchange before the token is sent."""
    with responses.RequestsMock() as wire:
        wire.get(CONFIGURATION, status=status, body=body, headers=headers)
        with pytest.raises(ExchangeDiscoveryError):
            new_client(DOMAIN, "c", "s").custom_token_exchange(OPTIONS)
        assert 1 == len(wire.calls)


def test_a_failing_server_is_asked_three_times(client: ServerClient) -> None:
    """Discovery is idempotent, so a server error is retried twice; the token was never at risk."""
    with responses.RequestsMock() as wire:
        wire.get(CONFIGURATION, status=503)
        with pytest.raises(ExchangeTransportError) as caught:
            client.custom_token_exchange(OPTIONS)
        assert 3 == len(wire.calls)
    assert not caught.value.may_have_reached_server
    assert caught.value.is_retryable


def test_the_last_slash_does_not_matter(client: ServerClient, new_client: type[ServerClient]) -> None:
    """tenant.auth0.com, with scheme and with slash, are one domain and one entry of the cache."""
    with responses.RequestsMock() as wire:
        wire.get(CONFIGURATION, json=GOOD)
        wire.post(TOKEN_ENDPOINT, json={"access_token": "a"})
        for domain in (DOMAIN, f"https://{DOMAIN}", f"https://{DOMAIN}/", f"HTTPS://{DOMAIN.upper()}/"):
            new_client(domain, "c", "s").custom_token_exchange(OPTIONS)
        assert {CONFIGURATION, TOKEN_ENDPOINT} == {call.request.url for call in wire.calls}


def test_metadata_is_fresh_for_ten_minutes(discovery: Discovery, now: Now) -> None:
    """One request in 600 seconds."""
    with responses.RequestsMock() as wire:
        wire.get(CONFIGURATION, json=GOOD)
        for now.time in (0.0, 1.0, 599.0):
            discovery.issuer(ISSUER, deadline())
        assert 1 == len(wire.calls)
        now.time = 600.0
        discovery.issuer(ISSUER, deadline())
        assert 2 == len(wire.calls)


def test_a_hundred_domains_are_remembered(discovery: Discovery) -> None:
    """The hundred and first domain pushes out the one that was not used the longest."""
    with responses.RequestsMock() as wire:
        for number in range(101):
            issuer = f"https://t{number}.auth0.com/"
            wire.get(
                f"{issuer}.well-known/openid-configuration",
                json={"issuer": issuer, "token_endpoint": f"{issuer}oauth/token"},
            )
        for number in [*range(101), *range(1, 101), 0]:
            discovery.issuer(f"https://t{number}.auth0.com/", deadline())
        assert 102 == len(wire.calls)


def test_the_last_good_copy_serves_while_the_server_is_down(discovery: Discovery, now: Now) -> None:
    """Stale metadata and keys serve on for up to 24 hours, and the server is asked once a minute at most."""
    with responses.RequestsMock() as wire:
        wire.get(CONFIGURATION, json=GOOD)
        wire.get(JWKS, json=KEYS)
        issuer = discovery.issuer(ISSUER, deadline())
        keys = discovery.keys(issuer, deadline())
        wire.replace("GET", CONFIGURATION, status=500)
        wire.replace("GET", JWKS, status=500)
        asked = len(wire.calls)
        for now.time in (601.0, 602.0, 660.0):
            assert keys is discovery.keys(issuer, deadline())
            assert issuer is discovery.issuer(ISSUER, deadline())
        assert asked + 6 == len(wire.calls)  # three attempts for each, once
        now.time = 661.0
        assert keys is discovery.keys(issuer, deadline())
        assert asked + 9 == len(wire.calls)
        now.time = 24 * 3600.0 - 1
        assert keys is discovery.keys(issuer, deadline())
        now.time = 24 * 3600.0
        with pytest.raises(Exception, match="500"):
            discovery.keys(issuer, deadline())


@pytest.mark.parametrize(("for_strangers", "times"), [(True, 1), (False, 20)])
def test_unknown_kids_refetch_so_many_times_a_minute(
    discovery: Discovery, now: Now, for_strangers: bool, times: int
) -> None:
    """Made-up kids of strangers cause one request a minute, those of our own tokens twenty, counted by attempts."""
    with responses.RequestsMock() as wire:
        wire.get(CONFIGURATION, json=GOOD)
        wire.get(JWKS, json=KEYS)
        issuer = discovery.issuer(ISSUER, deadline())
        keys = discovery.keys(issuer, deadline())
        for _ in range(1_000):
            keys = discovery.newer_keys(issuer, keys, deadline(), for_strangers=for_strangers)
        assert 2 + times == len(wire.calls)
        now.time = 59.9
        discovery.newer_keys(issuer, keys, deadline(), for_strangers=for_strangers)
        assert 2 + times == len(wire.calls)
        now.time = 60.0
        wire.replace("GET", JWKS, status=404)
        for _ in range(100):
            assert keys is discovery.newer_keys(issuer, keys, deadline(), for_strangers=for_strangers)
        assert 2 + 2 * times == len(wire.calls)


@pytest.mark.parametrize("body", [b"{}", b'{"keys": 1}', b"x", b"[]"])
def test_what_is_no_key_set_is_a_discovery_error(body: bytes, discovery: Discovery) -> None:
    """A malformed key set is refused."""
    with responses.RequestsMock() as wire:
        wire.get(CONFIGURATION, json=GOOD)
        wire.get(JWKS, body=body)
        issuer = discovery.issuer(ISSUER, deadline())
        with pytest.raises(DiscoveryError):
            discovery.keys(issuer, deadline())


@pytest.mark.parametrize(("more", "accepted"), [(0, True), (1, False)])
def test_a_key_set_of_256_kib_is_the_longest(more: int, accepted: bool, discovery: Discovery) -> None:
    """A good one of just that length is read, one of a byte more is not."""
    body = json.dumps(KEYS).encode()
    with responses.RequestsMock() as wire:
        wire.get(CONFIGURATION, json=GOOD)
        wire.get(JWKS, body=body + b" " * (256 * 1024 + more - len(body)))
        issuer = discovery.issuer(ISSUER, deadline())
        if accepted:
            assert ["one"] == [key.kid for key in discovery.keys(issuer, deadline()).key_set.keys]
            return
        with pytest.raises(DiscoveryError):
            discovery.keys(issuer, deadline())


@pytest.mark.parametrize(("more", "accepted"), [(0, True), (1, False)])
def test_metadata_of_one_mebibyte_is_the_longest(more: int, accepted: bool, discovery: Discovery) -> None:
    """A good document of just that length is read, one of a byte more is not."""
    body = json.dumps(GOOD).encode()
    with responses.RequestsMock() as wire:
        wire.get(CONFIGURATION, body=body + b" " * (1024 * 1024 + more - len(body)))
        if accepted:
            assert ISSUER == discovery.issuer(ISSUER, deadline()).issuer
            return
        with pytest.raises(DiscoveryError):
            discovery.issuer(ISSUER, deadline())


def test_who_waits_for_another_ones_metadata_gives_up_at_its_own_deadline(raw_server: RawServer) -> None:
    """While one call hangs in discovery, another one with less time fails when that is over, with nothing sent."""
    asked, done = threading.Event(), threading.Event()

    def hang() -> None:
        asked.set()
        done.wait(30)

    raw_server.on_discovery = hang
    with ServerClient(raw_server.url, "c", "s", timeout=30, read_timeout=30) as client, ThreadPoolExecutor(2) as pool:
        slow = pool.submit(client.custom_token_exchange, OPTIONS)
        assert asked.wait(10)

        def hasty() -> None:
            waited.set(29.9)  # of its thirty seconds
            client.custom_token_exchange(OPTIONS)

        error = pool.submit(hasty).exception(10)
        done.set()
        assert "issued" == slow.result(10).access_token
    assert isinstance(error, ExchangeTimeoutError)
    assert not error.may_have_reached_server
    assert (1, 2) == (len(raw_server.arrived), len(raw_server.everything))


def test_twenty_threads_start_cold_with_one_request(raw_server: RawServer, raw_client: ServerClient) -> None:
    """However many threads need the metadata first, it is fetched once."""
    together = threading.Barrier(20)
    failures: list[BaseException] = []

    def exchange() -> None:
        together.wait(10)
        try:
            raw_client.custom_token_exchange(OPTIONS)
        except CustomTokenExchangeError as error:
            failures.append(error)

    threads = [threading.Thread(target=exchange) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert [] == failures
    assert 20 == len(raw_server.arrived)
    assert 1 == len(raw_server.everything) - 20


def test_the_resolver_is_asked_once_a_call(wire: responses.RequestsMock, new_client: type[ServerClient]) -> None:
    """A domain function gets the request's URL and headers, once for each call."""
    seen: list[Any] = []

    def resolve(context: Any) -> str:
        seen.append(context)
        return DOMAIN

    class Request:
        url = "https://app.example/login"
        headers = {"Host": "app.example"}

    class DjangoRequest:
        headers = {"Host": "app.example"}

        def build_absolute_uri(self) -> str:
            return "https://app.example/login"

    wire.post(TOKEN_ENDPOINT, json={"access_token": "a"})
    client = new_client(resolve, "c", "s")
    for store_options in (None, {"request": Request()}, {"request": DjangoRequest()}):
        client.custom_token_exchange(OPTIONS, store_options)
    url, headers = "https://app.example/login", {"host": "app.example"}
    assert [(None, {}), (url, headers), (url, headers)] == [(each.request_url, each.request_headers) for each in seen]


def test_a_tenant_without_a_key_set(discovery: Discovery) -> None:
    """Its configuration is good for exchanges; whoever needs keys is told what is missing, without a request."""
    with responses.RequestsMock() as wire:
        wire.get(CONFIGURATION, json={"issuer": ISSUER, "token_endpoint": TOKEN_ENDPOINT})
        issuer = discovery.issuer(ISSUER, deadline())
        with pytest.raises(DiscoveryError, match="has no jwks_uri"):
            discovery.keys(issuer, deadline())
        assert 1 == len(wire.calls)
