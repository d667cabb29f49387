"""DPoP: the key that access tokens are bound to, the proofs that it signs, and the nonces that servers want in them.

Source: RFC 9449; Auth0, "Demonstrating Proof-of-Possession (DPoP)".
"""

from __future__ import annotations

import hashlib
import math
import re
import secrets
import time
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

from auth0_cte.error import ConfigurationError, CustomTokenExchangeError
from auth0_cte.foundation.boundary import guarded
from auth0_cte.foundation.deadline import system_clock
from auth0_cte.foundation.ttl_cache import TTLCache
from auth0_cte.foundation.urls import Url, normalized
from auth0_cte.jose import JoseError, SigningKey, b64url_encode, load_signing_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from auth0_cte.error import Auth0CTEError
    from auth0_cte.oauth.token_endpoint import TokenRequest

__all__ = ["DPoPKey", "DPoPNonceStore", "ProvenRequest"]

ALGORITHMS: Final = ("ES256", "EdDSA", "RS256")
MAX_NONCE_LENGTH: Final = 1024
JTI_BYTES: Final = 24
USE_NONCE: Final = "use_dpop_nonce"

# RFC 9449 section 8.1: 1*NQCHAR.
_NONCE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+").fullmatch
_TOKEN: Final = re.compile(r"[\x21-\x7e]+").fullmatch
_METHOD: Final = re.compile(r"[A-Za-z]+").fullmatch
# The names that RFC 8037 and RFC 9864 give to the same algorithm.
_SYNONYMS: Final = {"EdDSA": "Ed25519", "Ed25519": "EdDSA"}


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
        ConfigurationError: It is not a private key of one of these kinds; the message does not show it.
    """

    __slots__ = ("_clock", "_key", "_name", "_public", "_thumbprint")

    @guarded()
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
            raise ConfigurationError(
                f"the DPoP key cannot be used: {error}; give a private key for {', '.join(ALGORITHMS)} as PEM or JWK"
            ) from None
        self._begin(parsed, clock)

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
        claims: dict[str, Any] = {
            "jti": secrets.token_urlsafe(JTI_BYTES),
            "htm": method.upper(),
            "htu": _normalized(url),
            "iat": int((self._clock or system_clock)()),
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
                not a list of names is taken for none at all, and says nothing.

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


class ProvenRequest:
    """Adds a fresh proof to each attempt of a token request, and asks for one more for a nonce (sections 5 and 8).

    Args:
        key: The key.
        nonces: The nonces of token endpoints.
        request: The token request.

    Raises:
        ConfigurationError: The server's metadata say that it does not take the key's algorithm.
    """

    def __init__(self, key: DPoPKey, nonces: DPoPNonceStore, request: TokenRequest) -> None:
        self._key = key.for_server(request.issuer.metadata.get("dpop_signing_alg_values_supported"))
        self._nonces = nonces
        self._has_repeated = False

    def before(self, request: TokenRequest) -> None:
        """Sign a proof; a caller's own header of that name does not win."""
        request.own_headers["DPoP"] = self._key.proof("POST", request.url, nonce=self._nonces.get(request.url))

    def replied(self, request: TokenRequest) -> None:
        """Remember the nonce that the reply brought."""
        self._learn(request)

    def failed(self, request: TokenRequest, error: Auth0CTEError) -> bool:
        """Tell whether the server asked for the nonce that it gave; only once a call.

        Nothing of the request was carried out then: the server refused it before it looked at the token in it.
        """
        given = self._learn(request)
        # Servers differ in how they ask: RFC 9449 section 8 has 400 and use_dpop_nonce, APIs (section 9) have 401.
        challenge = "" if request.reply is None else request.reply.headers.get("www-authenticate", "")
        asked = (
            isinstance(error, CustomTokenExchangeError)
            and error.status_code in (400, 401)
            and (error.error in (USE_NONCE, "invalid_dpop_proof") or USE_NONCE in challenge)
        )
        if not asked or given is None or self._has_repeated or request.call.deadline.remaining() <= 0:
            return False
        self._has_repeated = True
        return True

    def _learn(self, request: TokenRequest) -> str | None:
        return None if request.reply is None else self._nonces.learn(request.url, request.reply.headers)


def _normalized(url: str) -> str:
    """Return what a proof says of a URL, without query and fragment (RFC 9449 section 4.3)."""
    try:
        return normalized(url)
    except (ValueError, TypeError):  # TypeError: what cannot be remembered by its hash
        raise _not_a_url() from None


def _origin(url: str) -> str:
    try:
        return Url.parse(url).origin
    except ValueError:
        raise _not_a_url() from None


def _not_a_url() -> ConfigurationError:
    return ConfigurationError("a DPoP proof is for an absolute http or https URL")


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
        raise ConfigurationError("the access token of a DPoP proof must be printable ASCII text")
    return b64url_encode(hashlib.sha256(access_token.encode("ascii")).digest())
