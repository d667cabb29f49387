"""The tenant's signing keys: made when first needed, published, rotated."""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve

from auth0_cte.jose import KeySet, SigningKey, VerificationKey

if TYPE_CHECKING:
    from auth0_cte.testing.registry.applications import Application

__all__ = ["ID_TOKEN_ALGORITHMS", "KeyRing"]

ID_TOKEN_ALGORITHMS: Final = ("RS256", "PS256", "ES256", "HS256")
"""What an application's ID tokens can be signed with; Auth0 has all but ES256."""

_RSA: Final = ("RS256", "PS256")


class _RsaPool:
    """The RSA keys of this process: they take about a tenth of a second to make, so all tenants share them.

    The kid tells whose key it is. A tenant never takes one twice, so that what it signed is told apart.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: list[SigningKey] = []

    def key(self, index: int) -> SigningKey:
        """Return a key by its number, from 0."""
        with self._lock:
            while len(self._keys) <= index:
                self._keys.append(SigningKey.generate("RS256"))
            return self._keys[index]


_pool: Final = _RsaPool()


class KeyRing:
    """The keys of a tenant, one for each algorithm in use, and those that rotation left behind.

    They are made, or taken from the pool of the process, when something is signed or published.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = 0
        self._algorithms = ["RS256"]
        self._current: dict[str, SigningKey] = {}
        self._previous: list[SigningKey] = []

    def use(self, algorithm: str) -> None:
        """Have a key for an algorithm from now on, published before its first signature."""
        with self._lock:
            if algorithm != "HS256" and algorithm not in self._algorithms:
                self._algorithms.append(algorithm)

    def current(self, algorithm: str = "RS256") -> SigningKey:
        """Return the key that signs now."""
        with self._lock:
            return self._key(algorithm)

    def id_token_key(self, application: Application) -> SigningKey:
        """Return the key of an application's ID tokens; for HS256 that is its secret (OpenID Connect Core 10.1)."""
        if application.id_token_alg == "HS256":
            secret = VerificationKey.from_secret(application.client_secret or "")
            return SigningKey(jwk=secret.jwk, alg="HS256")
        return self.current(application.id_token_alg)

    def rotate(self, *, keep_old: bool) -> None:
        """Retire the current keys; they stay published or not."""
        with self._lock:
            retired = [self._key(algorithm) for algorithm in self._algorithms]
            self._previous = [*retired, *self._previous] if keep_old else []
            self._current.clear()

    def jwks(self) -> dict[str, Any]:
        """Return the published key set (RFC 7517 section 5), the current keys first."""
        with self._lock:
            keys = [*(self._key(algorithm) for algorithm in self._algorithms), *self._previous]
        return {"keys": [key.public_jwk() for key in keys]}

    def verification_keys(self) -> KeySet:
        """Return the published keys, ready to verify with."""
        return KeySet.from_jwks(self.jwks())

    def _key(self, algorithm: str) -> SigningKey:
        if algorithm not in self._current:
            self._current[algorithm] = self._next(algorithm)
        return self._current[algorithm]

    def _next(self, algorithm: str) -> SigningKey:
        kid = secrets.token_urlsafe(16)
        if algorithm not in _RSA:
            return SigningKey.generate(algorithm, kid=kid)
        self._taken += 1
        return evolve(_pool.key(self._taken - 1), alg=algorithm, kid=kid)
