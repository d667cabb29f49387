"""DPoP proofs are checked, and nonces handed out (RFC 9449)."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any, Final, NoReturn

from auth0_cte.foundation.urls import normalized
from auth0_cte.jose import JoseError, Jws, VerificationKey, b64url_encode
from auth0_cte.testing.wire.messages import RefusalError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from auth0_cte.testing.state import TenantState
    from auth0_cte.testing.wire.messages import TenantRequest

__all__ = ["nonce_headers", "verify_proof"]

MAX_AGE: Final = 300
"""How old a proof may be, in seconds."""
MAX_AHEAD: Final = 30
"""How far a client's clock may be ahead, in seconds."""


def verify_proof(state: TenantState, request: TenantRequest, *, access_token: str | None = None) -> str | None:
    """Check the proof of a request by all rules of RFC 9449 section 4.3.

    Args:
        state: The tenant.
        request: The request.
        access_token: The token that the request carries, at an API.

    Returns:
        The thumbprint of its key; None without a proof.

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


def _signed(proof: str, algorithms: Sequence[str]) -> tuple[Mapping[str, Any], str]:
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
        meant = normalized(str(claims.get("htu")))
    except ValueError:
        _refuse("htu is not a URL")
    # A client with a certificate has its proof for the alias that it sends the request to.
    bases = (request.base_url, state.mtls_aliases.get(request.base_url, request.base_url))
    if meant not in [normalized(f"{base}{request.path}") for base in bases]:
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
