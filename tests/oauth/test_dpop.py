"""DPoP keys, their proofs, and the nonces that servers give."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import pickle
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import joserfc.jwk
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from jwcrypto.jwk import JWK

from auth0_cte import ConfigurationError, DPoPKey, DPoPNonceStore
from tests.proofs import read

ALGORITHMS = ["ES256", "EdDSA", "RS256"]
URL = "https://tenant.auth0.com/oauth/token"
MEMBERS = {"ES256": {"kty", "crv", "x", "y"}, "EdDSA": {"kty", "crv", "x"}, "RS256": {"kty", "n", "e"}}
PRIVATE: dict[str, Any] = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    "RS256": rsa.generate_private_key(65537, 2048),
}
# RFC 8037, appendix A.
RFC_8037 = {
    "kty": "OKP",
    "crv": "Ed25519",
    "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}


def pem(private: Any, form: PrivateFormat = PrivateFormat.PKCS8) -> str:
    text: bytes = private.private_bytes(Encoding.PEM, form, NoEncryption())
    return text.decode()


def jwk(private: Any) -> dict[str, Any]:
    member: dict[str, Any] = JWK.from_pyca(private).export_private(as_dict=True)
    return member


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_proof_is_what_rfc_9449_says(alg: str) -> None:
    """Header and claims are those of section 4.2, no more, and the key that it brings is public and verifies it."""
    key = DPoPKey.generate(alg, clock=lambda: 1_800_000_000.9)
    header, claims = read(key.proof("post", f"{URL}?query=1#fragment"))

    assert {"typ": "dpop+jwt", "alg": alg, "jwk": key.public_jwk} == header
    assert MEMBERS[alg] == set(key.public_jwk)
    assert {"jti", "htm", "htu", "iat"} == set(claims)
    assert ("POST", URL, 1_800_000_000) == (claims["htm"], claims["htu"], claims["iat"])
    assert len(base64.urlsafe_b64decode(claims["jti"] + "==")) >= 16
    assert alg == key.alg


def test_an_access_token_is_hashed_into_the_proof_for_an_api() -> None:
    """``ath`` is the hash of the token, ``nonce`` the server's, and both are there only when they are given."""
    _, claims = read(DPoPKey.generate().proof("GET", "https://api.example.com/a", access_token="a.b.c", nonce="n-1"))

    digest = base64.urlsafe_b64encode(hashlib.sha256(b"a.b.c").digest()).rstrip(b"=").decode()
    assert (digest, "n-1") == (claims["ath"], claims["nonce"])


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("HTTPS://Tenant.Auth0.COM:443/oauth/token", "https://tenant.auth0.com/oauth/token"),
        ("https://localhost:8443/a?b=c", "https://localhost:8443/a"),
        ("http://127.0.0.1:80", "http://127.0.0.1/"),
        ("https://h?q", "https://h/"),
        ("https://user:secret@h/a#f", "https://h/a"),
        ("https://h/a/./b/../c/", "https://h/a/c/"),
        ("https://h/a/..", "https://h/"),
        ("https://h/%7euser/%2f%3a", "https://h/~user/%2F%3A"),
        ("https://h/a b/ü", "https://h/a%20b/%C3%BC"),
        ("https://[::1]:8443/x", "https://[::1]:8443/x"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
    ],
)
def test_the_url_is_normalized(url: str, expected: str) -> None:
    """Scheme, host, path: as a server sees them after RFC 3986 section 6.2.2, without query, fragment and userinfo."""
    assert expected == read(DPoPKey.generate().proof("GET", url))[1]["htu"]


@pytest.mark.parametrize(
    "url", ["", "/oauth/token", "tenant.auth0.com", "ftp://h/", "https:///a", "https://h:x/", None]
)
def test_what_is_no_url_is_refused(url: Any) -> None:
    """A proof is for an absolute URL."""
    with pytest.raises(ConfigurationError, match="absolute http"):
        DPoPKey.generate().proof("GET", url)


@pytest.mark.parametrize(
    "arguments",
    [
        {"access_token": ""},
        {"access_token": "a b"},
        {"access_token": "ä"},
        {"access_token": b"a"},
        {"nonce": ""},
        {"nonce": 'a"b'},
        {"nonce": "a\nb"},
        {"nonce": "x" * 5000},
        {"method": ""},
        {"method": "G T"},
        {"method": None},
    ],
)
def test_what_cannot_be_signed_is_refused(arguments: dict[str, Any]) -> None:
    """Neither an empty token nor a nonce with forbidden characters gets into a proof."""
    with pytest.raises(ConfigurationError):
        DPoPKey.generate().proof(**{"method": "GET", "url": URL, **arguments})


