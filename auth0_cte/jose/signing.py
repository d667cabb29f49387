"""JSON Web Signatures and the keys that make and verify them.

A strict gate stands before the library, which alone accepts too much: compact serialization only, canonical
base64url, no critical or key-carrying headers, algorithms by name, keys that fit their algorithm.
"""

from __future__ import annotations

import json
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen
from cryptography.exceptions import InvalidSignature
from jwcrypto.common import JWException
from jwcrypto.jwa import JWA
from jwcrypto.jwk import JWK

from auth0_cte.foundation.strict_json import loads_object
from auth0_cte.jose.base import JoseError, NoKeyError, b64url_decode, b64url_encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Jws", "KeySet", "SigningKey", "VerificationKey", "make_signing_input"]

MAX_TOKEN_LENGTH: Final = 64 * 1024
"""The longest token that is looked at, in characters."""
MAX_USUAL_HEADER: Final = 1024
"""The longest header that is remembered, in characters."""
MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 8192

# The key type (and curve) that fits each algorithm: RFC 7518 section 3.1, RFC 8037, RFC 9864.
_KEY_TYPES: Final[Mapping[str, tuple[str, str | None]]] = {
    "RS256": ("RSA", None),
    "RS384": ("RSA", None),
    "PS256": ("RSA", None),
    "ES256": ("EC", "P-256"),
    "EdDSA": ("OKP", "Ed25519"),
    "Ed25519": ("OKP", "Ed25519"),
    "HS256": ("oct", None),
}
_PUBLIC_MEMBERS: Final = {"RSA": ("kty", "n", "e"), "EC": ("kty", "crv", "x", "y"), "OKP": ("kty", "crv", "x")}
# crit, b64 and zip change what the signature means; the others let a token bring its own key (RFC 8725 section 3.10).
_FORBIDDEN_HEADERS: Final = ("crit", "b64", "zip", "jku", "jwk", "x5u", "x5c")


def _parse_header(segment: str, key_allowed: bool) -> Mapping[str, Any]:
    # All tokens of one key and type share theirs to the letter; a long one is a stranger's, and not kept.
    parse = _parse_usual_header if len(segment) <= MAX_USUAL_HEADER else _parse_usual_header.__wrapped__
    return parse(segment, key_allowed)


@lru_cache(maxsize=256)
def _parse_usual_header(segment: str, key_allowed: bool) -> Mapping[str, Any]:
    """Read a protected header."""
    try:
        header = loads_object(b64url_decode(segment))
    except ValueError as error:
        raise JoseError(f"the header is {error}") from None
    for name in _FORBIDDEN_HEADERS:
        if name in header and not (key_allowed and name == "jwk"):
            raise JoseError(f"the header has {name!r}, which is refused", name)
    for name in ("alg", "kid", "typ"):
        if not isinstance(header.get(name, ""), str):
            raise JoseError(f"{name!r} is not a string", name)
    return MappingProxyType(header)


@frozen
class Jws:
    """A JSON Web Signature in compact form (RFC 7515 section 7.1) that passed the gate, not yet verified."""

    header: Mapping[str, Any]
    payload: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    signing_input: bytes = field(repr=False)

    @classmethod
    def parse(cls, token: str, *, key_allowed: bool = False) -> Jws:
        """Take a token apart, strictly.

        Args:
            token: The token, at most 64 Ki characters.
            key_allowed: Whether it may bring its own key (``jwk``), as a proof of possession does.

        Raises:
            JoseError: It is not a canonical compact JWS.
        """
        if not isinstance(token, str) or len(token) > MAX_TOKEN_LENGTH:
            raise JoseError("a token of at most 64 KiB is expected")
        segments = token.split(".")
        if len(segments) != 3:
            raise JoseError("three segments are expected")
        header, payload, signature = segments
        return cls(
            header=_parse_header(header, key_allowed),
            payload=b64url_decode(payload),
            signature=b64url_decode(signature),
            signing_input=token[: len(header) + 1 + len(payload)].encode("ascii"),
        )

    def verify(self, key: VerificationKey) -> dict[str, Any]:
        """Verify the signature and return the claims.

        Args:
            key: The key, which `KeySet.select` found for this token's header.

        Raises:
            JoseError: The signature is not the key's, or the payload is not a JSON object.
        """
        algorithm = self.header["alg"]
        misfit = key.misfit(algorithm)
        if misfit is not None:
            raise JoseError(misfit, "alg")
        # Both halves of an ES256 signature have 32 bytes; jwcrypto would take longer ones.
        if algorithm == "ES256" and len(self.signature) != 64:
            raise JoseError("the signature has a wrong length")
        try:
            _engine(algorithm).verify(key.jwk, self.signing_input, self.signature)
        except (InvalidSignature, JWException, ValueError):
            raise JoseError("the signature does not verify") from None
        try:
            return loads_object(self.payload)
        except ValueError as error:
            raise JoseError(f"the payload is {error}") from None


@lru_cache(maxsize=16)
def _engine(algorithm: str) -> Any:
    # One algorithm under two names; older versions of jwcrypto know the first alone.
    return JWA.signing_alg("EdDSA" if algorithm == "Ed25519" else algorithm)


