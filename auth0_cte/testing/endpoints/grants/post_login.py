"""Post-Login Actions: they run in order after an exchange or a refresh, and change what is issued.

Source: Auth0, "Actions Triggers: post-login" and "Custom Token Exchange".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from attrs import evolve

from auth0_cte.testing.actions.post_login import TRIGGER, PostLoginApi
from auth0_cte.testing.actions.post_login_commands import PostLoginCommands
from auth0_cte.testing.actions.records import ABSENT, SharedRecord
from auth0_cte.testing.actions.refresh_token import RefreshTokenChanges
from auth0_cte.testing.endpoints.grants.event import or_absent, request_event
from auth0_cte.testing.endpoints.grants.requirements import ask_for_second_factor
from auth0_cte.testing.registry.roles import role_as_member
from auth0_cte.testing.wire.messages import RefusalError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from auth0_cte.testing.endpoints.grants.call import TokenCall
    from auth0_cte.testing.issued.tokens import TokenGrant

__all__ = ["EXCHANGE", "REFRESH", "run_post_login"]

EXCHANGE: Final = "oauth2-token-exchange"
REFRESH: Final = "oauth2-refresh-token"
# What the events of logins in a browser, of agents, or behind Auth0's edge have.
_ABSENT: Final = (*("agent", "authentication", "prompt", "security_context", "session", "session_transfer_token"),)


def run_post_login(
    call: TokenCall,
    grant: TokenGrant,
    requested: Sequence[str],
    *,
    protocol: str,
    more: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    refresh_token: RefreshTokenChanges | None = None,
) -> TokenGrant:
    """Run the Post-Login Actions, and return the grant as they changed it.

    Args:
        call: The request.
        grant: What is to be granted.
        requested: The scopes that the request named.
        protocol: What the Actions see as ``event.transaction.protocol``.
        more: Further members of ``event.transaction``.
        metadata: Transaction metadata that an earlier Action left.
        refresh_token: The refresh token of a refresh, which Actions can change.

    Raises:
        RefusalError: An Action denied, failed, asked for a second factor, or called what a token request cannot do.
    """
    state = call.state
    if not state.actions.post_login:
        return grant
    commands = PostLoginCommands(
        transaction_metadata=SharedRecord(metadata or {}), refresh_token=refresh_token or RefreshTokenChanges()
    )
    transaction = {"protocol": protocol, "requested_scopes": list(requested), **(more or {})}
    try:
        _run_all(call, grant, commands, transaction)
    finally:
        # A denial does not cancel what was set of the user, "such as metadata changes".
        owner = state.users.get(commands.primary_user or "", grant.user)
        state.users.merge_metadata(owner, commands.app_metadata, commands.user_metadata)
    if commands.denial is not None:
        detail = f"a Post-Login Action denied: {commands.denial}"
        raise RefusalError(403, "access_denied", commands.denial, detail=detail, user_id=grant.user.user_id)
    if commands.unsupported is not None:
        detail = f"a Post-Login Action called api.{commands.unsupported}, which a token request cannot do"
        raise RefusalError(500, "server_error", "The exchange could not be completed.", detail=detail)
    changed = _changed(call, grant, commands)
    if commands.multifactor:
        ask_for_second_factor(state, changed, requested)
    return changed


def _run_all(call: TokenCall, grant: TokenGrant, commands: PostLoginCommands, transaction: Mapping[str, Any]) -> None:
    actions, user_id = call.state.actions, grant.user.user_id
    roles = call.state.roles.names(user_id, _organization_id(grant), call.state.groups.roles(user_id))
    groups = [group.as_member() for group in call.state.groups.of(user_id)]
    api = PostLoginApi(commands, actions.cache(TRIGGER), groups=groups, roles=list(map(role_as_member, roles)))
    budget = actions.budget()
    for action in list(actions.post_login):
        event = _event(call, grant, commands, {**transaction, "metadata": commands.transaction_metadata})
        personal, had_primary = dict(commands.user_metadata), commands.primary_user
        call.note_console(actions.run(action, event, api, budget))
        if commands.primary_user != had_primary:
            commands.user_metadata = personal  # Auth0, "Actions Limitations": what the same Action set is lost
        if commands.denial is not None:
            return


def _organization_id(grant: TokenGrant) -> str | None:
    return None if grant.organization is None else grant.organization.id


def _event(
    call: TokenCall, grant: TokenGrant, commands: PostLoginCommands, transaction: Mapping[str, Any]
) -> dict[str, Any]:
    state, user = call.state, grant.user
    common = request_event(call, grant.api, grant.organization)
    is_userinfo = grant.api.identifier == f"{grant.issuer}userinfo"
    return {
        **common,
        **dict.fromkeys(_ABSENT, ABSENT),
        "authorization": {"roles": state.roles.names(user.user_id, _organization_id(grant))},
        "connection": state.users.connection(user).as_event(),
        "custom_domain": _custom_domain(call),
        "refresh_token": or_absent(commands.refresh_token.view),
        "request": {**common["request"], "asn": ABSENT, "query": dict(parse_qsl(call.request.query))},
        "resource_server": ABSENT if is_userinfo else common["resource_server"],
        "stats": {"logins_count": user.logins},
        "transaction": {"actor": ABSENT, "actor_token_type": ABSENT, "subject_token_type": ABSENT, **transaction},
        "user": state.users.profile(user),
    }


def _custom_domain(call: TokenCall) -> Any:
    domain = call.request.hostname
    return {"domain": domain, "domain_metadata": {}} if domain in call.state.custom_domains else ABSENT


def _changed(call: TokenCall, grant: TokenGrant, commands: PostLoginCommands) -> TokenGrant:
    scopes = dict.fromkeys((*grant.scopes, *commands.added_scopes))
    user = (
        grant.user
        if commands.primary_user is None
        else call.state.users.find(commands.primary_user, call.application.client_id)
    )
    return evolve(
        grant,
        user=user,
        scopes=tuple(scope for scope in scopes if scope not in commands.removed_scopes),
        access_claims=commands.access_claims,
        id_claims=commands.id_claims,
        refresh_token=commands.refresh_token,
    )
