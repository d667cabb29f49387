"""Sealing: authenticated encryption of JSON, in the format of auth0-server-python.

A compact JWE (RFC 7516) with ``dir`` and ``A256CBC-HS512``; the key is derived from a secret by HKDF-SHA256 (RFC 5869),
salted with an identifier, so that what is sealed under one name cannot be opened under another.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from jwcrypto.jwa import JWA

from auth0_cte.jose.base import JoseError, b64url_decode, b64url_encode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Sealer"]

MAX_SEALED_LENGTH: Final = 64 * 1024
ENCRYPTION: Final = "A256CBC-HS512"
KEY_BYTES: Final = 64
KEY_INFO: Final = b"Auth0 Generated Encryption"
IV_BYTES: Final = 16
TAG_BYTES: Final = 32

# The one header that is sealed with, and compared as it stands: there is nothing in it to choose, so a forger cannot
# ask for another algorithm, such as the PBES2 that costs ten milliseconds before it fails.
_HEADER: Final = b64url_encode(b'{"alg":"dir","enc":"A256CBC-HS512"}')
_AAD: Final = _HEADER.encode("ascii")


# Made once: json.dumps with other than its default settings makes an encoder for each call.
_encode: Final = json.JSONEncoder(separators=(",", ":")).encode


@lru_cache(maxsize=1)
def _engine() -> Any:
    return JWA.encryption_alg(ENCRYPTION)


def _derive_key(secret: str, identifier: str) -> bytes:
    kdf = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=identifier.encode(), info=KEY_INFO)
    return kdf.derive(secret.encode())


class Sealer:
    """Seals with the newest of some secrets, and opens with any of them. Keys are derived once, here.

    Args:
        secrets: The secrets, the newest first.
        identifier: The name that is sealed under.
        max_length: The longest sealed text that is looked at, in characters.
    """

    def __init__(self, secrets: Sequence[str], identifier: str, max_length: int = MAX_SEALED_LENGTH) -> None:
        self._keys = [_derive_key(secret, identifier) for secret in secrets]
        self._max_length = max_length

    def seal(self, content: Mapping[str, Any]) -> str:
        """Encrypt and authenticate a JSON object as text that is safe in a cookie."""
        plain = _encode(content).encode()
        iv, cipher, tag = _engine().encrypt(self._keys[0], _AAD, plain)
        return f"{_HEADER}..{b64url_encode(iv)}.{b64url_encode(cipher)}.{b64url_encode(tag)}"

    def unseal(self, sealed: str) -> dict[str, Any]:
        """Open what `seal` made, here or in auth0-server-python with the same secret and identifier.

        Raises:
            JoseError: It was not sealed with any of the secrets under this identifier, or was changed since.
        """
        if len(sealed) > self._max_length:
            raise JoseError("too long")
        iv, cipher, tag = _take_apart(sealed)
        for key in self._keys:
            try:
                plain: bytes = _engine().decrypt(key, _AAD, iv, cipher, tag)
            except InvalidSignature:
                continue
            return _read(plain)
        raise JoseError("it was not sealed with any of the secrets, or was changed")


def _read(plain: bytes) -> dict[str, Any]:
    # Not the strict reader: the writer knew the secret.
    try:
        content = json.loads(plain)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise JoseError("the content is not a JSON object")
    return content


def _take_apart(sealed: str) -> tuple[bytes, bytes, bytes]:
    segments = sealed.split(".")
    if len(segments) != 5 or segments[0] != _HEADER or segments[1]:
        raise JoseError("not sealed by this scheme")
    iv, cipher, tag = (b64url_decode(segment) for segment in segments[2:])
    if len(iv) != IV_BYTES or len(tag) != TAG_BYTES or not cipher or len(cipher) % IV_BYTES:
        raise JoseError("not sealed by this scheme")
    return iv, cipher, tag
