"""DPoP: the key that access tokens are bound to, the proofs that it signs, and the nonces that servers want in them.

Source: RFC 9449; Auth0, "Demonstrating Proof-of-Possession (DPoP)".
"""

from __future__ import annotations

import hashlib
import math
import re
import secrets
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self
from urllib.parse import quote, urlsplit

from auth0_cte.error import ConfigurationError
from auth0_cte.foundation.concurrency import TTLCache
from auth0_cte.jose import JoseError, SigningKey, b64url_encode, load_signing_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["DPoPKey", "DPoPNonceStore", "normalized_htu"]

ALGORITHMS: Final = ("ES256", "EdDSA", "RS256")
MAX_NONCE_LENGTH: Final = 1024
JTI_BYTES: Final = 24

# RFC 9449 section 8.1: 1*NQCHAR.
_NONCE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+").fullmatch
_TOKEN: Final = re.compile(r"[\x21-\x7e]+").fullmatch
_METHOD: Final = re.compile(r"[A-Za-z]+").fullmatch
# The names that RFC 8037 and RFC 9864 give to the same algorithm.
_SYNONYMS: Final = {"EdDSA": "Ed25519", "Ed25519": "EdDSA"}
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}


class DPoPKey:
    r"""A private key, and the proofs of its possession (RFC 9449 section 4). One instance serves all threads.

    It is parsed once, here, and never shown: it has no repr of its private half and cannot be pickled. Its ``alg`` is
    ES256 (P-256), which Auth0 recommends, EdDSA (Ed25519) or RS256 (RSA of 2048 bits at least).

    EdDSA goes by the name of RFC 8037 in proofs, which every implementation knows, unless the server's metadata
    list only the newer one of RFC 9864, ``Ed25519``. Either may be given as ``alg``.

    Args:
        key: The private key: PEM as text or bytes (in which ``\n`` may stand for a line's end), or a JWK as a mapping
            or as JSON text.
        alg: The algorithm; what fits the key when None.
        clock: The time in Unix seconds. When None, the clock of the client that the key is given to.

    Raises:
        ConfigurationError: It is no private key of one of these kinds; the message does not show it.
    """

    __slots__ = ("_clock", "_key", "_name", "_public", "_thumbprint")

    def __init__(
        self,
        key: str | bytes | Mapping[str, Any],
        *,
        alg: str | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        try:
            parsed = _load(key, alg)
        except JoseError as error:
            fault = str(error)
        else:
            self._begin(parsed, clock)
            return
        del key  # lest it be in the frame of the traceback
        raise ConfigurationError(
            f"the DPoP key cannot be used: {fault}; give a private key for {', '.join(ALGORITHMS)} as PEM or JWK"
        )

    @classmethod
    def generate(cls, alg: str = "ES256", *, clock: Callable[[], float] | None = None) -> Self:
        """Make a new key, which lives no longer than the process.

        Sessions outlive processes: see the constructor for a key that is kept.

        Args:
            alg: ES256, EdDSA (or Ed25519) or RS256.
            clock: The time in Unix seconds.

        Raises:
            ConfigurationError: The algorithm is another one.
        """
        if alg not in (*ALGORITHMS, "Ed25519"):
            raise ConfigurationError(f"a DPoP key is for {', '.join(ALGORITHMS)}, not {alg!r}")
        return cls._of(SigningKey.generate("EdDSA" if alg == "Ed25519" else alg), clock)

    @classmethod
    def _of(cls, key: SigningKey, clock: Callable[[], float] | None, name: str | None = None) -> Self:
        self = cls.__new__(cls)
        self._begin(key, clock, name)
        return self

    def _begin(self, key: SigningKey, clock: Callable[[], float] | None, name: str | None = None) -> None:
        self._key = SigningKey(jwk=key.jwk, alg="EdDSA" if key.alg == "Ed25519" else key.alg)
        self._name, self._clock = name or self._key.alg, clock
        self._public: dict[str, str] = key.jwk.export_public(as_dict=True)
        self._public.pop("kid", None)
        self._thumbprint = key.thumbprint()

    @property
    def alg(self) -> str:
        """The algorithm: ES256, EdDSA or RS256."""
        return self._key.alg

    @property
    def thumbprint(self) -> str:
        """The SHA-256 thumbprint of the public key (RFC 7638), which bound tokens carry as ``cnf.jkt``."""
        return self._thumbprint

    @property
    def public_jwk(self) -> dict[str, str]:
        """The public key as a JWK, with its required members alone."""
        return dict(self._public)

    def proof(self, method: str, url: str, *, access_token: str | None = None, nonce: str | None = None) -> str:
        """Sign a proof for one request: the value of its ``DPoP`` header. Never use one twice.

        Args:
            method: The HTTP method.
            url: The URL of the request; query and fragment may be there, and are not signed.
            access_token: The token that is sent with the request; None at a token endpoint.
            nonce: What the server gave last, or None.

        Raises:
            ConfigurationError: An argument cannot be signed; the message shows none.
        """
        if not isinstance(method, str) or not _METHOD(method):
            raise ConfigurationError("a DPoP proof needs the name of an HTTP method")
        if not isinstance(url, str):
            raise _no_url()
        claims: dict[str, Any] = {
            "jti": secrets.token_urlsafe(JTI_BYTES),
            "htm": method.upper(),
            "htu": normalized_htu(url),
            "iat": int((self._clock or time.time)()),
        }
        if access_token is not None:
            claims["ath"] = _hash_of(access_token)
        if nonce is not None:
            claims["nonce"] = _checked_nonce(nonce)
        return self._key.sign(claims, header={"typ": "dpop+jwt", "alg": self._name, "jwk": self._public})

    def with_clock(self, clock: Callable[[], float]) -> Self:
        """Return the key with a clock, unless it has one of its own."""
        return self if self._clock is not None else self._of(self._key, clock, self._name)

    def for_server(self, algorithms: object) -> Self:
        """Return the key under the name by which a server knows its algorithm.

        Args:
            algorithms: ``dpop_signing_alg_values_supported`` of the server's metadata (RFC 9449 section 5.1); what is
                no list of names is taken for none at all, and says nothing.

        Raises:
            ConfigurationError: The server does not take the algorithm.
        """
        if not isinstance(algorithms, list) or not algorithms or self._name in algorithms:
            return self
        synonym = _SYNONYMS.get(self._name)
        if synonym in algorithms:
            return self._of(self._key, self._clock, synonym)
        known = ", ".join(str(name)[:20] for name in algorithms[:10])
        raise ConfigurationError(f"the server takes DPoP proofs by {known}, and the key is for {self.alg}")

    def __repr__(self) -> str:
        if not hasattr(self, "_key"):  # whoever collects the variables of a failed constructor's frame comes here
            return f"{type(self).__name__}()"
        return f"{type(self).__name__}(alg={self.alg!r}, thumbprint={self.thumbprint!r})"

    def __eq__(self, other: object) -> bool:
        return self.thumbprint == other.thumbprint if isinstance(other, DPoPKey) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.thumbprint)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a DPoPKey cannot be pickled or copied: it would leave the process; share its PEM instead")


