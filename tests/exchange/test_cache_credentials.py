"""Who shares exchanged tokens with whom, and for how long: by what is authenticated with, and by what was exchanged."""

from __future__ import annotations

import base64
import json
import logging
from pathlib import Path
from typing import Any

import pytest
import trustme

from auth0_cte import ClientSecretPost, ExchangeCache, MutualTls, PrivateKeyJwt
from auth0_cte.exchange.cache_key import credentials_of, end_of
from auth0_cte.jose import SigningKey
from auth0_cte.oauth.client_auth.base import PublicClient
from auth0_cte.testing import FakeClock, LocalTenant
from tests.exchanges import TYPE, make_tenant, options


@pytest.fixture
def tenant(clock: FakeClock) -> LocalTenant:
    tenant = make_tenant(clock=clock)

    @tenant.action(TYPE)
    def exchange(event: Any, api: Any) -> None:
        api.authentication.set_user_by_id("auth0|0")

    return tenant


@pytest.fixture
def cache() -> ExchangeCache:
    return ExchangeCache()


def certificate_of(name: str) -> bytes:
    """Make a certificate with its key."""
    return bytes(trustme.CA().issue_cert(name).private_key_and_cert_chain_pem.bytes())


def test_certificates_are_told_apart_by_what_is_in_them(tmp_path: Path) -> None:
    """Tokens may be bound to the certificate, so a renewed one does not get them, under the same path either."""
    file, same = tmp_path / "one.pem", tmp_path / "same.pem"
    file.write_bytes(certificate_of("one"))
    same.write_bytes(file.read_bytes())
    first = MutualTls(file)
    assert credentials_of(first) == credentials_of(MutualTls(same))
    file.write_bytes(certificate_of("two"))
    assert credentials_of(first) == credentials_of(MutualTls(same))
    assert credentials_of(first) != credentials_of(MutualTls(file))


def test_a_certificate_of_the_session_is_read_at_each_call(tmp_path: Path) -> None:
    """The one that an injected session presents counts beside any method, at its path or in another file."""
    file = tmp_path / "one.pem"
    names = []
    for name in ("one", "two"):
        file.write_bytes(certificate_of(name))
        names += [credentials_of(MutualTls(), str(file)), credentials_of(PublicClient(), (str(file), "key.pem"))]
    assert 4 == len({str(each) for each in names})
    assert None not in names


def test_keys_that_sign_are_told_apart() -> None:
    """Of two keys of an application one may be revoked; of functions that sign only the kid can be known."""
    own, other = (SigningKey.generate("ES256").jwk.export(as_dict=True) for _ in range(2))
    assert credentials_of(PrivateKeyJwt(own)) == credentials_of(PrivateKeyJwt(own))
    assert credentials_of(PrivateKeyJwt(own)) != credentials_of(PrivateKeyJwt(other))
    signers = [PrivateKeyJwt(lambda data: data, "RS256", kid) for kid in ("a", "a", "b", None, None)]
    assert 4 == len({str(credentials_of(each)) for each in signers})


class PerUser(ClientSecretPost):
    """Names the user to a gateway, in a header or a parameter."""

    user, where = "", ""

    def apply(self, client_id: str, issuer: Any, form: Any, headers: Any) -> None:
        super().apply(client_id, issuer, form, headers)
        if self.where == "header":
            headers["X-User"] = self.user
        else:
            form.append(("x_user", self.user))


@pytest.mark.parametrize("where", ["header", "parameter"])
def test_an_authentication_of_ones_own_shares_nothing(
    where: str, tenant: LocalTenant, cache: ExchangeCache, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever it adds for each user is not known before it is sent, so nothing is kept."""
    with caplog.at_level(logging.WARNING, "auth0_cte"):
        client = tenant.client(client_auth=PerUser(tenant.client_secret), exchange_cache=cache)
    assert "the exchange_cache is not used" in caplog.text
    tokens = set()
    for user in ("ada", "bob"):
        PerUser.user, PerUser.where = user, where
        tokens.add(client.custom_token_exchange(options()).access_token)
    assert (2, 0) == (len(tokens), len(cache))


def jwt_until(end: object, **more: object) -> str:
    """Make a subject token that tells when it expires, of whatever issuer."""
    parts = ({"alg": "none"}, {"sub": "auth0|0", "exp": end, **more})
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, "c2lnbmF0dXJl"])


def test_nothing_outlives_the_token_that_was_exchanged(
    tenant: LocalTenant, clock: FakeClock, cache: ExchangeCache
) -> None:
    """Who cannot exchange any more, because the token has expired, gets nothing that was exchanged for it."""
    client, token = tenant.client(exchange_cache=cache), jwt_until(clock() + 60)
    client.custom_token_exchange(options(token))
    clock.advance(59)
    assert client.custom_token_exchange(options(token)).from_cache
    clock.advance(1)
    assert not client.custom_token_exchange(options(token)).from_cache


def test_an_expired_actor_token_counts_likewise(tenant: LocalTenant, clock: FakeClock, cache: ExchangeCache) -> None:
    """The tokens name the actor, whose own token ends first."""
    client = tenant.client(exchange_cache=cache)
    actor = {"actor_token": jwt_until(clock() + 30), "actor_token_type": "urn:acme:agent"}
    given = options(jwt_until(clock() + 600), **actor)
    client.custom_token_exchange(given)
    assert client.custom_token_exchange(given).from_cache
    clock.advance(30)
    assert not client.custom_token_exchange(given).from_cache


@pytest.mark.parametrize("end", ["soon", None, True, [], -1, 10**400])
def test_an_end_that_cannot_be_read_bounds_nothing(end: object, clock: FakeClock) -> None:
    """A subject token may be anything; one that tells no time lasts as its Action says."""
    assert None is end_of(jwt_until(end), "opaque", "a.b.c", None)
    assert clock() == end_of(jwt_until(end), jwt_until(clock()), jwt_until(clock() + 1))
