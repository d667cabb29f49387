"""DPoP at the tenant: proofs are checked, tokens bound to their keys, and nonces handed out (RFC 9449).

Source of who needs a proof, and whose tokens are bound: Auth0, "Configure Sender Constraining".
"""

from __future__ import annotations

import hashlib
import math
import secrets
import threading
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, TypeAlias

from attrs import Factory, define, evolve, field

from auth0_cte.error import ConfigurationError
from auth0_cte.jose import JoseError, Jws, VerificationKey, b64url_encode
from auth0_cte.oauth.dpop import normalized_htu
from auth0_cte.testing.wire.messages import RefusalError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from auth0_cte.testing.endpoints.token_endpoint import TokenCall
    from auth0_cte.testing.issued.tokens import TokenGrant
    from auth0_cte.testing.registry.apis import Api
    from auth0_cte.testing.state import TenantState
    from auth0_cte.testing.wire.messages import TenantRequest

__all__ = [
    "DPoP",
    "DPoPSettings",
    "ProofOfPossession",
    "bound",
    "nonce_headers",
    "require_binding",
    "verify_proof",
]

ALGORITHMS: Final = ("ES256", "RS256", "EdDSA", "Ed25519")
MAX_AGE: Final = 300
"""How old a proof may be, in seconds."""
MAX_AHEAD: Final = 30
"""How far a client's clock may be ahead, in seconds."""

ProofOfPossession: TypeAlias = Literal["none", "allowed", "required"]
"""What an API wants of its access tokens: never bound, bound when there is a proof, or nothing without a proof."""


@define(kw_only=True, eq=False)
class DPoPSettings:
    """What a tenant wants in proofs, and what it has seen of them. Safe among threads.

    Args:
        clock: Returns Unix seconds.
        algorithms: The algorithms that proofs may be signed by.
        nonce_required: Whether proofs need a nonce of the tenant.
        nonce_lifetime: Seconds until a nonce is followed by another; the last but one is good still.
    """

    clock: Callable[[], float]
    algorithms: tuple[str, ...] = ALGORITHMS
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

    def rotate(self, *, keep_old: bool) -> None:
        """Hand out another nonce from now on."""
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


class DPoP:
    """The part of `LocalTenant` that is about DPoP. The settings hold from the next request on."""

    state: TenantState

    @property
    def dpop_nonce_required(self) -> bool:
        """Whether proofs need a nonce of the tenant, as Auth0 wants of public applications; False at first."""
        return self.state.dpop.nonce_required

    @dpop_nonce_required.setter
    def dpop_nonce_required(self, required: bool) -> None:
        self.state.dpop.nonce_required = required

    @property
    def dpop_nonce_lifetime(self) -> float:
        """Seconds until a nonce is followed by another; 300 at first. The last but one is good still."""
        return self.state.dpop.nonce_lifetime

    @dpop_nonce_lifetime.setter
    def dpop_nonce_lifetime(self, seconds: float) -> None:
        self.state.dpop.nonce_lifetime = seconds

    @property
    def dpop_algorithms(self) -> tuple[str, ...]:
        """The algorithms that proofs may be signed by, as the metadata list them."""
        return self.state.dpop.algorithms

    @dpop_algorithms.setter
    def dpop_algorithms(self, names: Iterable[str]) -> None:
        self.state.dpop.algorithms = tuple(names)

    def rotate_dpop_nonce(self, *, keep_old: bool = False) -> None:
        """Hand out another nonce from now on.

        Args:
            keep_old: Whether proofs with the one before are accepted still.
        """
        self.state.dpop.rotate(keep_old=keep_old)


