"""Private keys in the forms that people keep them in: PEM, or a JWK as a mapping or as JSON text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve, field, frozen
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from jwcrypto.common import JWException
from jwcrypto.jwk import JWK

from auth0_cte.foundation.strict_json import loads_object
from auth0_cte.jose.base import JoseError, b64url_encode
from auth0_cte.jose.signing import MAX_RSA_BITS, MIN_RSA_BITS, Jws, SigningKey, VerificationKey, make_signing_input

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["RemoteSigner", "load_public_key", "load_signing_key"]

ES256_BYTES: Final = 64

# Under two names: RFC 9864 section 2.2.
_ONE_ALGORITHM: Final = {"EdDSA", "Ed25519"}
_PRIVATE_MEMBERS: Final = {
    "RSA": ("kty", "n", "e", "d", "p", "q", "dp", "dq", "qi"),
    "EC": ("kty", "crv", "x", "y", "d"),
    "OKP": ("kty", "crv", "x", "d"),
}


@frozen
class RemoteSigner:
    """A private key that stays elsewhere: in a KMS or HSM.

    Args:
        sign_bytes: Is given the signing input and returns the raw signature.
        alg: The algorithm that it signs with.
        kid: The key's id, or None.
    """

    sign_bytes: Callable[[bytes], bytes] = field(repr=False)
    alg: str
    kid: str | None = None

    def sign(self, claims: Mapping[str, Any], *, header: Mapping[str, Any] | None = None) -> str:
        """Sign claims as a compact JWS.

        Raises:
            JoseError: What came back cannot be a signature of the algorithm.
        """
        signing_input = make_signing_input(self.alg, self.kid, claims, header)
        signature: object = self.sign_bytes(signing_input)
        if not isinstance(signature, bytes):
            raise JoseError(f"the function that signs returned {type(signature).__name__}, not bytes")
        if self.alg == "ES256" and len(signature) != ES256_BYTES:
            raise JoseError("an ES256 signature is the 64 bytes of R and S (RFC 7518 section 3.4); convert DER first")
        if self.alg != "ES256" and not MIN_RSA_BITS <= len(signature) * 8 <= MAX_RSA_BITS:
            raise JoseError(
                f"the function that signs returned {len(signature)} bytes, which is not a {self.alg} signature"
            )
        return f"{signing_input.decode('ascii')}.{b64url_encode(signature)}"


def load_signing_key(
    material: str | bytes | Mapping[str, Any],
    *,
    algorithms: Sequence[str],
    alg: str | None = None,
    password: str | None = None,
) -> SigningKey:
    r"""Parse a private key, once, and try it out.

    Args:
        material: PEM (PKCS #8, PKCS #1 or SEC 1), in which ``\n`` may stand for a line's end as in
            environment variables; or a JWK (RFC 7517), as a mapping or as JSON text.
        algorithms: The algorithms that will do; the first that fits the key is taken when none is named.
        alg: The algorithm; the JWK's own ``alg`` when None.
        password: The password of an encrypted PEM.

    Raises:
        JoseError: It is not such a key; the message does not show it.
    """
    if isinstance(material, bytes):
        material = _decoded(material)
    if isinstance(material, str) and not material.lstrip().startswith("{"):
        member: Mapping[str, Any] = {}
        private = _from_pem(material, password)
    else:
        member = material if isinstance(material, Mapping) else _from_json(material)
        private = _from_jwk(member)
    own = member.get("alg")
    if None not in (alg, own) and alg != own and {alg, own} != _ONE_ALGORITHM:
        raise JoseError(f"the JWK is for {own!r}, not {alg}", "alg")
    return _made(private, alg or own, member.get("kid"), algorithms)


def load_public_key(material: str | bytes | Mapping[str, Any]) -> VerificationKey:
    """Parse a public key: PEM, or a JWK as a mapping or as JSON text. One without a ``kid`` gets its thumbprint.

    Raises:
        JoseError: It is not such a key.
    """
    text = _decoded(material) if isinstance(material, bytes) else material
    if isinstance(text, str) and not text.lstrip().startswith("{"):
        key = _from_public_pem(text)
    else:
        key = VerificationKey.from_jwk(text if isinstance(text, Mapping) else _from_json(text))
    return key if key.kid else evolve(key, kid=str(key.jwk.thumbprint()))


def _from_public_pem(text: str) -> VerificationKey:
    if not text.lstrip().startswith("-----BEGIN PUBLIC KEY"):
        raise JoseError("the key must be a public one, as PEM (-----BEGIN PUBLIC KEY-----) or JWK")
    try:
        public: Any = load_pem_public_key(text.strip().encode())
        jwk: Any = JWK.from_pyca(public)
    except (ValueError, UnsupportedAlgorithm, JWException):
        raise JoseError("the PEM is malformed, or holds a key that signs nothing") from None
    return VerificationKey.from_jwk(jwk.export_public(as_dict=True))


def _decoded(material: bytes) -> str:
    try:
        return material.decode()
    except UnicodeDecodeError:
        raise JoseError("the key is neither PEM nor a JWK") from None


def _from_json(text: str) -> dict[str, Any]:
    if not isinstance(text, str):
        raise JoseError("the key is neither PEM nor a JWK")
    try:
        return loads_object(text.encode())
    except ValueError:
        raise JoseError("the JWK is not a JSON object") from None


def _from_pem(text: str, password: str | None) -> Any:
    lines = text.strip() if "\n" in text.strip() else text.strip().replace("\\n", "\n")
    if not lines.startswith("-----BEGIN"):
        raise JoseError("the key is neither PEM nor a JWK")
    if "PUBLIC KEY-----" in lines or "CERTIFICATE-----" in lines:
        raise JoseError("the PEM holds a public key; the private one is needed")
    try:
        return load_pem_private_key(lines.encode(), password=None if password is None else password.encode())
    except TypeError:
        fault = "is encrypted; give its password" if password is None else "is not encrypted, but a password is given"
        raise JoseError(f"the PEM {fault}") from None
    except (ValueError, UnsupportedAlgorithm):
        raise JoseError(f"the PEM is malformed{'' if password is None else ', or the password wrong'}") from None


def _from_jwk(member: Mapping[str, Any]) -> Any:
    kty = member.get("kty")
    if not isinstance(kty, str) or kty not in _PRIVATE_MEMBERS:
        raise JoseError("the key type is none that signs")
    if "d" not in member:
        raise JoseError("the JWK is a public key; the private one is needed")
    operations = member.get("key_ops", ["sign"])
    if member.get("use", "sig") != "sig" or not isinstance(operations, list | tuple) or "sign" not in operations:
        raise JoseError("the key is not for signatures")
    try:
        private: Any = JWK(**{name: member[name] for name in _PRIVATE_MEMBERS[kty] if name in member})
        key = private.get_op_key("sign")
        # The private half tells the public one; an OKP key is not held to the one that stands beside it.
        public: dict[str, str] = JWK.from_pyca(key).export_public(as_dict=True)
    except (KeyError, TypeError, ValueError, JWException, UnsupportedAlgorithm):
        raise JoseError("the JWK is malformed") from None
    if any(str(member[name]).rstrip("=") != public[name] for name in _PRIVATE_MEMBERS[kty] if name in public):
        raise JoseError("the JWK is malformed: its halves do not belong together")
    return key


def _made(private: Any, alg: object, kid: object, algorithms: Sequence[str]) -> SigningKey:
    try:
        jwk = JWK.from_pyca(private)
    except JWException:
        raise JoseError("the key type is none that signs") from None
    public = VerificationKey.from_jwk(jwk.export_public(as_dict=True))
    fitting = [name for name in algorithms if public.misfit(name) is None]
    if not fitting or (alg is not None and alg not in fitting):
        wanted = alg if isinstance(alg, str) and alg in algorithms else " or ".join(algorithms)
        raise JoseError(f"the key does not fit {wanted}")
    key = SigningKey(jwk=jwk, alg=str(alg or fitting[0]), kid=kid if isinstance(kid, str) and kid else None)
    Jws.parse(key.sign({})).verify(public)
    return key