@frozen
class VerificationKey:
    """A key that verifies signatures, and the algorithms that it may be used with."""

    kty: str
    curve: str | None
    jwk: JWK = field(repr=False, eq=False)
    kid: str | None = None
    alg: str | None = None

    @classmethod
    def from_jwk(cls, member: Mapping[str, Any]) -> VerificationKey:
        """Take a public key from a JWK (RFC 7517), refusing whatever is not safe for verification.

        Raises:
            JoseError: The key is private, symmetric, weak, malformed, or meant for something else.
        """
        kty = member.get("kty")
        if not isinstance(kty, str) or kty not in _PUBLIC_MEMBERS:
            raise JoseError(f"key type {kty!r} does not verify tokens")
        if "d" in member or "k" in member:
            raise JoseError("a private or symmetric key is published")
        operations = member.get("key_ops", ["verify"])
        if member.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
            raise JoseError("the key is not for signatures")
        kid, alg = member.get("kid"), member.get("alg")
        if not isinstance(kid, str | None) or not isinstance(alg, str | None):
            raise JoseError("kid or alg is not a string")
        key = cls(kty=kty, curve=member.get("crv"), jwk=_public_jwk(kty, member), kid=kid, alg=alg)
        misfit = None if alg is None else key.misfit(alg)
        if misfit is not None:
            raise JoseError(misfit, "alg")
        return key

    @classmethod
    def from_secret(cls, secret: str) -> VerificationKey:
        """Make the HS256 key of a client secret (OpenID Connect Core 1.0, section 10.1)."""
        return cls(kty="oct", curve=None, jwk=JWK(kty="oct", k=b64url_encode(secret.encode())), alg="HS256")

    def misfit(self, algorithm: str) -> str | None:
        """Say why the key is of another type than the algorithm's, or reserved for another algorithm; or None."""
        expected = _KEY_TYPES.get(algorithm)
        if expected is None or expected[0] != self.kty or expected[1] not in (None, self.curve):
            return f"the key does not fit {algorithm}"
        return None if self.alg in (None, algorithm) else f"the key is for {self.alg}, not {algorithm}"


def _public_jwk(kty: str, member: Mapping[str, Any]) -> JWK:
    try:
        jwk = JWK(**{name: member[name] for name in _PUBLIC_MEMBERS[kty]})
        public_key: Any = jwk.get_op_key("verify")  # jwcrypto parses only now
    except (KeyError, TypeError, ValueError, JWException):
        raise JoseError("the key is malformed") from None
    if kty == "RSA" and not MIN_RSA_BITS <= public_key.key_size <= MAX_RSA_BITS:
        raise JoseError(f"an RSA key of {public_key.key_size} bits is refused")
    return jwk


@frozen
class KeySet:
    """The usable keys of a JSON Web Key Set (RFC 7517 section 5)."""

    keys: tuple[VerificationKey, ...]

    @classmethod
    def from_jwks(cls, document: Mapping[str, Any]) -> KeySet:
        """Read a key set. Keys that are not usable are left out: one bad key must not hide the good ones.

        Raises:
            JoseError: It is not a key set at all.
        """
        members = document.get("keys")
        if not isinstance(members, list):
            raise JoseError("a key set has a list 'keys'")
        return cls(tuple(_usable(members)))

    def select(self, header: Mapping[str, Any]) -> VerificationKey:
        """Find the one key for a token's header.

        Raises:
            NoKeyError: There is none.
            JoseError: There are several.
        """
        kid, algorithm = header.get("kid"), header.get("alg", "")
        fitting = [key for key in self.keys if kid in (None, key.kid) and key.misfit(algorithm) is None]
        if not fitting:
            raise NoKeyError("no key of the issuer fits the token", "kid")
        if len(fitting) > 1:
            raise JoseError("several keys of the issuer fit the token", "kid")
        return fitting[0]


def _usable(members: Iterable[Any]) -> Iterable[VerificationKey]:
    for member in members:
        try:
            yield VerificationKey.from_jwk(member if isinstance(member, dict) else {})
        except JoseError:
            continue


@frozen
class SigningKey:
    """A private key and the algorithm that it signs with."""

    jwk: JWK = field(repr=False, eq=False)
    alg: str
    kid: str | None = None

    @classmethod
    def generate(cls, alg: str = "RS256", *, kid: str | None = None) -> SigningKey:
        """Make a new key for ``alg`` (RS256, RS384, PS256, ES256, EdDSA); ``kid`` defaults to its thumbprint."""
        kty, curve = _KEY_TYPES[alg]
        jwk = JWK.generate(kty=kty, size=MIN_RSA_BITS) if kty == "RSA" else JWK.generate(kty=kty, crv=curve)
        # jwcrypto would try the key out at its first signature, which takes longer than making it.
        jwk.unsafe_skip_rsa_key_validation = True
        return cls(jwk=jwk, alg=alg, kid=kid or jwk.thumbprint())

    def public_jwk(self) -> dict[str, Any]:
        """Return the public half as a JWK with ``use``, ``alg`` and ``kid``."""
        public: dict[str, Any] = self.jwk.export_public(as_dict=True)
        return {**public, "use": "sig", "alg": self.alg, "kid": self.kid}

    def thumbprint(self) -> str:
        """Return the SHA-256 thumbprint of the public key (RFC 7638)."""
        return str(self.jwk.thumbprint())

    def sign(self, claims: Mapping[str, Any], *, header: Mapping[str, Any] | None = None) -> str:
        """Sign claims as a compact JWS.

        Args:
            claims: The payload.
            header: Header parameters beside ``alg`` and ``kid``, which stand already; e.g. ``typ``.
        """
        signing_input = make_signing_input(self.alg, self.kid, claims, header)
        signature = _engine(self.alg).sign(self.jwk, signing_input)
        return f"{signing_input.decode('ascii')}.{b64url_encode(signature)}"


def make_signing_input(
    alg: str, kid: str | None, claims: Mapping[str, Any], header: Mapping[str, Any] | None = None
) -> bytes:
    """Return the bytes that a signature is about (RFC 7515 section 5.1)."""
    protected = {"alg": alg, **({"kid": kid} if kid else {}), **(header or {})}
    parts = (json.dumps(part, separators=(",", ":")).encode() for part in (protected, claims))
    return ".".join(map(b64url_encode, parts)).encode("ascii")
