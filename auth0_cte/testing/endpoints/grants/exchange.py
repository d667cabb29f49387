"""The token exchange grant: a request becomes an event, an Action decides, tokens are issued.

Sources: RFC 8693 section 2; Auth0, "Custom Token Exchange".
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from auth0_cte.testing.actions.api import TRIGGER, ActionApi, Commands, UserById
from auth0_cte.testing.actions.records import ABSENT
from auth0_cte.testing.endpoints.grants.actor_token import verify_actor_token
from auth0_cte.testing.endpoints.grants.binding import bound, require_binding
from auth0_cte.testing.endpoints.grants.call import Grant, Outcome
from auth0_cte.testing.endpoints.grants.event import or_absent, request_event
from auth0_cte.testing.endpoints.grants.limited import limited
from auth0_cte.testing.endpoints.grants.on_behalf_of import exchange_on_behalf_of, is_on_behalf_of
from auth0_cte.testing.endpoints.grants.post_login import EXCHANGE, run_post_login
from auth0_cte.testing.endpoints.grants.requirements import ask_for_more
from auth0_cte.testing.endpoints.grants.scopes import with_permissions
from auth0_cte.testing.endpoints.grants.session_transfer import is_session_transfer, session_transfer_api, transfer
from auth0_cte.testing.issued.tokens import TokenGrant
from auth0_cte.testing.wire.messages import RefusalError, json_reply
from auth0_cte.token_types import ACCESS_TOKEN, ID_TOKEN, lint_token_type

if TYPE_CHECKING:
    from auth0_cte.testing.actions.code import Action
    from auth0_cte.testing.endpoints.grants.call import TokenCall
    from auth0_cte.testing.registry.apis import Api
    from auth0_cte.testing.registry.organizations import Organization
    from auth0_cte.testing.registry.users import User
    from auth0_cte.testing.state import TenantState
    from auth0_cte.testing.wire.messages import TenantRequest

__all__ = ["GRANT_TYPE", "TOKEN_EXCHANGE"]

logger: Final = logging.getLogger("auth0_cte.testing")

GRANT_TYPE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"

_UNKNOWN_TYPE: Final = "Invalid subject_token_type and requested_token_type combination."


@frozen(kw_only=True)
class _Asked:
    subject_token: str
    subject_token_type: str
    actor_token: str | None
    actor_token_type: str | None
    scopes: tuple[str, ...]
    organization: Organization | None
    api: Api
    actor_user: User | None


def _exchange(call: TokenCall) -> Outcome:
    state = call.state
    state.attack_protection.check(call.ip)
    if is_on_behalf_of(call.request):
        return exchange_on_behalf_of(call)
    action = _profile(call)
    asked = _read(call)
    require_binding(call, asked.api)
    commands = Commands()
    api = ActionApi(commands, state.actions.cache(TRIGGER), strict=state.strict)
    call.note_console(state.actions.run(action, _event(call, asked), api))
    _obey_denials(call, commands)
    organization = _organization(state, asked, commands)
    grant = TokenGrant(
        issuer=call.request.issuer,
        application=call.application,
        user=_user(call, commands, organization),
        api=asked.api,
        scopes=_scopes(asked, commands, drops_refresh_token=state.sessions.actor_token_drops_refresh_token),
        organization=organization,
        act=commands.actor,
    )
    grant = run_post_login(
        call,
        bound(call, with_permissions(state, grant)),
        asked.scopes,
        protocol=EXCHANGE,
        more=_transaction(asked, commands),
        metadata=commands.transaction_metadata,
    )
    ask_for_more(state, grant, asked.scopes)
    if is_session_transfer(grant.api):
        return transfer(call, grant)
    body = {**state.tokens.reply(grant, asked.scopes), "issued_token_type": ACCESS_TOKEN}
    if "offline_access" in grant.scopes:
        body["refresh_token"] = state.refresh_tokens.issue(grant, call.request)
    return Outcome(
        reply=json_reply(body),
        user_id=grant.user.user_id,
        description="Successful exchange",
        details=_details(grant),
        organization=grant.organization,
    )


def _profile(call: TokenCall) -> Action:
    name = call.request.required("subject_token_type")
    action = call.state.actions.profiles.get(name)
    if action is not None and call.request.one("requested_token_type") is None:
        return action
    detail = (
        f"no profile has the subject_token_type {name!r}" if action is None else "requested_token_type is not taken"
    )
    raise RefusalError(400, "invalid_request", _UNKNOWN_TYPE, detail=detail)


def _read(call: TokenCall) -> _Asked:
    state, request = call.state, call.request
    actor_token, actor_token_type = request.one("actor_token"), request.one("actor_token_type")
    if (actor_token is None) is not (actor_token_type is None):
        missing = "actor_token" if actor_token is None else "actor_token_type"
        raise RefusalError(400, "invalid_request", f"Missing required parameter: {missing}")
    _check_actor_type(state, actor_token_type)
    audience, organization = state.apis.requested(request), request.one("organization")
    is_ours = actor_token is not None and actor_token_type == ID_TOKEN
    return _Asked(
        subject_token=request.required("subject_token"),
        subject_token_type=request.required("subject_token_type"),
        actor_token=actor_token,
        actor_token_type=actor_token_type,
        scopes=tuple((request.one("scope") or "").split()),
        organization=state.organizations.find(organization) if organization else None,
        api=session_transfer_api(state, audience)
        or state.apis.find(audience or state.apis.default_audience, request.issuer),
        actor_user=verify_actor_token(state, actor_token or "", call.application) if is_ours else None,
    )


def _check_actor_type(state: TenantState, actor_token_type: str | None) -> None:
    finding = None if actor_token_type in (None, ID_TOKEN) else lint_token_type(actor_token_type or "")
    if finding is not None and state.strict:
        raise RefusalError(400, "invalid_request", "Invalid actor_token_type.", detail=finding)
    if finding is not None:
        logger.warning("the local tenant is more generous than Auth0: %s", finding)


def _event(call: TokenCall, asked: _Asked) -> dict[str, Any]:
    return {
        **request_event(call, asked.api, asked.organization),
        "transaction": {
            "subject_token": asked.subject_token,
            "subject_token_type": asked.subject_token_type,
            "requested_scopes": asked.scopes,
            "requested_token_type": None,  # a string or null, and no string is taken
            "actor_token": or_absent(asked.actor_token),
            "actor_token_type": or_absent(asked.actor_token_type),
            "actor_token_user": ABSENT if asked.actor_user is None else call.state.users.profile(asked.actor_user),
            "metadata": ABSENT,
        },
    }


def _transaction(asked: _Asked, commands: Commands) -> dict[str, Any]:
    """Return what Post-Login Actions see of the exchange."""
    return {
        "subject_token_type": asked.subject_token_type,
        "actor_token_type": or_absent(asked.actor_token_type),
        "actor": or_absent(commands.actor),
    }


def _obey_denials(call: TokenCall, commands: Commands) -> None:
    rejected = any(denial.invalid_subject_token for denial in commands.denials)
    logs = ("limit_mu",) if rejected and call.state.attack_protection.add(call.ip) else ()
    if commands.denials:
        denial = commands.denials[0]
        detail = f"the Action denied: {denial.reason}"
        status = 500 if denial.code == "server_error" else 400
        raise RefusalError(status, denial.code, denial.reason, detail=detail, further_logs=logs)
    if len(commands.users) != 1:
        detail = f"the Action set the user {len(commands.users)} times; it must do so exactly once"
        raise RefusalError(400, "invalid_request", "The user could not be set.", detail=detail)


def _organization(state: TenantState, asked: _Asked, commands: Commands) -> Organization | None:
    if commands.organization is None:
        return asked.organization
    chosen = state.organizations.find(commands.organization)
    if asked.organization not in (None, chosen):
        detail = f"the Action set the organization {chosen.id!r}, but the request names another"
        raise RefusalError(400, "invalid_request", "Invalid organization.", detail=detail)
    return chosen


def _user(call: TokenCall, commands: Commands, organization: Organization | None) -> User:
    (chosen,) = commands.users
    state, client_id = call.state, call.application.client_id
    if isinstance(chosen, UserById):
        user = state.users.find(chosen.user_id, client_id)
    else:
        user = state.users.set_by_connection(
            chosen.connection, chosen.attributes, client_id, create=chosen.create, replace=chosen.replace
        )
    if organization is not None and not organization.has_member(user.user_id):
        detail = f"the user {user.user_id!r} is not a member of the organization {organization.id!r}"
        raise RefusalError(400, "invalid_request", "Invalid organization.", detail=detail, user_id=user.user_id)
    state.users.merge_metadata(user, commands.app_metadata, commands.user_metadata)
    state.users.count_login(user)
    return user


def _scopes(asked: _Asked, commands: Commands, *, drops_refresh_token: bool) -> tuple[str, ...]:
    # A delegated session has no refresh token; whether an actor token alone makes one, Auth0's pages disagree.
    is_delegated = commands.actor is not None or (asked.actor_token is not None and drops_refresh_token)
    dropped = {"offline_access"} if is_delegated else set()
    return tuple(scope for scope in asked.api.grant(asked.scopes) if scope not in dropped)


def _details(grant: TokenGrant) -> dict[str, Any]:
    actor = {} if grant.act is None else {"actor": grant.act}
    return {"granted_scope": " ".join(grant.scopes), "resource_server": grant.api.identifier, **actor}


def _log_types(request: TenantRequest) -> tuple[str, str]:
    if is_on_behalf_of(request):
        return "success_on_behalf_of_token_exchange", "failed_on_behalf_of_token_exchange"
    return "secte", "fecte"


TOKEN_EXCHANGE: Final = Grant(
    handle=limited(_exchange),
    is_enabled=lambda application: application.token_exchange and application.first_party,
    log_types=_log_types,
)
