"""What signing and sealing share: one error class, and base64url in its one canonical spelling."""

from __future__ import annotations

import binascii
from typing import Final

__all__ = ["JoseError", "NoKeyError", "b64url_decode", "b64url_encode"]

_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
# The characters of plain base64 that base64url does not have become one that no base64 has.
_FROM_URL: Final = bytes.maketrans(b"-_+/=", b"+/!!!")
# The last character has two or four bits to spare; these are the spellings that leave them zero.
_CANONICAL_ENDS: Final = {2: b"AQgw", 3: b"AEIMQUYcgkosw048"}


class JoseError(Exception):
    """A token or a key is not acceptable.

    Attributes:
        parameter: The header parameter at fault, or None.
    """

    def __init__(self, message: str, parameter: str | None = None) -> None:
        super().__init__(message)
        self.parameter = parameter


class NoKeyError(JoseError):
    """No key of the set fits the token; a newer set may have it."""


def b64url_encode(data: bytes) -> str:
    """Encode bytes as base64url without padding (RFC 7515 section 2)."""
    return binascii.b2a_base64(data, newline=False).translate(_TO_URL).rstrip(b"=").decode("ascii")


def b64url_decode(text: str) -> bytes:
    """Decode canonical base64url without padding; anything else is a `JoseError`."""
    excess = len(text) % 4
    try:
        encoded = text.encode("ascii").translate(_FROM_URL)
        data = binascii.a2b_base64(encoded + b"=" * (-excess % 4), strict_mode=True)
    except (UnicodeEncodeError, binascii.Error):
        raise JoseError("not base64url") from None
    if excess and encoded[-1] not in _CANONICAL_ENDS.get(excess, b""):
        raise JoseError("not canonical base64url")
    return data
