"""The local tenant behind a requests session, without a socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests
import urllib3

from auth0_cte.testing import LocalTenant
from tests.testing.test_exchange import TYPE

if TYPE_CHECKING:
    from collections.abc import Iterator

JWKS = "https://acme.auth0.local/.well-known/jwks.json"


@pytest.fixture
def tenant() -> LocalTenant:
    made = LocalTenant()
    made.accept(TYPE, "auth0|jane")
    return made


@pytest.fixture
def session(tenant: LocalTenant) -> Iterator[requests.Session]:
    with tenant.session() as made:
        yield made


def test_raw_can_be_read_in_parts(session: requests.Session) -> None:
    """The raw response reads as urllib3's does, part by part and undecoded."""
    response = session.get(JWKS, stream=True)
    parts = [response.raw.read(10, decode_content=False), response.raw.read(100_000, decode_content=False)]

    assert (10, b'{"keys": [') == (len(parts[0]), parts[0])
    assert int(response.headers["Content-Length"]) == sum(map(len, parts))
    response.close()


def test_response_is_complete(session: requests.Session) -> None:
    """URL, reason, encoding and request are what requests would have set."""
    response = session.get(JWKS)

    assert (JWKS, "OK", True) == (response.url, response.reason, response.ok)
    assert ("utf-8", "GET") == (response.encoding, response.request.method)


def test_session_mounts_the_domain_alone(session: requests.Session, tenant: LocalTenant) -> None:
    """Other hosts go elsewhere; the environment's proxies and .netrc are not looked at."""
    adapter = session.get_adapter("https://acme.auth0.local/oauth/token")

    assert type(tenant.adapter()) is type(adapter)
    assert type(adapter) is not type(session.get_adapter("https://other.example/"))
    assert not session.trust_env


def test_adapter_answers_for_any_host(tenant: LocalTenant) -> None:
    """Mounted elsewhere, the adapter is the tenant under that name."""
    with requests.Session() as session:
        session.mount("https://login.acme.example", tenant.adapter())
        metadata = session.get("https://login.acme.example/.well-known/openid-configuration").json()

    assert "https://login.acme.example/" == metadata["issuer"]


def test_urllib3_timeouts_are_understood(tenant: LocalTenant) -> None:
    """Time-outs can be urllib3's, as other adapters take them."""
    tenant.fail_next(delay=30, path="/.well-known/jwks.json")
    request = requests.Request("GET", JWKS).prepare()

    with pytest.raises(requests.ReadTimeout):
        tenant.adapter().send(request, timeout=urllib3.Timeout(connect=1, read=0.001))


@pytest.mark.parametrize("body", ["a=b", b"a=b", [b"a=", b"b"]])
def test_bodies_of_any_kind(tenant: LocalTenant, session: requests.Session, body: str | bytes | list[bytes]) -> None:
    """Text, bytes and parts of bytes arrive alike."""
    session.post(f"{tenant.issuer}oauth/token", data=iter(body) if isinstance(body, list) else body)

    assert ("a=b", {"a": "b"}) == (tenant.requests[-1].body, tenant.requests[-1].form)


def test_client_in_process(tenant: LocalTenant) -> None:
    """The client exchanges, verifies the ID token with the tenant's keys, and opens no socket."""
    with tenant.client() as client:
        response = client.custom_token_exchange(
            {"subject_token": "the-token", "subject_token_type": TYPE, "scope": "openid"}
        )

    assert response.claims is not None
    assert "auth0|jane" == response.claims["sub"]