@pytest.mark.parametrize("alg", ALGORITHMS)
@pytest.mark.parametrize(
    "form",
    [
        pem,
        lambda private: pem(private).encode(),
        lambda private: pem(private).replace("\n", "\\n"),
        lambda private: f"\n  {pem(private)}\n",
        jwk,
        lambda private: json.dumps(jwk(private)),
        lambda private: json.dumps(jwk(private)).encode(),
        lambda private: {**jwk(private), "use": "sig", "key_ops": ["sign"], "kid": "k1"},
    ],
    ids=["pem", "bytes", "escaped", "padded", "jwk", "jwk text", "jwk bytes", "jwk with uses"],
)
def test_a_key_comes_in_many_forms(alg: str, form: Callable[[Any], Any]) -> None:
    """PEM and JWK are the same key: its algorithm is known by its type, its thumbprint is RFC 7638's."""
    key = DPoPKey(form(PRIVATE[alg]))
    theirs = joserfc.jwk.import_key(jwk(PRIVATE[alg]))

    assert (alg, theirs.thumbprint()) == (key.alg, key.thumbprint)
    assert key.public_jwk == read(key.proof("GET", URL))[0]["jwk"]


def test_traditional_pem_is_taken() -> None:
    """What ``openssl ecparam -genkey`` and ``openssl genrsa -traditional`` write is taken, too."""
    for alg in ("ES256", "RS256"):
        assert DPoPKey(pem(PRIVATE[alg])) == DPoPKey(pem(PRIVATE[alg], PrivateFormat.TraditionalOpenSSL))


def test_the_thumbprint_of_the_standard() -> None:
    """RFC 8037 appendix A.3 tells the thumbprint of its key."""
    assert "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" == DPoPKey(RFC_8037).thumbprint


@pytest.mark.parametrize(
    "material",
    [
        "",
        "not a key",
        "{}",
        "{not json",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
        b"\xff\xfe",
        5,
        [],
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": ["EC"]},
        {**jwk(PRIVATE["ES256"]), "use": "enc"},
        {**jwk(PRIVATE["ES256"]), "key_ops": ["verify"]},
        {**jwk(PRIVATE["ES256"]), "alg": "ES384"},
        {**jwk(PRIVATE["RS256"]), "alg": "PS256"},
        {**jwk(PRIVATE["ES256"]), "d": "!!"},
        {**jwk(PRIVATE["ES256"]), "x": jwk(ec.generate_private_key(ec.SECP256R1()))["x"]},
        {**RFC_8037, "x": jwk(PRIVATE["EdDSA"])["x"]},
        {name: value for name, value in jwk(PRIVATE["ES256"]).items() if name != "d"},
        pem(ec.generate_private_key(ec.SECP384R1())),
        jwk(ec.generate_private_key(ec.SECP256K1())),
        pem(x25519.X25519PrivateKey.generate()),
        pem(rsa.generate_private_key(65537, 1024)),
        PRIVATE["ES256"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
        PRIVATE["ES256"].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")),
    ],
)
def test_what_is_no_private_key_for_signatures_is_refused(material: Any) -> None:
    """Public, symmetric, weak, broken and encrypted keys, other curves and uses: one error, which says what to give."""
    with pytest.raises(ConfigurationError, match="give a private key for ES256, EdDSA, RS256 as PEM or JWK"):
        DPoPKey(material)


def test_the_algorithm_must_fit() -> None:
    """A key is not used for another algorithm than its own."""
    assert "EdDSA" == DPoPKey(pem(PRIVATE["EdDSA"]), alg="Ed25519").alg
    for alg in ("ES256", "PS256", "none"):
        with pytest.raises(ConfigurationError):
            DPoPKey(pem(PRIVATE["RS256"]), alg=alg)
    with pytest.raises(ConfigurationError, match="not 'HS256'"):
        DPoPKey.generate("HS256")


def test_the_key_is_not_shown() -> None:
    """Neither repr nor error, with the variables of our frames, has the private half; nothing pickles or copies it."""
    member = jwk(PRIVATE["ES256"])
    key = DPoPKey(member)
    assert f"DPoPKey(alg='ES256', thumbprint='{key.thumbprint}')" == repr(key)
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be pickled"):
            attempt(key)
    with pytest.raises(ConfigurationError) as caught:
        DPoPKey(json.dumps({**member, "use": "enc"}))
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame for frame in frames.stack if "auth0_cte/" in frame.filename.replace("\\", "/")]
    assert ours
    assert member["d"] not in str(caught.value) + "".join(str(frame.locals) for frame in ours)
    assert caught.value.__cause__ is None


