from __future__ import annotations

import base64
import json
from typing import Any

import joserfc.jwk
import joserfc.jwt
import pytest
from jwcrypto.jwk import JWK

from auth0_cte.jose import (
    JoseError,
    Jws,
    KeySet,
    NoKeyError,
    SigningKey,
    VerificationKey,
    b64url_decode,
    b64url_encode,
)

ALGORITHMS = ["RS256", "RS384", "PS256", "ES256", "EdDSA"]
KEY = SigningKey.generate()
OTHER = SigningKey.generate()
CLAIMS = {"sub": "user", "n": 1}


def verify(token: str, *keys: SigningKey) -> dict[str, Any]:
    jws = Jws.parse(token)
    return jws.verify(KeySet.from_jwks({"keys": [key.public_jwk() for key in keys]}).select(jws.header))


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_what_is_signed_verifies(alg: str) -> None:
    """A token that a key signed verifies with its public half."""
    key = SigningKey.generate(alg)
    assert CLAIMS == verify(key.sign(CLAIMS), key)


@pytest.mark.parametrize("alg", ALGORITHMS[:-1])  # joserfc warns of the name EdDSA
def test_another_implementation_agrees(alg: str) -> None:
    """Joserfc verifies what we sign, and we what it signs."""
    key = SigningKey.generate(alg)
    private = joserfc.jwk.import_key(json.loads(key.jwk.export_private()))
    assert CLAIMS == joserfc.jwt.decode(key.sign(CLAIMS), private, algorithms=[alg]).claims
    theirs = joserfc.jwt.encode({"alg": alg, "kid": key.kid}, CLAIMS, private, algorithms=[alg])
    assert CLAIMS == verify(theirs, key)


def test_a_changed_bit_does_not_verify() -> None:
    """No bit of header, payload or signature can change."""
    token = KEY.sign(CLAIMS)
    for index in range(0, len(token), 7):
        if token[index] == ".":
            continue
        changed = token[:index] + ("A" if token[index] != "A" else "B") + token[index + 1 :]
        with pytest.raises(JoseError):
            verify(changed, KEY)


def _join(header: object, payload: bytes = b"{}", signature: bytes = b"x") -> str:
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    return ".".join(map(b64url_encode, (head, payload, signature)))


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a",
        "a.b",
        "a.b.c.d",
        "a.b.c.d.e",
        ".." + "x" * 65536,
        _join({"alg": "RS256"}) + "=",
        " " + _join({"alg": "RS256"}),
        _join({"alg": "RS256"}) + "\n",
        _join({"alg": "RS256"}).replace(".", " .", 1),
        _join(b"[]"),
        _join(b"not json"),
        _join(b'{"alg":"RS256","alg":"none"}'),
        _join({"alg": 5}),
        _join({"alg": "RS256", "kid": 1}),
        _join({"alg": "RS256", "crit": ["b64"], "b64": False}),
        _join({"alg": "RS256", "crit": ["exp"], "exp": 1}),
        _join({"alg": "RS256", "crit": []}),
        _join({"alg": "RS256", "b64": False}),
        _join({"alg": "RS256", "b64": True}),
        _join({"alg": "RS256", "zip": "DEF"}),
        _join({"alg": "RS256", "jku": "https://evil.example"}),
        _join({"alg": "RS256", "jwk": {}}),
        _join({"alg": "RS256", "x5u": "https://evil.example"}),
        _join({"alg": "RS256", "x5c": []}),
        json.dumps({"payload": "e30", "protected": "e30", "signature": "e30"}),
    ],
)
def test_the_gate_refuses_what_is_no_strict_compact_jws(token: str) -> None:
    """Other serializations, padding, white space and dangerous headers do not pass."""
    with pytest.raises(JoseError):
        Jws.parse(token)


