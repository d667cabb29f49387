"""Keys that rotate while logins are under way: no login is lost while the new key can be had."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from auth0_cte import IdTokenError, MemoryStateStore, ServerClient
from auth0_cte.jose import b64url_encode
from auth0_cte.testing import LocalTenant
from tests.exchanges import LEGACY_TYPE, SESSION_SECRET, make_legacy_tenant

LOGIN: dict[str, Any] = {"subject_token": "x", "subject_token_type": LEGACY_TYPE}
JWKS = "/.well-known/jwks.json"


@pytest.fixture
def tenant() -> LocalTenant:
    return make_legacy_tenant()


@pytest.fixture
def client(tenant: LocalTenant) -> Iterator[ServerClient]:
    """A client of the served tenant that has its keys already."""
    with tenant.serve() as server:
        client = server.client(secret=SESSION_SECRET, state_store=MemoryStateStore())
        log_in(client)
        yield client


def log_in(client: ServerClient) -> str:
    jar: dict[str, str] = {}
    return str(client.login_with_custom_token_exchange(LOGIN, {"cookies": jar}).user["sub"])


def key_requests(tenant: LocalTenant) -> int:
    return sum(request.path == JWKS for request in tenant.requests)


def test_logins_at_once_after_a_rotation_share_one_fetch(client: ServerClient, tenant: LocalTenant) -> None:
    """Sixteen logins that meet a new key while the keys are 100 ms away all succeed, by one request."""
    tenant.rotate_keys(keep_old=False)
    before = key_requests(tenant)
    tenant.fail_next(path=JWKS, delay=0.1)
    with ThreadPoolExecutor(16) as pool:
        assert ["auth0|ada"] * 16 == list(pool.map(log_in, [client] * 16))
    assert before + 1 == key_requests(tenant)


def test_strangers_do_not_use_up_what_logins_need(client: ServerClient, tenant: LocalTenant) -> None:
    """After logout tokens with made-up keys, which cost one request, logins go on through rotations."""
    before = key_requests(tenant)
    for _ in range(50):
        with pytest.raises(IdTokenError):
            client.handle_backchannel_logout(forged(tenant), {})
    assert before + 1 == key_requests(tenant)
    for _ in range(3):
        tenant.rotate_keys(keep_old=False)
        assert "auth0|ada" == log_in(client)


def forged(tenant: LocalTenant) -> str:
    """Return a logout token whose header names a key that the tenant does not have."""
    _, payload, signature = tenant.logout_token(sub="auth0|ada").split(".")
    made_up = b64url_encode(b'{"alg":"RS256","kid":"made-up","typ":"logout+jwt"}')
    return f"{made_up}.{payload}.{signature}"


def test_rotations_within_a_minute_lose_no_login(client: ServerClient, tenant: LocalTenant) -> None:
    """Each of several rotations is noticed by the login that meets it."""
    for _ in range(12):
        tenant.rotate_keys(keep_old=False)
        assert "auth0|ada" == log_in(client)


def test_fetches_are_bounded(client: ServerClient, tenant: LocalTenant) -> None:
    """Keys that rotate with every token do not make a client ask more than twenty times a minute."""
    before = key_requests(tenant)
    for _ in range(20):
        tenant.rotate_keys(keep_old=False)
        log_in(client)
    for _ in range(10):
        tenant.rotate_keys(keep_old=False)
        with pytest.raises(IdTokenError, match="keys are not available") as caught:
            log_in(client)
        assert "SIGNING_KEY_UNAVAILABLE" == caught.value.code
    assert 20 == key_requests(tenant) - before


def test_a_key_that_cannot_be_had_is_told_as_that(client: ServerClient, tenant: LocalTenant) -> None:
    """While the key set cannot be fetched, a login with a new key fails retryably, and nothing is said of the token."""
    tenant.rotate_keys(keep_old=False)
    tenant.fail_next(503, path=JWKS, times=3)
    with pytest.raises(IdTokenError) as caught:
        log_in(client)
    error: Any = caught.value
    assert ("SIGNING_KEY_UNAVAILABLE", True) == (error.code, error.is_retryable)
    assert "Do not use" not in error.hint
    assert "again" in error.hint
    assert "auth0|ada" == log_in(client)


def test_an_exchange_tells_it_beside_its_tokens(client: ServerClient, tenant: LocalTenant) -> None:
    """An exchange keeps its access token, and says by the same code why there are no claims."""
    tenant.rotate_keys(keep_old=False)
    tenant.fail_next(503, path=JWKS, times=3)
    response = client.custom_token_exchange({**LOGIN, "scope": "openid"})
    assert response.id_token_error is not None
    assert ("SIGNING_KEY_UNAVAILABLE", None) == (response.id_token_error.code, response.claims)


def test_a_cold_client_waits_for_no_refetch(tenant: LocalTenant) -> None:
    """Keys that were fetched for this very token are not fetched again when they lack its key."""
    client = tenant.client(secret=SESSION_SECRET, state_store=MemoryStateStore())
    tenant.fail_next(200, body={"keys": []}, path=JWKS)
    with pytest.raises(IdTokenError):
        log_in(client)
    assert 1 == key_requests(tenant)
