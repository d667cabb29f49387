"""What the tenant publishes: its metadata (OpenID Connect Discovery 1.0, section 3) and its keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from auth0_cte.testing.registry.keys import ID_TOKEN_ALGORITHMS
from auth0_cte.testing.wire.messages import RefusalError, json_reply

if TYPE_CHECKING:
    from collections.abc import Iterable

    from auth0_cte.testing.state import TenantState
    from auth0_cte.testing.wire.messages import Reply, TenantRequest

__all__ = ["serve_configuration", "serve_jwks"]

_CACHEABLE: Final = {"cache-control": "public, max-age=15, stale-while-revalidate=15, stale-if-error=86400"}
_PATHS: Final = {
    "authorization_endpoint": "authorize",
    "token_endpoint": "oauth/token",
    "userinfo_endpoint": "userinfo",
    "mfa_challenge_endpoint": "mfa/challenge",
    "jwks_uri": ".well-known/jwks.json",
    "revocation_endpoint": "oauth/revoke",
}
_ALIASED: Final = ("token_endpoint", "mfa_challenge_endpoint", "userinfo_endpoint", "revocation_endpoint")


def serve_configuration(grants: Iterable[str], state: TenantState, request: TenantRequest) -> Reply:
    """Answer with the metadata. It names more endpoints than are served here, as a client would expect of Auth0.

    Args:
        grants: The ``grant_type`` values that the token endpoint takes.
        state: The tenant.
        request: The request.
    """
    metadata: dict[str, Any] = {
        "issuer": request.issuer,
        **{name: f"{request.issuer}{path}" for name, path in _PATHS.items()},
        "scopes_supported": ["openid", "profile", "offline_access", "name", "email", "phone", "address"],
        "response_types_supported": ["code", "id_token", "code id_token"],
        "grant_types_supported": sorted(grants),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": list(ID_TOKEN_ALGORITHMS),
        "token_endpoint_auth_methods_supported": sorted(
            {"self_signed_tls_client_auth", *(each.method for each in state.authenticators)}
        ),
        "dpop_signing_alg_values_supported": list(state.dpop.algorithms),
        "claims_supported": ["aud", "email", "email_verified", "exp", "iat", "iss", "name", "nickname", "sub"],
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
    }
    alias = state.mtls_aliases.get(request.base_url)
    if alias is not None:
        metadata["mtls_endpoint_aliases"] = {name: f"{alias}/{_PATHS[name]}" for name in _ALIASED}
    if state.sessions.rp_initiated_logout:
        metadata["end_session_endpoint"] = f"{request.issuer}oidc/logout"
    return json_reply(metadata, headers=_CACHEABLE)


def serve_jwks(state: TenantState, request: TenantRequest) -> Reply:
    """Answer with the key set; without a User-Agent with 403, as Auth0's edge does."""
    if not request.headers.get("user-agent", "").strip():
        raise RefusalError(403, "access_denied", "Forbidden", detail="the request has no User-Agent")
    return json_reply(state.keys.jwks(), headers=_CACHEABLE)
