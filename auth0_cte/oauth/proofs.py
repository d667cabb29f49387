"""Between the token endpoint and a DPoP key: a proof for each attempt, and one more attempt for a nonce.

Source: RFC 9449 sections 5 and 8. The key itself is in `dpop`, which is imported only where there is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from auth0_cte.error import CustomTokenExchangeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auth0_cte.error import Auth0CTEError
    from auth0_cte.foundation.deadline import Deadline
    from auth0_cte.oauth.discovery import Issuer
    from auth0_cte.oauth.dpop import DPoPKey, DPoPNonceStore

__all__ = ["NO_PROOFS", "Proofs", "SignedProofs"]

USE_NONCE: Final = "use_dpop_nonce"


class Proofs:
    """The proofs of one call; of a call that needs none.

    Attributes:
        extra_attempts: How many attempts were made for the sake of a nonce alone.
    """

    extra_attempts: int = 0

    def prove(self, url: str, headers: dict[str, str]) -> None:
        """Add a fresh proof to the headers of an attempt."""

    def learn(self, url: str, headers: Mapping[str, str]) -> None:
        """Remember the nonce that a reply brought, whatever its status."""

    def wants_another(self, error: Auth0CTEError, deadline: Deadline) -> bool:  # noqa: ARG002
        """Tell whether the attempt failed for want of a nonce that is known now; only once a call."""
        return False


NO_PROOFS: Final = Proofs()


class SignedProofs(Proofs):
    """The proofs of one call, signed by a key.

    Args:
        key: The key.
        nonces: The nonces of token endpoints.
        issuer: Whose token endpoint it is.

    Raises:
        ConfigurationError: The server's metadata say that it does not take the key's algorithm.
    """

    def __init__(self, key: DPoPKey, nonces: DPoPNonceStore, issuer: Issuer) -> None:
        self._key = key.for_server(issuer.metadata.get("dpop_signing_alg_values_supported"))
        self._nonces = nonces
        self._given: str | None = None

    def prove(self, url: str, headers: dict[str, str]) -> None:
        """Sign a proof; a caller's own header of that name does not win."""
        for name in [name for name in headers if name.lower() == "dpop"]:
            del headers[name]
        headers["DPoP"] = self._key.proof("POST", url, nonce=self._nonces.get(url))

    def learn(self, url: str, headers: Mapping[str, str]) -> None:
        """Remember the nonce for whoever asks next."""
        self._given = self._nonces.learn(url, headers)

    def wants_another(self, error: Auth0CTEError, deadline: Deadline) -> bool:
        """Tell whether the server asked for the nonce that it gave, so that nothing of the request was carried out."""
        asked = isinstance(error, CustomTokenExchangeError) and (error.status_code, error.error) == (400, USE_NONCE)
        if not asked or self._given is None or self.extra_attempts or deadline.remaining() <= 0:
            return False
        self.extra_attempts = 1
        return True
