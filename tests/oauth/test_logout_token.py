"""Logout tokens, signed as they should be, with exactly one fault each: what is accepted, and for how long."""

from __future__ import annotations

from typing import Any

import pytest
import responses

from auth0_cte import IdTokenError, MemoryStateStore, ServerClient
from auth0_cte.jose import SigningKey
from auth0_cte.testing import FakeClock
from tests.conftest import DOMAIN, ISSUER

KEY = SigningKey.generate()
NOW = 1_800_000_000
EVENTS: dict[str, Any] = {"http://schemas.openid.net/event/backchannel-logout": {}}
CLAIMS: dict[str, Any] = {"iss": ISSUER, "sub": "auth0|1", "aud": "c", "iat": NOW, "jti": "j", "events": EVENTS}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def client(wire: responses.RequestsMock, new_client: type[ServerClient], clock: FakeClock) -> ServerClient:
    wire.get(f"{ISSUER}.well-known/jwks.json", json={"keys": [KEY.public_jwk()]})
    return new_client(DOMAIN, "c", "s" * 40, secret="x" * 40, state_store=MemoryStateStore(), clock=clock)


def token(typ: str | None = "logout+jwt", **changes: Any) -> str:
    return KEY.sign(CLAIMS | changes, header={} if typ is None else {"typ": typ})


@pytest.mark.parametrize("typ", ["logout+jwt", "LOGOUT+JWT", "JWT", None])
def test_a_logout_token_may_say_its_type(typ: str | None, client: ServerClient) -> None:
    """Its own type, the general one and none at all are accepted, in any case of letters."""
    assert 0 == client.handle_backchannel_logout(token(typ))


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "dpop+jwt", "id+jwt", "application/logout+jwt", ""])
def test_a_token_of_another_type_ends_nothing(typ: str, client: ServerClient) -> None:
    """An access token is no logout token, whatever its claims are."""
    with pytest.raises(IdTokenError) as caught:
        client.handle_backchannel_logout(token(typ))
    assert "typ" == caught.value.claim


@pytest.mark.parametrize(
    ("changes", "claim"),
    [
        ({"exp": NOW - 29}, None),
        ({"exp": NOW - 30}, "exp"),
        ({"iat": NOW + 30}, None),
        ({"iat": NOW + 31}, "iat"),
        ({"iat": NOW - 3599}, None),
        ({"iat": NOW - 3600}, "iat"),
        ({"iat": NOW - 3601, "exp": NOW + 60}, "iat"),
        ({"sid": "a-session"}, None),
        ({"sid": ""}, "sid"),
        ({"jti": ""}, "jti"),
        ({"nonce": None}, "nonce"),
    ],
)
def test_times_and_names_have_their_bounds(changes: dict[str, Any], claim: str | None, client: ServerClient) -> None:
    """Thirty seconds of leeway, an hour of age, and names that are not empty: each bound holds on both sides."""
    if claim is None:
        assert 0 == client.handle_backchannel_logout(token(**changes))
        return
    with pytest.raises(IdTokenError) as caught:
        client.handle_backchannel_logout(token(**changes))
    assert claim == caught.value.claim


def test_a_token_is_remembered_for_longer_than_it_is_accepted(client: ServerClient, clock: FakeClock) -> None:
    """The newest token that there can be is a replay to the last second of its life, and too old afterwards."""
    newest = token(iat=NOW + 30)
    assert 0 == client.handle_backchannel_logout(newest)
    clock.set(NOW + 30 + 3599)
    with pytest.raises(IdTokenError) as caught:
        client.handle_backchannel_logout(newest)
    assert "REPLAYED_LOGOUT_TOKEN" == caught.value.code
    clock.set(NOW + 30 + 3600)
    with pytest.raises(IdTokenError) as caught:
        client.handle_backchannel_logout(newest)
    assert "iat" == caught.value.claim


def test_another_token_with_the_same_claims_counts(client: ServerClient) -> None:
    """It is the ``jti`` that makes a replay."""
    assert 0 == client.handle_backchannel_logout(token())
    assert 0 == client.handle_backchannel_logout(token(jti="another"))
    with pytest.raises(IdTokenError):
        client.handle_backchannel_logout(token(sid="another"))
