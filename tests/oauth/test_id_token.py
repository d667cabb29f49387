from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
import responses

from auth0_cte import CustomTokenExchangeOptions, IdTokenError, RetryPolicy, ServerClient, TokenExchangeResponse
from auth0_cte.jose import SigningKey, b64url_encode
from tests.conftest import DOMAIN, ISSUER, TOKEN_ENDPOINT
from tests.exchanges import shown_by

NOW = 1_800_000_000
JWKS = f"{ISSUER}.well-known/jwks.json"
KEY = SigningKey.generate()
OTHER = SigningKey.generate()
OPTIONS = CustomTokenExchangeOptions(subject_token="t", subject_token_type="urn:acme:mcp-token")
CLAIMS: dict[str, Any] = {"iss": ISSUER, "sub": "auth0|1", "aud": "c", "iat": NOW, "exp": NOW + 3600}


class Issuer:
    """An issuer on the mocked wire: what its keys are, and how it answers."""

    def __init__(self, wire: responses.RequestsMock, new_client: type[ServerClient]) -> None:
        self.keys = [KEY]
        self.keys_requests = 0
        self.wire = wire
        self.new_client = new_client
        wire.add_callback("GET", JWKS, self._answer)

    def _answer(self, _request: object) -> tuple[int, dict[str, str], str]:
        self.keys_requests += 1
        return 200, {}, json.dumps({"keys": [key.public_jwk() for key in self.keys]})

    def exchange(self, id_token: str, **settings: Any) -> TokenExchangeResponse:
        self.wire.upsert("POST", TOKEN_ENDPOINT, json={"access_token": "the-access-token", "id_token": id_token})
        retry = RetryPolicy(sleep=lambda _: None)
        client = settings.pop("client", None) or self.new_client(
            DOMAIN, "c", "s" * 40, clock=lambda: NOW, retry=retry, **settings
        )
        response: TokenExchangeResponse = client.custom_token_exchange(OPTIONS)
        return response


@pytest.fixture
def issuer(wire: responses.RequestsMock, new_client: type[ServerClient]) -> Iterator[Issuer]:
    return Issuer(wire, new_client)  # type: ignore[return-value]


def claims(**changes: Any) -> dict[str, Any]:
    """The good claims with some changed, or taken out with None."""
    return {name: value for name, value in (CLAIMS | changes).items() if value is not None}


def test_a_good_token_gives_its_claims(issuer: Issuer) -> None:
    """The claims of a verified ID token are on the response; nothing is said of the unsigned body's."""
    response = issuer.exchange(KEY.sign(claims(email="a@example.com")))
    assert claims(email="a@example.com") == response.claims
    assert (None, None) == (response.act, response.id_token_error)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no-iss": ({"iss": None}, "iss"),
    "other-iss": ({"iss": "https://other.auth0.com/"}, "iss"),
    "iss-without-slash": ({"iss": ISSUER[:-1]}, "iss"),
    "iss-upper-case": ({"iss": ISSUER.upper()}, "iss"),
    "iss-http": ({"iss": ISSUER.replace("https", "http")}, "iss"),
    "iss-list": ({"iss": [ISSUER]}, "iss"),
    "no-aud": ({"aud": None}, "aud"),
    "other-aud": ({"aud": "d"}, "aud"),
    "aud-list-without-us": ({"aud": ["d", "e"]}, "aud"),
    "aud-with-number": ({"aud": ["c", 1], "azp": "c"}, "aud"),
    "aud-object": ({"aud": {"c": 1}}, "aud"),
    "aud-prefix": ({"aud": "cc"}, "aud"),
    "two-auds-no-azp": ({"aud": ["c", "d"]}, "azp"),
    "two-auds-other-azp": ({"aud": ["c", "d"], "azp": "d"}, "azp"),
    "other-azp": ({"azp": "d"}, "azp"),
    "azp-list": ({"azp": ["c"]}, "azp"),
    "no-sub": ({"sub": None}, "sub"),
    "empty-sub": ({"sub": ""}, "sub"),
    "number-sub": ({"sub": 5}, "sub"),
    "long-sub": ({"sub": "x" * 256}, "sub"),
    "no-exp": ({"exp": None}, "exp"),
    "expired": ({"exp": NOW - 30}, "exp"),
    "text-exp": ({"exp": str(NOW + 60)}, "exp"),
    "bool-exp": ({"exp": True}, "exp"),
    "list-exp": ({"exp": [NOW + 60]}, "exp"),
    "no-iat": ({"iat": None}, "iat"),
    "future-iat": ({"iat": NOW + 31}, "iat"),
    "text-iat": ({"iat": "now"}, "iat"),
    "future-nbf": ({"nbf": NOW + 31}, "nbf"),
    "text-nbf": ({"nbf": "x"}, "nbf"),
    "wrong-at-hash": ({"at_hash": "x"}, "at_hash"),
    "number-at-hash": ({"at_hash": 1}, "at_hash"),
    "text-act": ({"act": "agent"}, "act"),
    "list-act": ({"act": [{"sub": "agent"}]}, "act"),
    "act-without-sub": ({"act": {}}, "act"),
    "act-with-empty-sub": ({"act": {"sub": ""}}, "act"),
    "act-with-number-sub": ({"act": {"sub": 1}}, "act"),
    "inner-act-without-sub": ({"act": {"sub": "a", "act": {"x": 1}}}, "act"),
}


