"""On-Behalf-Of: an API exchanges the access token that it was called with for one of another API.

Source: Auth0, "On-Behalf-Of Token Exchange".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from auth0_cte.testing.endpoints.grants.binding import bound
from auth0_cte.testing.endpoints.grants.call import Outcome
from auth0_cte.testing.endpoints.grants.post_login import EXCHANGE, run_post_login
from auth0_cte.testing.endpoints.grants.requirements import ask_for_more
from auth0_cte.testing.endpoints.grants.scopes import with_permissions
from auth0_cte.testing.endpoints.grants.subject import client_of, verify_subject_token
from auth0_cte.testing.issued.tokens import TokenGrant
from auth0_cte.testing.registry.apis import OIDC_SCOPES
from auth0_cte.testing.wire.messages import RefusalError, json_reply
from auth0_cte.token_types import ACCESS_TOKEN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auth0_cte.testing.endpoints.grants.call import TokenCall
    from auth0_cte.testing.registry.organizations import Organization
    from auth0_cte.testing.state import TenantState
    from auth0_cte.testing.wire.messages import TenantRequest

__all__ = ["exchange_on_behalf_of", "is_on_behalf_of"]

MAX_ACTOR_LEVELS: Final = 5


def is_on_behalf_of(request: TenantRequest) -> bool:
    """Tell whether a request is for an access token in exchange for an access token."""
    form = request.form
    return form.get("subject_token_type") == ACCESS_TOKEN == form.get("requested_token_type")


def exchange_on_behalf_of(call: TokenCall) -> Outcome:
    """Issue the access token of another API, without ID token and refresh token.

    Raises:
        RefusalError: The application is a public one, the subject token is invalid, or its chain of actors is full.
    """
    state, request, application = call.state, call.request, call.application
    if application.auth_method == "none":
        raise RefusalError(403, "unauthorized_client", "On-Behalf-Of is not allowed for the client.")
    claims = verify_subject_token(state, request.required("subject_token"), application.resource_server)
    requested = tuple((request.one("scope") or "").split())
    api = state.apis.find(request.required("audience"), request.issuer)
    grant = TokenGrant(
        issuer=request.issuer,
        application=application,
        user=state.users[str(claims["sub"])],
        api=api,
        scopes=tuple(scope for scope in api.grant(requested or sorted(api.scopes or ())) if scope not in OIDC_SCOPES),
        organization=_organization(state, claims, request.one("organization")),
        act=_chain(claims, application.client_id),
    )
    grant = bound(call, with_permissions(state, grant))
    if not grant.scopes and (requested or api.enforce_policies):
        detail = f"the user may have none of the scopes at {api.identifier!r}"
        raise RefusalError(403, "access_denied", "Insufficient permissions.", detail=detail, user_id=grant.user.user_id)
    more = {"subject_token_type": ACCESS_TOKEN, "actor": grant.act}
    grant = run_post_login(call, grant, requested, protocol=EXCHANGE, more=more)
    ask_for_more(state, grant, requested)
    body = {**state.tokens.reply(grant, requested, id_token=False), "issued_token_type": ACCESS_TOKEN}
    return Outcome(
        reply=json_reply(body),
        user_id=grant.user.user_id,
        description="Successful On-Behalf-Of exchange",
        details={"granted_scope": " ".join(grant.scopes), "resource_server": api.identifier, "actor": grant.act},
    )


def _chain(claims: Mapping[str, Any], client_id: str) -> dict[str, Any]:
    """Put the application before those who acted so far; the first of all is whom the user's token was issued to."""
    chain: dict[str, Any] = {"sub": client_id, "act": claims.get("act") or {"sub": client_of(claims)}}
    levels = 0
    level: dict[str, Any] | None = chain
    while level is not None:
        levels, level = levels + 1, level.get("act")
    if levels > MAX_ACTOR_LEVELS:
        description = "Delegation chain (`act` claim) depth exceeds the maximum allowed limit of 4"
        raise RefusalError(400, "invalid_request", description)
    return chain


def _organization(state: TenantState, claims: Mapping[str, Any], asked: str | None) -> Organization | None:
    held = claims.get("org_id")
    name = asked or held
    organization = state.organizations.find(name) if name else None
    if organization is not None and held not in (None, organization.id):
        raise RefusalError(400, "invalid_request", "Invalid organization.", detail="the subject token names another")
    return organization
