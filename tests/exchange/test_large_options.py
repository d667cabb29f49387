"""What callers send is not kept by its size."""

from __future__ import annotations

import gc
import io
import json
import logging
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests
from requests.adapters import BaseAdapter

from auth0_cte import ExchangeCache, ServerClient
from auth0_cte.foundation.urls import normalized
from tests.load import load, sized

DOMAIN = "tenant.auth0.com"
ISSUER = f"https://{DOMAIN}/"
REPLIES: dict[str, Any] = {
    "GET": {"issuer": ISSUER, "token_endpoint": f"{ISSUER}oauth/token"},
    "POST": {"access_token": "issued", "token_type": "Bearer", "expires_in": 60},
}
SIZE = 30_000

LARGE: dict[str, Callable[[int], dict[str, Any]]] = {
    "audience": lambda number: {"audience": f"https://{number}.example/{'x' * SIZE}"},
    "scope": lambda number: {"scope": f"a{number} {'b' * SIZE}"},
    "organization": lambda number: {"organization": f"org_{number}{'c' * SIZE}"},
    "resource": lambda number: {"resource": f"https://{number}.example/{'d' * SIZE}"},
    "subject token type": lambda number: {"subject_token_type": f"urn:acme:{number}:{'e' * SIZE}"},
    "actor token type": lambda number: {"actor_token": "a", "actor_token_type": f"urn:acme:{number}:{'f' * SIZE}"},
    "subject token": lambda number: {"subject_token": f"{number}{'g' * SIZE}"},
    "parameter": lambda number: {"authorization_params": {f"p{number}{'h' * SIZE}": f"{number} {'i' * SIZE}"}},
}


class Forgetful(BaseAdapter):
    """Answers like a tenant, and keeps nothing."""

    def send(self, request: requests.PreparedRequest, *_args: Any, **_settings: Any) -> requests.Response:
        response = requests.Response()
        response.status_code, response.url, response.request = 200, str(request.url), request
        response.raw = io.BytesIO(json.dumps(REPLIES[str(request.method)]).encode())
        return response

    def close(self) -> None:
        pass


@contextmanager
def flat(at_most: int) -> Iterator[None]:
    """Fail unless the memory in use grew by less than so many bytes."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        yield
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < at_most
    finally:
        tracemalloc.stop()


@load
@pytest.mark.parametrize("what", LARGE)
def test_memory_is_flat_over_large_options(what: str, caplog: pytest.LogCaptureFixture) -> None:
    """However many large values are exchanged, with a cache too, none of them stays."""
    caplog.set_level(logging.ERROR, "auth0_cte")  # it keeps what it catches
    with requests.Session() as session:
        session.mount(ISSUER, Forgetful())
        cache = ExchangeCache(max_entries=10)
        with ServerClient(DOMAIN, "client-id", "client-secret", session=session, exchange_cache=cache) as client:

            def exchange(number: int) -> None:
                usual = {"subject_token": f"t{number}", "subject_token_type": "urn:acme:legacy"}
                client.custom_token_exchange({**usual, **LARGE[what](number)})

            exchange(0)
            with flat(1_000_000):
                for number in range(1, sized(1_000, 150)):
                    exchange(number)


def test_memory_is_flat_over_long_urls() -> None:
    """Of long URLs that DPoP proofs are made for, none is remembered."""
    with flat(500_000):
        for number in range(150):
            assert normalized(f"https://{number}.example/{'x' * SIZE}?q").endswith("xx")