def verify_proof(state: TenantState, request: TenantRequest, *, access_token: str | None = None) -> str | None:
    """Check the proof of a request by all rules of RFC 9449 section 4.3.

    Args:
        state: The tenant.
        request: The request.
        access_token: The token that the request carries, at an API.

    Returns:
        The thumbprint of its key; None when there is no proof.

    Raises:
        RefusalError: 400 ``invalid_dpop_proof``, or ``use_dpop_nonce`` with the header ``DPoP-Nonce``.
    """
    proof = request.headers.get("dpop")
    if proof is None:
        return None
    claims, thumbprint = _signed(proof, state.dpop.algorithms)
    _check_request(state, request, claims)
    issued = _check_times(state, claims)
    if access_token is not None and claims.get("ath") != _hash(access_token):
        _refuse("ath is not the hash of the access token")
    if state.dpop.nonce_required and not state.dpop.accepts(claims.get("nonce")):
        raise RefusalError(
            400, "use_dpop_nonce", "Authorization server requires nonce in DPoP proof", headers=nonce_headers(state)
        )
    jti = claims.get("jti")
    if not isinstance(jti, str) or not jti:
        _refuse("jti is missing")
    if not state.dpop.use(thumbprint, jti, issued + MAX_AGE):
        _refuse("jti was used before")
    return thumbprint


def _signed(proof: str, algorithms: tuple[str, ...]) -> tuple[Mapping[str, Any], str]:
    try:
        jws = Jws.parse(proof, key_allowed=True)
        member = jws.header.get("jwk")
        key = VerificationKey.from_jwk(member if isinstance(member, dict) else {})
        claims = jws.verify(key) if jws.header.get("alg") in algorithms else None
    except JoseError as error:
        _refuse(str(error))
    if claims is None:
        _refuse("alg is not supported")
    if jws.header.get("typ") != "dpop+jwt":
        _refuse("typ is not dpop+jwt")
    return claims, str(key.jwk.thumbprint())


def _check_request(state: TenantState, request: TenantRequest, claims: Mapping[str, Any]) -> None:
    if claims.get("htm") != request.method:
        _refuse("htm is another method")
    try:
        meant = normalized_htu(str(claims.get("htu")))
    except ConfigurationError:
        _refuse("htu is no URL")
    # A client with a certificate has its proof for the alias that it sends the request to.
    bases = (request.base_url, state.mtls_aliases.get(request.base_url, request.base_url))
    if meant not in [normalized_htu(f"{base}{request.path}") for base in bases]:
        _refuse("htu is another URL")


def _check_times(state: TenantState, claims: Mapping[str, Any]) -> float:
    issued, now = claims.get("iat"), state.clock()
    if isinstance(issued, bool) or not isinstance(issued, int | float) or not math.isfinite(issued):
        _refuse("iat is missing")
    if not now - MAX_AGE <= issued <= now + MAX_AHEAD:
        _refuse("iat is too old, or in the future")
    return issued


def _hash(access_token: str) -> str:
    return b64url_encode(hashlib.sha256(access_token.encode()).digest())


def _refuse(detail: str) -> NoReturn:
    raise RefusalError(400, "invalid_dpop_proof", f"The DPoP proof is invalid: {detail}.")


def nonce_headers(state: TenantState) -> dict[str, str]:
    """Return the header that hands out the nonce of the moment, when proofs need one."""
    return {"dpop-nonce": state.dpop.nonce()} if state.dpop.nonce_required else {}


def require_binding(call: TokenCall, api: Api) -> str | None:
    """Decide whether the access token of a call is bound to a key, before the call has any effect.

    Returns:
        The thumbprint of the key; None for a bearer token.

    Raises:
        RefusalError: The application or the API requires what the other, or the request, does not give.
    """
    required = call.application.require_proof_of_possession
    if call.jkt is None and (required or api.proof_of_possession == "required"):
        raise RefusalError(400, "invalid_dpop_proof", "A DPoP proof is required.")
    if call.jkt is not None and api.proof_of_possession == "none":
        if required:
            detail = f"the application requires proof of possession, but the API {api.identifier!r} has it not allowed"
            raise RefusalError(400, "invalid_request", "The API does not allow DPoP.", detail=detail)
        return None
    return call.jkt


def bound(call: TokenCall, grant: TokenGrant) -> TokenGrant:
    """Return a grant whose tokens are bound as `require_binding` decides.

    The refresh tokens of public applications are bound, too; those of others to their credentials already (RFC 9449
    section 5).
    """
    public = call.application.auth_method == "none"
    return evolve(grant, jkt=require_binding(call, grant.api), refresh_jkt=call.jkt if public else None)
