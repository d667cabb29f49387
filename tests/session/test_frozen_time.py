"""Tools that freeze time: what they say is the time of sessions, tokens and assertions, without any ``clock=``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import freezegun
import pytest
import time_machine

from auth0_cte import DPoPKey, MemoryStateStore, PrivateKeyJwt
from auth0_cte.jose import SigningKey
from auth0_cte.testing import LocalTenant
from tests.proofs import read

TYPE = "urn:acme:legacy-token"
SECRET = "a-secret-of-more-than-thirty-two-bytes"
START = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)

Freeze = Callable[[datetime], AbstractContextManager[Any]]
FREEZERS: dict[str, Freeze] = {
    "freezegun": lambda moment: freezegun.freeze_time(moment),
    "time_machine": lambda moment: time_machine.travel(moment, tick=False),
}


@pytest.fixture(params=FREEZERS)
def freeze(request: pytest.FixtureRequest) -> Freeze:
    return FREEZERS[request.param]


@pytest.mark.parametrize("store", [None, MemoryStateStore], ids=["cookie", "memory"])
def test_frozen_time_ends_sessions(store: Any, freeze: Freeze) -> None:
    """A session lives as long as the frozen clock says, although client and store were made before."""
    tenant = LocalTenant()
    tenant.add_user("auth0|ada")
    tenant.accept(TYPE, "auth0|ada")
    client = tenant.client(secret=SECRET, state_store=None if store is None else store())
    jar: dict[str, str] = {}
    with freeze(START):
        client.login_with_custom_token_exchange({"subject_token": "x", "subject_token_type": TYPE}, {"cookies": jar})
        assert client.get_user({"cookies": dict(jar)}) is not None
    with freeze(START + timedelta(days=2)):
        assert client.get_user({"cookies": dict(jar)}) is not None or store is None
    with freeze(START + timedelta(days=30)):
        assert client.get_user({"cookies": dict(jar)}) is None


def test_proofs_are_of_the_frozen_time(freeze: Freeze) -> None:
    """A DPoP key made before signs by the frozen clock."""
    key = DPoPKey.generate()
    with freeze(START):
        proof = key.proof("GET", "https://api.example.com/")
    assert int(START.timestamp()) == read(proof)[1]["iat"]


def test_assertions_are_of_the_frozen_time(freeze: Freeze) -> None:
    """A client assertion of a key made before is signed by the frozen clock."""
    tenant = LocalTenant()
    tenant.add_user("auth0|ada")
    tenant.accept(TYPE, "auth0|ada")
    key = SigningKey.generate()
    pem = key.jwk.export_to_pem(private_key=True, password=None).decode()
    tenant.add_application("jwt", auth_method="private_key_jwt", public_keys=[key.public_jwk()])
    client = tenant.client(client_id="jwt", client_secret=None, client_auth=PrivateKeyJwt(pem, "RS256"))
    with freeze(START):
        assert client.custom_token_exchange({"subject_token": "x", "subject_token_type": TYPE}).access_token
