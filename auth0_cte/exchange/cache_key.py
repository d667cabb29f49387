"""What an exchange is filed under by caches: a keyed hash of all that it depends on."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from auth0_cte.foundation.strict_json import loads_object
from auth0_cte.oauth.client_auth.base import ClientSecretBasic, ClientSecretPost, PublicClient
from auth0_cte.oauth.client_auth.mutual_tls import MutualTls, fingerprint_of
from auth0_cte.oauth.client_auth.private_key_jwt import PrivateKeyJwt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auth0_cte.oauth.client_auth.base import ClientAuth, Form

__all__ = ["ExchangeRequest", "credentials_of", "end_of"]

Part: TypeAlias = str | Sequence["Part"] | None


class ExchangeRequest:
    """Everything that an exchange depends on, of which caches get to see a keyed hash alone.

    Args:
        issuer: The issuer URL.
        client_id: The application.
        credentials: How it authenticates, as `credentials_of` tells: another secret, key or certificate gets nothing
            that this one has paid for.
        form: All parameters of the request, the subject token and the caller's extras among them.
        headers: The request's own headers; ``auth0-forwarded-for`` may decide what the Action does.
        dpop_thumbprint: The key that the tokens are bound to, or None.
        ends_at: When the tokens expire that are exchanged, in Unix seconds, as far as they tell; else None.

    Attributes:
        ends_at: The moment after which a response must not be reused, whatever its own lifetime; None for no bound.
    """

    __slots__ = ("_encoded", "ends_at")

    def __init__(
        self,
        *,
        issuer: str,
        client_id: str,
        credentials: Sequence[str | None],
        form: Form,
        headers: Mapping[str, str],
        dpop_thumbprint: str | None = None,
        ends_at: float | None = None,
    ) -> None:
        self.ends_at: float | None = ends_at
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


def credentials_of(client_auth: ClientAuth, certificate: Any = None) -> list[str | None] | None:
    """Name what an application authenticates by: the method, and its secret, key or certificate.

    Args:
        client_auth: The method.
        certificate: What an injected session presents a certificate by (``session.cert``): one path, or two.

    Returns:
        The name; None when nothing here can tell two of them apart, so that nothing must be kept: a method that is not
        one of this library's may send something else for each caller, and the certificate of an ``ssl_context`` or an
        adapter cannot be read.

    Raises:
        ConfigurationError: The file of the session's certificate cannot be read any more.
    """
    # By the exact class: a subclass may send more than what its base is named by.
    name = next((own(client_auth) for kind, own in _NAMES.items() if type(client_auth) is kind), None)
    files = [certificate] if isinstance(certificate, str | bytes) else list(certificate or ())
    if name is None or (isinstance(client_auth, MutualTls) and client_auth.certificate is None and not files):
        return None
    return [type(client_auth).__name__, name, *map(fingerprint_of, files[:1])]  # the second file is the key's


_NAMES: Final[Mapping[type, Callable[[Any], str]]] = {
    ClientSecretPost: lambda method: method.client_secret,
    ClientSecretBasic: lambda method: method.client_secret,
    PublicClient: lambda _: "",
    PrivateKeyJwt: lambda method: method.key_name,
    MutualTls: lambda method: method.fingerprint,
}


def end_of(*tokens: object) -> float | None:
    """Return when the first of some tokens expires, in Unix seconds, as far as they are JWTs that tell; else None."""
    found = [end for end in map(_end_of_one, tokens) if end is not None]
    return min(found, default=None)


def _end_of_one(token: object) -> float | None:
    segments = token.split(".") if isinstance(token, str) else []
    if len(segments) != 3:  # not a JWT, or one that is encrypted
        return None
    from auth0_cte.oauth.id_token import read_time  # late, because it brings jwcrypto

    try:
        # Leniently: whether the token is one, Auth0 and its Action decide.
        payload = base64.b64decode(segments[1] + "=" * (-len(segments[1]) % 4), b"-_")
        return read_time(loads_object(payload).get("exp"))
    except ValueError:
        return None
