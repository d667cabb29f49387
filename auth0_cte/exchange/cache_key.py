"""What an exchange is filed under by caches: a keyed hash of all that it depends on."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from auth0_cte.error import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auth0_cte.oauth.client_auth.base import ClientAuth, Form

__all__ = ["ExchangeRequest", "credentials_of"]

Part: TypeAlias = str | Sequence["Part"] | None


class ExchangeRequest:
    """Everything that an exchange depends on, of which caches get to see a keyed hash alone.

    Args:
        issuer: The issuer URL.
        client_id: The application.
        credentials: How it authenticates, as `credentials_of` tells: another secret, or certificate, gets nothing that
            this one has paid for.
        form: All parameters of the request, the subject token and the caller's extras among them.
        headers: The request's own headers; ``auth0-forwarded-for`` may decide what the Action does.
        dpop_thumbprint: The key that the tokens are bound to, or None.
    """

    __slots__ = ("_encoded",)

    def __init__(
        self,
        *,
        issuer: str,
        client_id: str,
        credentials: Sequence[str | None],
        form: Form,
        headers: Mapping[str, str],
        dpop_thumbprint: str | None = None,
    ) -> None:
        # Sorted by name alone: the order of names means nothing, that of a name's values does.
        parameters = sorted(form, key=lambda pair: pair[0])
        sent = sorted((name.lower(), value) for name, value in headers.items())
        self._encoded = _encode([issuer, client_id, credentials, parameters, sent, dpop_thumbprint])

    def name(self, key: bytes) -> str:
        """Return what the exchange is filed under: HMAC-SHA256 in hexadecimal digits.

        Args:
            key: At least 32 secret bytes, without which nobody can try out tokens on the names.
        """
        return hmac.new(key, self._encoded, hashlib.sha256).hexdigest()

    def __repr__(self) -> str:
        return "<ExchangeRequest>"


def _encode(part: Part) -> bytes:
    """Encode with all lengths and counts before the content, so that no two different requests look the same."""
    if part is None:
        return b"-"
    if isinstance(part, str):
        data = part.encode("utf-8", "surrogatepass")
        return b"s%d:%b" % (len(data), data)
    return b"l%d:%b" % (len(part), b"".join([_encode(each) for each in part]))


def credentials_of(client_auth: ClientAuth) -> list[str | None]:
    """Tell ways to authenticate apart: by their kind, the secret, and the certificate that tokens may be bound to.

    Keys that sign assertions make no difference: they are rotated, and nothing is bound to them.

    Raises:
        ConfigurationError: The file of the certificate cannot be read any more.
    """
    # By names, because a way to authenticate can be written by anybody.
    secret, certificate = (getattr(client_auth, name, None) for name in ("client_secret", "certificate"))
    try:
        read = Path(certificate).read_bytes() if isinstance(certificate, str | os.PathLike) else None
    except OSError as error:
        raise ConfigurationError(f"the client certificate cannot be read: {error.strerror}") from None
    return [
        type(client_auth).__qualname__,
        secret if isinstance(secret, str) else None,
        None if read is None else hashlib.sha256(read).hexdigest(),
    ]