@pytest.mark.parametrize(("changes", "claim"), BAD.values(), ids=BAD.keys())
def test_a_bad_claim_is_named_and_the_exchange_goes_on(changes: dict[str, Any], claim: str, issuer: Issuer) -> None:
    """A claim that is not right leaves no claims and no actor, and says which; the access token is there."""
    response = issuer.exchange(KEY.sign(claims(**changes)))
    assert "the-access-token" == response.access_token
    assert (None, None) == (response.claims, response.act)
    assert isinstance(response.id_token_error, IdTokenError)
    assert claim == response.id_token_error.claim
    assert response.id_token_error.__traceback__ is None


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ["c"]},
        {"aud": ["c", "d"], "azp": "c"},
        {"azp": "c"},
        {"exp": NOW - 29},
        {"iat": NOW + 30},
        {"nbf": NOW},
        {"nbf": NOW + 30},
        {"exp": NOW + 0.5},
        {"sub": "x" * 255},
        {"nonce": "whatever"},
        {"at_hash": b64url_encode(hashlib.sha256(b"the-access-token").digest()[:16])},
    ],
)
def test_what_the_specification_allows_passes(changes: dict[str, Any], issuer: Issuer) -> None:
    """Audience lists with us as authorized party, thirty seconds of skew and a right hash are fine."""
    assert claims(**changes) == issuer.exchange(KEY.sign(claims(**changes))).claims


@pytest.mark.parametrize("typ", ["at+jwt", "logout+jwt", "dpop+jwt", "application/at+jwt", "", 5])
def test_another_kind_of_token_is_no_id_token(typ: Any, issuer: Issuer) -> None:
    """An access, logout or proof token with right claims does not pass as an ID token."""
    response = issuer.exchange(KEY.sign(claims(), header={"typ": typ}))
    assert response.id_token_error is not None
    assert "typ" == response.id_token_error.claim


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "HS256", "RS512", "EdDSA"])
def test_an_algorithm_that_is_not_listed_is_refused_before_any_key_is_fetched(alg: str, issuer: Issuer) -> None:
    """The allow-list stands before everything else."""
    header = b64url_encode(json.dumps({"alg": alg, "typ": "JWT"}).encode())
    token = f"{header}.{b64url_encode(json.dumps(claims()).encode())}."
    response = issuer.exchange(token)
    assert response.id_token_error is not None
    assert "alg" == response.id_token_error.claim
    assert 0 == issuer.keys_requests


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256"])
def test_the_usual_algorithms_pass(alg: str, issuer: Issuer) -> None:
    """RS256, PS256 and ES256 are accepted without any setting."""
    key = SigningKey.generate(alg)
    issuer.keys = [key]
    assert claims() == issuer.exchange(key.sign(claims())).claims


def test_hs256_is_for_those_who_ask(issuer: Issuer) -> None:
    """A token signed with the client secret passes when HS256 is listed, and no public key serves as its secret."""
    from jwcrypto.jwk import JWK

    def sign(secret: bytes) -> str:
        return SigningKey(JWK(kty="oct", k=b64url_encode(secret)), "HS256").sign(claims())

    assert claims() == issuer.exchange(sign(b"s" * 40), id_token_algorithms=["HS256"]).claims
    public = KEY.jwk.export_to_pem()
    both = ["HS256", "RS256"]
    assert issuer.exchange(sign(public), id_token_algorithms=both).claims is None
    assert issuer.exchange(sign(b"s" * 40)).claims is None


def test_a_forged_signature_is_refused(issuer: Issuer) -> None:
    """A token signed by another key under the issuer's kid gives nothing."""
    forged = SigningKey(OTHER.jwk, "RS256", KEY.kid).sign(claims())
    assert issuer.exchange(forged).claims is None


def test_a_rotated_key_is_found(issuer: Issuer, new_client: type[ServerClient]) -> None:
    """A token of a key that is newer than the cached set succeeds, with one more request."""
    client = new_client(DOMAIN, "c", "s", clock=lambda: NOW)
    assert issuer.exchange(KEY.sign(claims()), client=client).claims
    issuer.keys = [OTHER]
    assert issuer.exchange(OTHER.sign(claims()), client=client).claims
    assert issuer.exchange(OTHER.sign(claims()), client=client).claims
    assert 2 == issuer.keys_requests


