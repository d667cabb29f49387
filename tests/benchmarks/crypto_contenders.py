"""Who verifies ID tokens and seals sessions: without a network, with keys that are kept, and the same checks."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final

from attrs import field, frozen
from jwcrypto.common import base64url_encode
from jwcrypto.jwe import JWE
from jwcrypto.jwk import JWK, JWKSet
from jwcrypto.jwt import JWT

from auth0_cte import ServerClient
from auth0_cte.foundation.deadline import Deadline
from auth0_cte.jose import Sealer
from tests.benchmarks.by_hand import JWE_HEADER, AesCbcHmac, AesGcm, Signed, rsa_key, seal_key
from tests.benchmarks.contenders import CLIENT_ID, SCOPE, SUBJECT
from tests.benchmarks.measure import Contender

SECRET: Final = "3f9c1e7a5b2d4860c8e4f1a7932b6d05e8c1f4a2b7d9036e5c8a1f4b7d2e9063"
IDENTIFIER: Final = "_a0_session"
LEEWAY: Final = 30
ALGORITHMS: Final = ["RS256", "PS256", "ES256"]
REQUIRED: Final = ["iss", "aud", "exp", "iat", "sub"]

OUR_VERIFIER: Final = "auth0_cte IdTokenVerifier"
BARE_VERIFY: Final = "cryptography RSAPublicKey.verify, nothing else"
OUR_SEALER: Final = "auth0_cte Sealer"
GCM: Final = "JSON + cryptography AESGCM + base64url"
GCM_BYTES: Final = "JSON + cryptography AESGCM, bytes (for no cookie)"
IN_FORMAT: Final = "JSON + cryptography, A256CBC-HS512 by hand"
JWE_CLASS: Final = "jwcrypto jwe.JWE"
SEALERS: Final = (OUR_SEALER, GCM, GCM_BYTES, IN_FORMAT, JWE_CLASS)


@frozen
class IdToken:
    """An ID token that was issued to us.

    Args:
        token: The token.
        issuer: Who issued it.
        jwks: The issuer's key set, as JSON.
    """

    token: str = field(repr=False)
    issuer: str
    jwks: str = field(repr=False)


class JwcryptoJwt:
    """Verification of ID tokens as `jwcrypto.jwt.JWT` offers it, with the keys kept, and the checks that it leaves out.

    Args:
        jwks: The key set, as JSON.
        issuer: Who must have issued the tokens.
    """

    def __init__(self, jwks: str, issuer: str) -> None:
        self._keys = JWKSet.from_json(jwks)
        self._checks = {"iss": issuer, "aud": CLIENT_ID, "exp": None, "iat": None, "sub": None}

    def verify(self, token: str) -> dict[str, Any]:
        """Verify a token and return its claims."""
        jwt = JWT(algs=ALGORITHMS, check_claims=self._checks, expected_type="JWS")
        jwt.leeway = LEEWAY
        jwt.deserialize(token, self._keys)
        claims: dict[str, Any] = json.loads(jwt.claims)
        latest = time.time() + LEEWAY
        if claims["iat"] > latest or claims.get("nbf", 0) > latest or claims.get("azp", CLIENT_ID) != CLIENT_ID:
            raise ValueError("the ID token is not acceptable")
        return claims


class JwcryptoSealer:
    """Sealing as `jwcrypto.jwe.JWE` offers it, with the key kept."""

    def __init__(self) -> None:
        self._key = JWK(kty="oct", k=base64url_encode(seal_key(SECRET, IDENTIFIER)))

    def seal(self, content: Mapping[str, Any]) -> str:
        """Seal JSON."""
        # To the letter as auth0-server-python writes it: what reads it compares the header as it stands.
        jwe = JWE(json.dumps(content), protected=JWE_HEADER)
        jwe.add_recipient(self._key)
        return str(jwe.serialize(compact=True))

    def unseal(self, sealed: str) -> dict[str, Any]:
        """Open what `seal` made."""
        jwe = JWE(algs=["dir", "A256CBC-HS512"])
        jwe.deserialize(sealed, self._key)
        content: dict[str, Any] = json.loads(jwe.payload)
        return content


def _auth0_cte(given: IdToken, client: ServerClient) -> Callable[[], object]:
    verifier, deadline = client.authorization_server.verifier, Deadline(3600)
    issuer = client.authorization_server.discovery.issuer(given.issuer, deadline)
    return lambda: verifier.verify(given.token, issuer, deadline)


def _bare(given: IdToken, _client: ServerClient) -> Callable[[], object]:
    return Signed.parse(given.token, rsa_key(json.loads(given.jwks)["keys"][0])).verify


def _jwcrypto_jwt(given: IdToken, _client: ServerClient) -> Callable[[], object]:
    jwt = JwcryptoJwt(given.jwks, given.issuer)
    return lambda: jwt.verify(given.token)


def _pyjwt(given: IdToken, _client: ServerClient) -> Callable[[], object]:
    decode = import_module("jwt").decode
    key = rsa_key(json.loads(given.jwks)["keys"][0])
    checks = {"audience": CLIENT_ID, "issuer": given.issuer, "leeway": LEEWAY, "options": {"require": REQUIRED}}
    return lambda: decode(given.token, key, algorithms=ALGORITHMS, **checks)


def _joserfc(given: IdToken, _client: ServerClient) -> Callable[[], object]:
    jwk, jwt = import_module("joserfc.jwk"), import_module("joserfc.jwt")
    keys = jwk.KeySet.import_key_set(json.loads(given.jwks))
    essential = {name: {"essential": True} for name in REQUIRED}
    expected = {"iss": {"essential": True, "value": given.issuer}, "aud": {"essential": True, "value": CLIENT_ID}}
    registry = jwt.JWTClaimsRegistry(leeway=LEEWAY, **{**essential, **expected})

    def verify() -> object:
        token = jwt.decode(given.token, keys, algorithms=ALGORITHMS)
        registry.validate(token.claims)
        return token.claims

    return verify


_VERIFIERS: Final[dict[str, Callable[[IdToken, ServerClient], Callable[[], object]]]] = {
    OUR_VERIFIER: _auth0_cte,
    BARE_VERIFY: _bare,
    "jwcrypto jwt.JWT": _jwcrypto_jwt,
    "PyJWT decode": _pyjwt,
    "joserfc jwt.decode and validate": _joserfc,
}
VERIFIERS: Final = tuple(_VERIFIERS)


def open_verifiers(given: IdToken, client: ServerClient) -> list[Contender]:
    """Make the verifiers whose libraries are installed, and let each verify once.

    Args:
        given: What they verify.
        client: A client of ours that knows the issuer's keys already.
    """
    opened = []
    for name, make in _VERIFIERS.items():
        try:
            verify = make(given, client)
        except ModuleNotFoundError:
            continue
        verify()
        opened.append(Contender(name, _often(verify)))
    return opened


def sample_state(id_token: str, size: int) -> dict[str, Any]:
    """Make the state of a session whose compact JSON has so many bytes.

    Args:
        id_token: Its ID token.
        size: The bytes; the access token is as long as it takes.
    """
    token_set = {"audience": SUBJECT["audience"], "access_token": "", "scope": SCOPE, "expires_at": 1790000000}
    internal = {"sid": "s-8hY2kQ0vTn5LrX1cJm4Zw7Pd3Fb6Ga9", "created_at": 1789900000, "touched_at": 1789900000}
    user = {"sub": "auth0|64f1c2d3e4b5a69788990011", "name": "Ada Example", "email": "ada@example.com"}
    state: dict[str, Any] = {
        "user": {**user, "email_verified": True, "picture": "https://cdn.example.com/avatars/ad.png"},
        "id_token": id_token,
        "refresh_token": "v1.MfJ4pQ8sT1wXz5bN9mL2fHc6gRa8yUeKdVoBiC3nZ7x",
        "token_sets": [token_set],
        "domain": "tenant.auth0.com",
        "internal": {**internal, "default_audience": SUBJECT["audience"], "default_scope": SCOPE},
    }
    missing = size - len(json.dumps(state, separators=(",", ":")))
    token_set["access_token"] = ("aB3dE5fG7hK9mN1pQ2sT4vW6xY8z-_" * (missing // 30 + 1))[:missing]
    return state


def open_sealers(state: Mapping[str, Any]) -> list[Contender]:
    """Make the sealers, each of which seals and opens a state; see that it comes out as it went in.

    Args:
        state: What they seal.

    Raises:
        RuntimeError: Something else comes out.
    """
    ours, jwcrypto = Sealer([SECRET], IDENTIFIER), JwcryptoSealer()
    by_hand, gcm = AesCbcHmac(seal_key(SECRET, IDENTIFIER)), AesGcm(seal_key(SECRET, IDENTIFIER, 32))
    pairs: dict[str, tuple[Callable[[Mapping[str, Any]], Any], Callable[[Any], dict[str, Any]]]] = {
        OUR_SEALER: (ours.seal, ours.unseal),
        GCM: (gcm.seal, gcm.unseal),
        GCM_BYTES: (gcm.encrypt, gcm.decrypt),
        IN_FORMAT: (by_hand.seal, by_hand.unseal),
        JWE_CLASS: (jwcrypto.seal, jwcrypto.unseal),
    }
    for name, (seal, unseal) in pairs.items():
        if unseal(seal(state)) != state:
            raise RuntimeError(f"{name} does not return what it was given")
    return [Contender(name, _often(_round_trip(state, *pair))) for name, pair in pairs.items()]


def _round_trip(
    state: Mapping[str, Any], seal: Callable[[Mapping[str, Any]], Any], unseal: Callable[[Any], dict[str, Any]]
) -> Callable[[], object]:
    return lambda: unseal(seal(state))


def _often(work: Callable[[], object]) -> Callable[[int], object]:
    def run(calls: int) -> object:
        result: object = None
        for _ in range(calls):
            result = work()
        return result

    return run