def test_both_names_of_eddsa() -> None:
    """EdDSA goes by RFC 8037's name, unless the server knows the one of RFC 9864 alone."""
    key = DPoPKey.generate("Ed25519")
    for listed, expected in [
        (None, "EdDSA"),
        ("Ed25519", "EdDSA"),
        ([], "EdDSA"),
        (["ES256", "Ed25519"], "Ed25519"),
        (["EdDSA", "Ed25519"], "EdDSA"),
    ]:
        assert expected == read(key.for_server(listed).proof("POST", URL))[0]["alg"]
    assert key == key.for_server(["Ed25519"])
    with pytest.raises(ConfigurationError, match="takes DPoP proofs by ES256, and the key is for EdDSA"):
        key.for_server(["ES256"])


def test_threads_never_share_an_identifier() -> None:
    """Twenty threads sign with one key, and no two proofs have the same ``jti``."""
    key = DPoPKey.generate()
    with ThreadPoolExecutor(20) as pool:
        proofs = list(pool.map(lambda _: key.proof("POST", URL), range(1000)))
    assert 1000 == len({read(proof)[1]["jti"] for proof in proofs})


def test_keys_are_equal_when_they_are_the_same() -> None:
    """Two handles of one key are equal, whatever clocks they have; two keys are not."""
    key = DPoPKey(jwk(PRIVATE["ES256"]))
    assert key == key.with_clock(lambda: 1.0) == DPoPKey(pem(PRIVATE["ES256"]))
    assert 1 == len({key, key.with_clock(lambda: 1.0)})
    assert key != DPoPKey.generate()
    assert key != "key"


def test_a_clock_of_its_own_wins() -> None:
    """A client lends its clock only to a key that has none."""
    lent, own = DPoPKey.generate().with_clock(lambda: 5.0), DPoPKey.generate(clock=lambda: 7.0).with_clock(lambda: 5.0)
    assert [5, 7] == [read(key.proof("GET", URL))[1]["iat"] for key in (lent, own)]


def test_the_newest_nonce_of_an_origin_is_known() -> None:
    """Nonces belong to scheme, host and port; the last one that came counts."""
    store = DPoPNonceStore()
    assert store.get(URL) is None
    assert "n1" == store.learn(URL, {"dpop-nonce": "n1"})
    assert "n2" == store.learn("https://TENANT.auth0.com:443/other", {"DPoP-Nonce": "n2", "Date": "today"})
    assert ["n2", None, None] == [
        store.get(url) for url in (URL, "http://tenant.auth0.com/", "https://tenant.auth0.com:8443/")
    ]
    assert store.learn(URL, {"Date": "today"}) is None
    assert ("n2", "<DPoPNonceStore: 1>") == (store.get(URL), repr(store))


@pytest.mark.parametrize("nonce", ["", " ", "a b", 'a"', "a\\", "ä", "a, b", "x" * 1025, "a\x7f"])
def test_a_malformed_nonce_is_ignored(nonce: str) -> None:
    """What no nonce looks like (RFC 9449 section 8.1), or several at once, does not displace a good one."""
    store = DPoPNonceStore()
    store.learn(URL, {"DPoP-Nonce": "good"})
    assert store.learn(URL, {"DPoP-Nonce": nonce}) is None
    assert "good" == store.get(URL)


def test_few_nonces_are_kept() -> None:
    """The origin that was not asked for longest is forgotten first."""
    store = DPoPNonceStore(maxsize=2)
    for number in (1, 2):
        store.learn(f"https://h{number}/", {"DPoP-Nonce": f"n{number}"})
    store.get("https://h1/")
    store.learn("https://h3/", {"DPoP-Nonce": "n3"})
    assert (2, ["n1", None, "n3"]) == (len(store), [store.get(f"https://h{number}/") for number in (1, 2, 3)])