def test_a_key_replaced_under_its_kid_is_found(issuer: Issuer, new_client: type[ServerClient]) -> None:
    """When the kid is known and the signature is not, the set is fetched anew once."""
    client = new_client(DOMAIN, "c", "s", clock=lambda: NOW)
    assert issuer.exchange(KEY.sign(claims()), client=client).claims
    replaced = SigningKey(OTHER.jwk, "RS256", KEY.kid)
    issuer.keys = [replaced]
    assert issuer.exchange(replaced.sign(claims()), client=client).claims


def test_random_kids_cause_twenty_requests_a_minute(issuer: Issuer, new_client: type[ServerClient]) -> None:
    """A flood of tokens with made-up kids is answered from memory."""
    client = new_client(DOMAIN, "c", "s", clock=lambda: NOW)
    for number in range(50):
        token = SigningKey(OTHER.jwk, "RS256", f"kid-{number}").sign(claims())
        assert issuer.exchange(token, client=client).claims is None
    assert 21 == issuer.keys_requests


def test_missing_keys_are_said(wire: responses.RequestsMock, new_client: type[ServerClient]) -> None:
    """When the keys cannot be had, the exchange succeeds and the error says why there are no claims."""
    wire.get(JWKS, status=500)
    wire.post(TOKEN_ENDPOINT, json={"access_token": "a", "id_token": KEY.sign(claims())})
    client = new_client(DOMAIN, "c", "s", clock=lambda: NOW, retry=RetryPolicy(sleep=lambda _: None))
    response = client.custom_token_exchange(OPTIONS)
    assert response.claims is None
    assert response.id_token_error is not None
    assert "JWKS_UNAVAILABLE" == response.id_token_error.code
    assert response.id_token_error.__cause__ is not None


def test_the_error_about_missing_keys_does_not_hold_the_token(
    wire: responses.RequestsMock, new_client: type[ServerClient]
) -> None:
    """Not even the variables of its frames, or those of its causes, show the ID token that could not be verified."""
    wire.get(JWKS, status=500)
    id_token = KEY.sign(claims())
    wire.post(TOKEN_ENDPOINT, json={"access_token": "a", "id_token": id_token})
    client = new_client(DOMAIN, "c", "s", clock=lambda: NOW, retry=RetryPolicy(sleep=lambda _: None))
    error = client.custom_token_exchange(OPTIONS).id_token_error
    assert error is not None
    assert error.__cause__ is not None
    shown = shown_by(error)
    assert "500" in shown
    assert id_token.rpartition(".")[0] not in shown


@pytest.mark.parametrize(("leeway", "exp", "accepted"), [(60, 59, True), (60, 60, False), (0, -1, True), (0, 0, False)])
def test_the_leeway_is_settable(leeway: int, exp: int, accepted: bool, issuer: Issuer) -> None:
    """A token is accepted for just that long after its end."""
    response = issuer.exchange(KEY.sign(claims(exp=NOW - exp)), leeway=leeway)
    assert accepted is (response.claims is not None)


def test_the_chain_of_actors_is_typed(issuer: Issuer) -> None:
    """Act is an object with attributes, a mapping, and the chain behind it; five levels are the most."""
    act = {"sub": "agent", "email": "a@example.com", "act": {"sub": "manager"}}
    actor = issuer.exchange(KEY.sign(claims(act=act))).act
    assert actor is not None
    assert act == actor
    assert ("agent", "a@example.com", {"sub": "manager"}) == (actor.sub, actor["email"], actor["act"])
    assert actor.act is not None
    assert ("manager", None) == (actor.act.sub, actor.act.act)
    assert "a@example.com" not in repr(actor)


@pytest.mark.parametrize(("levels", "accepted"), [(5, True), (6, False), (90, False)])
def test_five_actors_are_the_most(levels: int, accepted: bool, issuer: Issuer) -> None:
    """A longer chain than Auth0 can issue is refused."""
    act: dict[str, Any] = {"sub": "first"}
    for number in range(levels - 1):
        act = {"sub": f"a{number}", "act": act}
    response = issuer.exchange(KEY.sign(claims(act=act)))
    assert accepted is (response.act is not None)
    assert accepted is (response.id_token_error is None)


def test_the_unsigned_body_says_nothing(wire: responses.RequestsMock, new_client: type[ServerClient]) -> None:
    """Act and claims beside the tokens in the reply are kept as extras and believed by nobody."""
    body = {"access_token": "a", "act": {"sub": "mallory"}, "claims": {"sub": "mallory"}}
    wire.post(TOKEN_ENDPOINT, json=body)
    response = new_client(DOMAIN, "c", "s").custom_token_exchange(OPTIONS)
    assert (None, None) == (response.act, response.claims)
    assert {"sub": "mallory"} == response.extra["act"]


def test_an_oversize_token_is_refused(issuer: Issuer) -> None:
    """More than 64 KiB are not looked at."""
    response = issuer.exchange(KEY.sign(claims(padding=base64.b64encode(bytes(60_000)).decode())))
    assert response.claims is None