@pytest.mark.parametrize(("length", "accepted"), [(64 * 1024, True), (64 * 1024 + 1, False)])
def test_the_longest_token_has_64_kibi_characters(length: int, accepted: bool) -> None:
    """A good token of just that length passes, one of a character more does not."""
    rest = length - len(_join({"alg": "RS256"}, b"", b"x"))
    # Base64 has no text of every length; a parameter of the header makes up for it.
    lengthened = (_join({"alg": "RS256", "x": "y" * more}, b" " * (rest * 3 // 4 - 40)) for more in range(120))
    token = next(each for each in lengthened if length == len(each))
    if accepted:
        assert "RS256" == Jws.parse(token).header["alg"]
        return
    with pytest.raises(JoseError, match="64 KiB"):
        Jws.parse(token)


@pytest.mark.parametrize("text", ["A", "AB", "QQ==", "QR", "Q+", "Q/", "é", "A A", "QU\nJD", "QUJD!!!!", "Q U J D"])
def test_only_canonical_base64url_decodes(text: str) -> None:
    """There is one spelling of any bytes."""
    with pytest.raises(JoseError):
        b64url_decode(text)


@pytest.mark.parametrize("alg", ["none", "None", "HS256", "RS512", "ES384", "", "PS256", "ES256"])
def test_a_key_verifies_its_own_algorithm_alone(alg: str) -> None:
    """Neither none, nor HMAC with a public key, nor another algorithm of the same key type passes."""
    token = _join({"alg": alg, "kid": KEY.kid})
    with pytest.raises(NoKeyError):
        verify(token, KEY)


def _public(**changes: object) -> dict[str, Any]:
    return {**KEY.public_jwk(), **changes}


def _weak() -> dict[str, Any]:
    weak: dict[str, Any] = JWK.generate(kty="RSA", size=1024).export_public(as_dict=True)
    return weak


@pytest.mark.parametrize(
    "member",
    [
        {},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": "RSA"},
        {"kty": "RSA", "n": 5, "e": "AQAB"},
        {"kty": "RSA", "n": "!!", "e": "AQAB"},
        {"kty": ["RSA"]},
        _weak(),
        json.loads(KEY.jwk.export_private()),
        _public(use="enc"),
        _public(key_ops=["sign"]),
        _public(key_ops="verify"),
        _public(kid=5),
        _public(alg="ES256"),
        _public(alg="RS512"),
        _public(alg=1),
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
    ],
)
def test_an_unusable_key_is_refused_and_hides_no_other(member: dict[str, Any]) -> None:
    """Private, symmetric, weak, malformed and misplaced keys are left out; good ones beside them stay."""
    with pytest.raises(JoseError):
        VerificationKey.from_jwk(member)
    keys = KeySet.from_jwks({"keys": [member, "no key", OTHER.public_jwk()]})
    assert [OTHER.kid] == [key.kid for key in keys.keys]


@pytest.mark.parametrize(("bits", "accepted"), [(2047, False), (2048, True), (8192, True), (8193, False)])
def test_rsa_keys_have_2048_to_8192_bits(bits: int, accepted: bool) -> None:
    """A shorter key can be broken, a longer one takes the server's time."""
    modulus = (1 << (bits - 1)) + 1
    member = {"kty": "RSA", "e": "AQAB", "n": b64url_encode(modulus.to_bytes((bits + 7) // 8, "big"))}
    if accepted:
        assert "RSA" == VerificationKey.from_jwk(member).kty
        return
    with pytest.raises(JoseError, match=f"{bits} bits"):
        VerificationKey.from_jwk(member)


@pytest.mark.parametrize("private", ["d", "k"])
def test_a_published_key_has_no_private_part(private: str) -> None:
    """Whatever else is right with it, a key that everybody could sign with is not used."""
    with pytest.raises(JoseError, match="private"):
        VerificationKey.from_jwk(_public(**{private: "AQAB"}))


def test_a_key_set_needs_its_list() -> None:
    """A document without a list of keys is no key set."""
    with pytest.raises(JoseError):
        KeySet.from_jwks({"keys": {}})


def test_exactly_one_key_may_fit() -> None:
    """Two keys with one kid are refused; without a kid one usable key is enough, and two are too many."""
    twin = SigningKey(OTHER.jwk, "RS256", KEY.kid)
    token = KEY.sign(CLAIMS)
    with pytest.raises(JoseError, match="several"):
        verify(token, KEY, twin)
    anonymous = SigningKey(KEY.jwk, "RS256").sign(CLAIMS)
    assert CLAIMS == verify(anonymous, KEY)
    with pytest.raises(JoseError, match="several"):
        verify(anonymous, KEY, OTHER)


def test_an_unknown_key_is_told_apart() -> None:
    """A token of a key that is not in the set is a NoKeyError, which asks for a newer set."""
    with pytest.raises(NoKeyError):
        verify(OTHER.sign(CLAIMS), KEY)


def test_an_overlong_es256_signature_is_refused() -> None:
    """An ECDSA signature has exactly 64 bytes."""
    key = SigningKey.generate("ES256")
    head, payload, signature = key.sign(CLAIMS).split(".")
    raw = b64url_decode(signature)
    padded = b64url_encode(b"\0" + raw[:32] + b"\0" + raw[32:])
    with pytest.raises(JoseError, match="length"):
        verify(f"{head}.{payload}.{padded}", key)


@pytest.mark.parametrize("payload", [b"[]", b"x", b'{"a":1,"a":2}', b'{"a":NaN}', b"\xff"])
def test_the_payload_is_strict_json(payload: bytes) -> None:
    """A signed payload that is no clean JSON object is refused."""
    from jwcrypto.jws import JWS

    signed = JWS(payload)
    signed.add_signature(KEY.jwk, protected=json.dumps({"alg": "RS256", "kid": KEY.kid}))
    with pytest.raises(JoseError, match="payload"):
        verify(signed.serialize(compact=True), KEY)


def test_a_secret_verifies_hs256() -> None:
    """A client secret verifies HS256, and nothing else."""
    secret = "s" * 40
    key = VerificationKey.from_secret(secret)
    theirs = joserfc.jwt.encode({"alg": "HS256"}, CLAIMS, joserfc.jwk.OctKey.import_key(secret))
    jws = Jws.parse(theirs)
    assert CLAIMS == jws.verify(key)
    assert key.misfit("RS256") is not None


def test_keys_are_silent() -> None:
    """The repr of a key, a token or a set shows no key material."""
    private = json.loads(KEY.jwk.export_private())
    shown = repr(KEY) + repr(KeySet.from_jwks({"keys": [KEY.public_jwk()]})) + repr(Jws.parse(KEY.sign(CLAIMS)))
    assert private["d"] not in shown
    assert private["n"] not in shown


def test_thumbprints_follow_the_rfc() -> None:
    """The thumbprint of RFC 7638 section 3.1's key is the one printed there."""
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3o"
        "knjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZH"
        "zu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEg"
        "U8awapJzKnqDKgw"
    )
    key = SigningKey(JWK(kty="RSA", n=modulus, e="AQAB"), "RS256")
    assert "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" == key.thumbprint()


def test_base64url_round_trips() -> None:
    """What is encoded decodes, and agrees with the standard library."""
    for length in range(50):
        data = bytes(range(length))
        assert data == b64url_decode(b64url_encode(data))
        assert base64.urlsafe_b64encode(data).rstrip(b"=").decode() == b64url_encode(data)
