"""Whose tokens are bound to a DPoP key (Auth0, "Configure Sender Constraining"; RFC 9449 section 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from auth0_cte.testing.wire.messages import RefusalError

if TYPE_CHECKING:
    from auth0_cte.testing.endpoints.grants.call import TokenCall
    from auth0_cte.testing.issued.tokens import TokenGrant
    from auth0_cte.testing.registry.apis import Api

__all__ = ["bound", "require_binding"]


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
