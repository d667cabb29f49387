"""The refresh token grant (RFC 6749 section 6), with rotation and multi-resource refresh tokens as Auth0 has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import evolve

from auth0_cte.testing.endpoints.grants.binding import bound
from auth0_cte.testing.endpoints.grants.call import Grant, Outcome
from auth0_cte.testing.endpoints.grants.post_login import REFRESH, run_post_login
from auth0_cte.testing.endpoints.grants.requirements import ask_for_more
from auth0_cte.testing.endpoints.grants.scopes import with_permissions
from auth0_cte.testing.issued.refresh_tokens import invalid_refresh_token
from auth0_cte.testing.registry.apis import OIDC_SCOPES
from auth0_cte.testing.wire.messages import RefusalError, json_reply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auth0_cte.testing.endpoints.grants.call import TokenCall
    from auth0_cte.testing.issued.tokens import TokenGrant
    from auth0_cte.testing.registry.apis import Api
    from auth0_cte.testing.registry.users import User

__all__ = ["GRANT_TYPE", "REFRESH_TOKEN"]

GRANT_TYPE: Final = "refresh_token"


def _refresh(call: TokenCall) -> Outcome:
    state, client_id = call.state, call.application.client_id
    token = call.request.required("refresh_token")
    held = state.refresh_tokens.use(token, client_id)
    _check_key(call, held)
    requested = tuple((call.request.one("scope") or "").split())
    grant = bound(call, with_permissions(state, _renewed(call, held, requested)))
    grant = _changed(call, grant, requested or held.scopes, token)
    ask_for_more(state, grant, requested or held.scopes)
    state.refresh_tokens.exchanged(token, call.request, grant.refresh_token)
    # Used up last, so that a refusal does not cost it.
    rotated = state.refresh_tokens.rotate(token, client_id) if state.sessions.rotate_refresh_tokens else None
    body = state.tokens.reply(grant, requested or held.scopes, id_token=state.sessions.refresh_id_token)
    body["scope"] = " ".join(grant.scopes)  # always: Auth0, "Use Refresh Tokens"
    if rotated is not None:
        body["refresh_token"] = rotated
    return Outcome(
        reply=json_reply(body),
        user_id=grant.user.user_id,
        description="Successful exchange of a refresh token",
        details={"granted_scope": " ".join(grant.scopes), "resource_server": grant.api.identifier},
    )


def _changed(call: TokenCall, grant: TokenGrant, requested: Sequence[str], token: str) -> TokenGrant:
    """Run the Post-Login Actions, which may revoke the refresh token."""
    changes = call.state.refresh_tokens.changes(token)
    try:
        return run_post_login(call, grant, requested, protocol=REFRESH, refresh_token=changes)
    except RefusalError as refusal:
        if changes.is_revoked:
            call.state.refresh_tokens.revoke_token(token, call.application.client_id)
            refusal.further_logs = (*refusal.further_logs, "srrt")
        raise


def _check_key(call: TokenCall, held: TokenGrant) -> None:
    if held.refresh_jkt is not None and call.jkt is None:
        raise RefusalError(400, "invalid_dpop_proof", "A DPoP proof is required.", user_id=held.user.user_id)
    if held.refresh_jkt not in (None, call.jkt):
        raise invalid_refresh_token("the refresh token is bound to another DPoP key", held.user.user_id)


def _renewed(call: TokenCall, held: TokenGrant, requested: Sequence[str]) -> TokenGrant:
    """Return what this refresh grants: the login's grant, for the API and the scopes that the request names."""
    user = _user(call, held)
    api = _api(call, held)
    return evolve(
        held,
        issuer=call.request.issuer,
        application=call.application,
        user=user,
        api=api,
        scopes=_scopes(call, held, api, requested),
        refresh_token=None,
    )


def _user(call: TokenCall, held: TokenGrant) -> User:
    user_id = held.user.user_id
    user = call.state.users.get(user_id)  # as the user is now, who may have been replaced since the login
    if user is None or user.blocked:
        state = "does not exist any more" if user is None else "is blocked"
        raise invalid_refresh_token(f"the user {user_id!r} {state}", user_id)
    if held.organization is not None:
        organization = call.state.organizations.find(held.organization.id)
        if not organization.has_member(user_id):
            detail = f"the user {user_id!r} is no longer a member of the organization {organization.id!r}"
            raise invalid_refresh_token(detail, user_id)
    return user


def _api(call: TokenCall, held: TokenGrant) -> Api:
    audience = call.request.one("audience")
    if audience in (None, held.api.identifier):
        # The login may have come by another address, and its userinfo endpoint with it.
        was_userinfo = held.api.identifier == f"{held.issuer}userinfo"
        return call.state.apis.find(None, call.request.issuer) if was_userinfo else held.api
    return call.state.apis.find(audience, call.request.issuer)


def _scopes(call: TokenCall, held: TokenGrant, api: Api, requested: Sequence[str]) -> tuple[str, ...]:
    """Narrow the login's scopes; for another audience, grant that one's beside what the login had of OpenID's."""
    if call.request.one("audience") in (None, held.api.identifier):
        return tuple(scope for scope in held.scopes if not requested or scope in requested)
    asked = requested or (*(scope for scope in held.scopes if scope in OIDC_SCOPES), *sorted(api.scopes or ()))
    return tuple(scope for scope in api.grant(asked) if scope in held.scopes or scope not in OIDC_SCOPES)


REFRESH_TOKEN: Final = Grant.make(_refresh, "sertft", "fertft")
