"""What the tenant requires of DPoP proofs (RFC 9449).

Source of who needs a proof, and whose tokens are bound: Auth0, "Configure Sender Constraining".
"""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from attrs import Factory, define, field

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["DPoPSettings", "ProofOfPossession"]

ALGORITHMS: Final = ("ES256", "RS256", "EdDSA", "Ed25519")

ProofOfPossession: TypeAlias = Literal["none", "allowed", "required"]
"""What an API wants of its access tokens: never bound, bound when there is a proof, or nothing without a proof."""


@define(kw_only=True, eq=False)
class DPoPSettings:
    """What a tenant requires of DPoP proofs, and which ones it has seen. Safe among threads.

    Changes apply from the next request on: ``tenant.dpop.nonce_required = True``.

    Args:
        clock: Returns Unix seconds.
        algorithms: The algorithms that proofs may be signed with, as the metadata list them.
        nonce_required: Whether proofs need a nonce of the tenant, which Auth0 requires of public applications.
        nonce_lifetime: Seconds until a nonce is replaced; the previous one is still accepted.
    """

    clock: Callable[[], float]
    algorithms: Sequence[str] = ALGORITHMS
    nonce_required: bool = False
    nonce_lifetime: float = 300
    _nonces: list[str] = field(factory=lambda: [secrets.token_urlsafe(18)], init=False)
    _since: float = field(init=False, default=Factory(lambda self: self.clock(), takes_self=True))
    _seen: dict[tuple[str, str], float] = field(factory=dict, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    def nonce(self) -> str:
        """Return the nonce of the moment."""
        with self._lock:
            return self._current()[0]

    def accepts(self, nonce: object) -> bool:
        """Tell whether a proof may have a nonce."""
        with self._lock:
            return nonce in self._current()

    def rotate_nonce(self, *, keep_old: bool = False) -> None:
        """Hand out another nonce from now on.

        Args:
            keep_old: Whether proofs with the previous nonce are still accepted.
        """
        with self._lock:
            self._renew()
            if not keep_old:
                del self._nonces[1:]

    def use(self, thumbprint: str, jti: str, until: float) -> bool:
        """Remember a proof as long as it could come again; return False when it came before."""
        now = self.clock()
        with self._lock:
            self._seen = {each: end for each, end in self._seen.items() if end >= now}
            if (thumbprint, jti) in self._seen:
                return False
            self._seen[thumbprint, jti] = until
            return True

    def _current(self) -> list[str]:
        if self.clock() >= self._since + self.nonce_lifetime:
            self._renew()
        return self._nonces

    def _renew(self) -> None:
        self._nonces = [secrets.token_urlsafe(18), *self._nonces[:1]]
        self._since = self.clock()