class DPoPNonceStore:
    """The nonces that servers gave, the newest of each origin (RFC 9449 sections 8 and 9). Safe among threads.

    The nonces of an authorization server and of an API are different things, so each needs a store of its own, even
    where both are at one origin.

    Args:
        maxsize: How many origins are remembered; the least recently used are forgotten.
    """

    def __init__(self, maxsize: int = 1000) -> None:
        self._nonces: TTLCache[str, str] = TTLCache(maxsize=maxsize, ttl=math.inf, monotonic=time.monotonic)

    def __repr__(self) -> str:
        return f"<DPoPNonceStore: {len(self)}>"

    def __len__(self) -> int:
        return len(self._nonces)

    def get(self, url: str) -> str | None:
        """Return the newest nonce of a URL's origin, or None."""
        return self._nonces.get(_origin(url))

    def learn(self, url: str, headers: Mapping[str, str]) -> str | None:
        """Remember the nonce that a reply brought, whatever its status.

        Args:
            url: The URL of the request.
            headers: The reply's headers.

        Returns:
            The nonce; None when there is none, or when it is malformed and so ignored.
        """
        nonce = next((value for name, value in headers.items() if name.lower() == "dpop-nonce"), None)
        if nonce is None or not _is_nonce(nonce):
            return None
        self._nonces.set(_origin(url), nonce)
        return nonce


@lru_cache(maxsize=512)
def normalized_htu(url: str) -> str:
    """Return what a proof says of a URL: without query and fragment, normalized (RFC 9449 section 4.3).

    Args:
        url: An absolute http or https URL.

    Raises:
        ConfigurationError: It is something else.
    """
    scheme, host, port, path = _parts(url)
    # What every client sends for such a path, by RFC 3986 sections 6.2.2 and 6.2.3.
    escaped = re.sub(r"%[0-9A-Fa-f]{2}", _normalized_escape, quote(path, safe="/%:@!$&'()*+,;=-._~"))
    return f"{scheme}://{host}{port}{_without_dots(escaped)}"


def _parts(url: str) -> tuple[str, str, str, str]:
    try:
        parts = urlsplit(url)
        port, name = parts.port, parts.hostname or ""
        host = f"[{name}]" if ":" in name else name if name.isascii() else name.encode("idna").decode("ascii")
    except (ValueError, AttributeError, TypeError):
        raise _no_url() from None
    scheme = parts.scheme.lower()
    if scheme not in _DEFAULT_PORTS or not host:
        raise _no_url()
    shown = "" if port in (None, _DEFAULT_PORTS[scheme]) else f":{port}"
    return scheme, host, shown, parts.path


def _no_url() -> ConfigurationError:
    return ConfigurationError("a DPoP proof is for an absolute http or https URL")


def _normalized_escape(match: re.Match[str]) -> str:
    character = chr(int(match[0][1:], 16))
    return character if re.fullmatch(r"[A-Za-z0-9._~-]", character) else match[0].upper()


def _without_dots(path: str) -> str:
    """Remove dot segments as RFC 3986 section 5.2.4 does."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            kept = kept[:-1]
        elif segment != ".":
            kept.append(segment)
    if segments and segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)


def _origin(url: str) -> str:
    scheme, host, port, _ = _parts(url)
    return f"{scheme}://{host}{port}"


def _load(key: str | bytes | Mapping[str, Any], alg: str | None) -> SigningKey:
    # Both names of the one algorithm are taken, from the argument as from a JWK.
    return load_signing_key(key, algorithms=(*ALGORITHMS, "Ed25519"), alg=alg)


def _is_nonce(nonce: object) -> bool:
    return isinstance(nonce, str) and len(nonce) <= MAX_NONCE_LENGTH and _NONCE(nonce) is not None


def _checked_nonce(nonce: str) -> str:
    if not _is_nonce(nonce):
        raise ConfigurationError("the DPoP nonce has characters that no nonce has")
    return nonce


def _hash_of(access_token: str) -> str:
    if not isinstance(access_token, str) or not _TOKEN(access_token):
        raise ConfigurationError("the access token of a DPoP proof is no printable text")
    return b64url_encode(hashlib.sha256(access_token.encode("ascii")).digest())
