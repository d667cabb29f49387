"""What is not ours fails in its own way: a typed error, its own exception behind, and no secret in the frames."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any, cast

import pytest
import requests
from requests.adapters import HTTPAdapter

from auth0_cte import Auth0CTEError, ExchangeCache, ServerClient
from auth0_cte.testing import LocalTenant
from tests.exchanges import LEGACY_TYPE, SESSION_SECRET, make_legacy_tenant

CANARY = "c4n4ry-of-a-token"
OPTIONS = {"subject_token": CANARY, "subject_token_type": LEGACY_TYPE}


class OwnError(Exception):
    """What nobody can know."""


def fail(*_: Any, **__: Any) -> Any:
    raise OwnError("of its own")


class FailingAuth:
    apply = staticmethod(fail)


class FailingCache:
    fetch = forget = clear = staticmethod(fail)


class FailingAdapter(HTTPAdapter):
    def send(self, *_: Any, **__: Any) -> Any:
        raise OwnError("of its own")


class FailingStore:
    stateless = script = False

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        return fail


class ForgetfulCache(ExchangeCache):
    def fetch(self, request: Any, exchange: Any, clock: Any, deadline: Any) -> Any:
        super().fetch(request, exchange, clock, deadline)
        raise OwnError("after the exchange")


@pytest.fixture
def tenant() -> LocalTenant:
    return make_legacy_tenant()


def failing_session(tenant: LocalTenant) -> requests.Session:
    session = tenant.session()
    for prefix in list(session.adapters):
        session.mount(prefix, FailingAdapter())
    return session


FOREIGN: dict[str, tuple[Callable[[LocalTenant], dict[str, Any]], dict[str, Any], str]] = {
    "supplier": (lambda _: {}, {"subject_token": fail}, "TOKEN_SUPPLIER_FAILED"),
    "actor supplier": (
        lambda _: {},
        {"actor_token": fail, "actor_token_type": "urn:acme:agent"},
        "TOKEN_SUPPLIER_FAILED",
    ),
    "client_auth": (lambda _: {"client_auth": FailingAuth(), "client_secret": None}, {}, "CLIENT_AUTH_FAILED"),
    "exchange_cache": (lambda _: {"exchange_cache": FailingCache()}, {}, "EXCHANGE_CACHE_UNAVAILABLE"),
    "resolver": (lambda _: {"domain": fail}, {}, "DOMAIN_RESOLVER_FAILED"),
    "adapter": (lambda tenant: {"session": failing_session(tenant)}, {}, "TOKEN_EXCHANGE_FAILED"),
}


def shown(error: BaseException) -> str:
    """Everything that an error tracker would collect of an error, but for the test's own frames."""
    error = error.with_traceback(None)
    return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_raised_is_typed_and_shows_no_token(
    name: str, tenant: LocalTenant, new_client: type[ServerClient]
) -> None:
    """The error has a code, the exception is its cause, nothing is sent, and no frame holds a token."""
    settings, options, code = FOREIGN[name]
    given: dict[str, Any] = {
        "domain": tenant.domain,
        "client_id": tenant.client_id,
        "client_secret": tenant.client_secret,
    }
    given |= {"session": tenant.session(), **settings(tenant)}
    client = new_client(**given)
    with pytest.raises(Auth0CTEError) as caught:
        client.custom_token_exchange({**OPTIONS, **options})
    assert code == caught.value.code
    assert "OwnError" in repr(caught.value.__cause__) or name == "adapter"
    assert [] == tenant.token_requests
    assert CANARY not in shown(caught.value)


def test_a_store_is_asked_before_the_token_is_spent(tenant: LocalTenant, new_client: type[ServerClient]) -> None:
    """A store that fails is told by its code, and shows nothing of a session."""
    client = new_client(
        *(tenant.domain, tenant.client_id, tenant.client_secret),
        session=tenant.session(),
        secret=SESSION_SECRET,
        state_store=cast("Any", FailingStore()),
    )
    with pytest.raises(Auth0CTEError) as caught:
        client.login_with_custom_token_exchange(OPTIONS, {"cookies": {}})
    assert "STORE_UNAVAILABLE" == caught.value.code
    assert isinstance(caught.value.__cause__, OwnError)
    assert CANARY not in shown(caught.value)


def test_a_cache_that_fails_afterwards_loses_no_response(
    tenant: LocalTenant, new_client: type[ServerClient], caplog: pytest.LogCaptureFixture
) -> None:
    """What the exchange brought is returned, and the log tells that it is not kept."""
    client = new_client(
        *(tenant.domain, tenant.client_id, tenant.client_secret),
        session=tenant.session(),
        exchange_cache=ForgetfulCache(),
    )
    assert client.custom_token_exchange(OPTIONS).access_token
    assert "the exchange_cache failed after the exchange" in caplog.text
