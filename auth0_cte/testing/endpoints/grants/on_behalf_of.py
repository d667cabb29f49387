"""On-Behalf-Of: an API exchanges the access token that it was called with for one of another API.

Source: Auth0, "On-Behalf-Of Token Exchange".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from auth0_cte.jose import JoseError, Jws
from auth0_cte.testing.endpoints.grants.binding import bound
from auth0_cte.testing.endpoints.grants.call import Outcome
from auth0_cte.testing.endpoints.grants.post_login import EXCHANGE, run_post_login
from auth0_cte.testing.endpoints.grants.requirements import ask_for_more
from auth0_cte.testing.endpoints.grants.scopes import with_permissions
from auth0_cte.testing.issued.tokens import TokenGrant
from auth0_cte.testing.registry.apis import OIDC_SCOPES
from auth0_cte.testing.wire.messages import RefusalError, json_reply
from auth0_cte.token_types import ACCESS_TOKEN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auth0_cte.testing.endpoints.grants.call import TokenCall
    from auth0_cte.testing.registry.organizations import Organization
    from auth0_cte.testing.registry.users import User
    from auth0_cte.testing.state import TenantState

__all__ = ["exchange_on_behalf_of", "is_on_behalf_of"]

MAX_ACTOR_LEVELS: Final = 5


def is_on_behalf_of(call: TokenCall) -> bool:
    """Tell whether a request is for an access token in exchange for an access token."""
    form = call.request.form
    return form.get("subject_token_type") == ACCESS_TOKEN == form.get("requested_token_type")


def exchange_on_behalf_of(call: TokenCall) -> Outcome:
    """Issue the access token of another API, without ID token and refresh token.

    Raises:
        RefusalError: The application is a public one, the subject token is invalid, or its chain of actors is full.
    """
    state, request, application = call.state, call.request, call.application
    if application.auth_method == "none":
        raise RefusalError(403, "unauthorized_client", "On-Behalf-Of is not allowed for the client.")
    claims = _verify(state, request.required("subject_token"), application.resource_server)
    requested = tuple((request.one("scope") or "").split())
    api = state.apis.find(request.required("audience"), request.issuer)
    grant = TokenGrant(
        issuer=request.issuer,
        application=application,
        user=_user(state, claims),
        api=api,
        scopes=tuple(scope for scope in api.grant(requested) if scope not in OIDC_SCOPES),
        organization=_organization(state, claims, request.one("organization")),
        act=_chain(claims, application.client_id),
    )
    grant = bound(call, with_permissions(state, grant))
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


def _verify(state: TenantState, token: str, own_api: str | None) -> dict[str, Any]:
    try:
        jws = Jws.parse(token)
        claims = jws.verify(state.keys.verification_keys().select(jws.header))
    except JoseError as error:
        raise _refusal(str(error)) from None
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if claims.get("iss") not in state.issuers:
        raise _refusal("it is of another issuer")
    if claims.get("exp", 0) <= state.clock():
        raise _refusal("it has expired")
    if _client(claims) is None:
        raise _refusal("it is not an access token")
    if own_api is not None and own_api not in audiences:
        raise _refusal("it is for another API than the application's own")
    return claims


def _client(claims: Mapping[str, Any]) -> str | None:
    # Auth0's own profile of access tokens says azp, RFC 9068 client_id; ID tokens of the tenant say neither.
    client: str | None = claims.get("azp", claims.get("client_id"))
    return client


def _chain(claims: Mapping[str, Any], client_id: str) -> dict[str, Any]:
    """Put the application before those who acted so far; the first of all is whom the user's token was issued to."""
    chain: dict[str, Any] = {"sub": client_id, "act": claims.get("act") or {"sub": _client(claims)}}
    levels = 0
    level: dict[str, Any] | None = chain
    while level is not None:
        levels, level = levels + 1, level.get("act")
    if levels > MAX_ACTOR_LEVELS:
        description = "Delegation chain (`act` claim) depth exceeds the maximum allowed limit of 4"
        raise RefusalError(400, "invalid_request", description)
    return chain


def _user(state: TenantState, claims: Mapping[str, Any]) -> User:
    user = state.users.get(str(claims.get("sub")))
    if user is None or user.blocked:
        raise _refusal("its user does not exist or is blocked")
    return user


def _organization(state: TenantState, claims: Mapping[str, Any], asked: str | None) -> Organization | None:
    held = claims.get("org_id")
    name = asked or held
    organization = state.organizations.find(name) if name else None
    if organization is not None and held not in (None, organization.id):
        raise RefusalError(400, "invalid_request", "Invalid organization.", detail="the subject token names another")
    return organization


def _refusal(detail: str) -> RefusalError:
    detail = f"the subject token is invalid: {detail}"
    return RefusalError(400, "invalid_request", "Invalid subject_token.", detail=detail)
