"""What sealing and verifying cost at the least: ``cryptography`` alone, with keys that are kept.

Nothing here is fit for use. It checks little and trusts what it reads; it is what others are measured against.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from attrs import field, frozen
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.padding import PKCS7
from jwcrypto.jwk import JWK

Seal = Callable[[Mapping[str, Any]], str]
Unseal = Callable[[str], dict[str, Any]]

JWE_HEADER: Final = '{"alg":"dir","enc":"A256CBC-HS512"}'
NONCE_BYTES: Final = 12
IV_BYTES: Final = 16
BLOCK_BITS: Final = 128
PADDING: Final = PKCS1v15()
HASH: Final = SHA256()


def b64url_encode(data: bytes) -> str:
    """Encode bytes as base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def b64url_decode(text: str) -> bytes:
    """Decode base64url without padding, and whatever else Python takes for it."""
    return base64.urlsafe_b64decode(text + "==")


def seal_key(secret: str, identifier: str, length: int = 64) -> bytes:
    """Derive the key of the sealed sessions as auth0-server-python does, once."""
    kdf = HKDF(algorithm=SHA256(), length=length, salt=identifier.encode(), info=b"Auth0 Generated Encryption")
    return kdf.derive(secret.encode())


def rsa_key(member: Mapping[str, Any]) -> RSAPublicKey:
    """Return the public key of a JWK."""
    return cast("RSAPublicKey", JWK(**member).get_op_key("verify"))


class AesGcm:
    """JSON and AES-256-GCM: no format, no header, one key.

    Args:
        key: 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)

    def encrypt(self, content: Mapping[str, Any]) -> bytes:
        """Encrypt JSON as bytes, which no cookie takes."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, json.dumps(content).encode(), None)

    def decrypt(self, sealed: bytes) -> dict[str, Any]:
        """Open what `encrypt` made."""
        content: dict[str, Any] = json.loads(self._aead.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], None))
        return content

    def seal(self, content: Mapping[str, Any]) -> str:
        """Encrypt JSON as text for a cookie."""
        return b64url_encode(self.encrypt(content))

    def unseal(self, sealed: str) -> dict[str, Any]:
        """Open what `seal` made."""
        return self.decrypt(b64url_decode(sealed))


class AesCbcHmac:
    """JSON and A256CBC-HS512 (RFC 7518 section 5.2.5) in a compact JWE: the very format of the sessions.

    Args:
        key: 64 bytes, one half for the MAC and one for the cipher.
    """

    def __init__(self, key: bytes) -> None:
        self._mac_key, self._cipher = key[:32], AES256(key[32:])
        self._header = b64url_encode(JWE_HEADER.encode())
        self._aad = self._header.encode()
        self._aad_bits = (len(self._aad) * 8).to_bytes(8, "big")

    def seal(self, content: Mapping[str, Any]) -> str:
        """Encrypt and authenticate JSON."""
        iv = os.urandom(IV_BYTES)
        padder, encryptor = PKCS7(BLOCK_BITS).padder(), Cipher(self._cipher, CBC(iv)).encryptor()
        padded = padder.update(json.dumps(content).encode()) + padder.finalize()
        cipher = encryptor.update(padded) + encryptor.finalize()
        return f"{self._header}..{b64url_encode(iv)}.{b64url_encode(cipher)}.{b64url_encode(self._tag(iv, cipher))}"

    def unseal(self, sealed: str) -> dict[str, Any]:
        """Open what `seal` made."""
        iv, cipher, tag = map(b64url_decode, sealed.split(".")[2:])
        if not hmac.compare_digest(tag, self._tag(iv, cipher)):
            raise ValueError("it was changed")
        decryptor, unpadder = Cipher(self._cipher, CBC(iv)).decryptor(), PKCS7(BLOCK_BITS).unpadder()
        padded = decryptor.update(cipher) + decryptor.finalize()
        content: dict[str, Any] = json.loads(unpadder.update(padded) + unpadder.finalize())
        return content

    def _tag(self, iv: bytes, cipher: bytes) -> bytes:
        return hmac.digest(self._mac_key, b"".join((self._aad, iv, cipher, self._aad_bits)), "sha512")[:32]


@frozen
class Signed:
    """A token taken apart, and the key that signed it."""

    key: RSAPublicKey = field(repr=False)
    payload: str = field(repr=False)
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    @classmethod
    def parse(cls, token: str, key: RSAPublicKey) -> Signed:
        """Take a compact JWS apart."""
        signing_input, _, signature = token.rpartition(".")
        return cls(key, signing_input.partition(".")[2], signing_input.encode(), b64url_decode(signature))

    def verify(self) -> None:
        """Verify the RS256 signature, and nothing else."""
        self.key.verify(self.signature, self.signing_input, PADDING, HASH)

    def claims(self) -> dict[str, Any]:
        """Verify the signature and read the claims."""
        self.verify()
        claims: dict[str, Any] = json.loads(b64url_decode(self.payload))
        return claims
