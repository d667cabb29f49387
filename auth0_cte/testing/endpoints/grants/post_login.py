"""Post-Login Actions: they run in order after an exchange or a refresh, and change what is issued.

Source: Auth0, "Actions Triggers: post-login" and "Custom Token Exchange".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import evolve

from auth0_cte.testing.actions.post_login import TRIGGER, PostLoginApi, PostLoginCommands
from auth0_cte.testing.actions.records import ABSENT
from auth0_cte.testing.endpoints.grants.event import request_event
from auth0_cte.testing.endpoints.grants.requirements import ask_for_second_factor
from auth0_cte.testing.wire.messages import RefusalError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from auth0_cte.testing.endpoints.grants.call import TokenCall
    from auth0_cte.testing.issued.tokens import TokenGrant

__all__ = ["EXCHANGE", "REFRESH", "run_post_login"]

EXCHANGE: Final = "oauth2-token-exchange"
REFRESH: Final = "oauth2-refresh-token"


def run_post_login(
    call: TokenCall,
    grant: TokenGrant,
    requested: Sequence[str],
    *,
    protocol: str,
    more: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> TokenGrant:
    """Run the Post-Login Actions, and return the grant as they changed it.

    Args:
        call: The request.
        grant: What is to be granted.
        requested: The scopes that the request named.
        protocol: What the Actions see as ``event.transaction.protocol``.
        more: Further members of ``event.transaction``.
        metadata: Transaction metadata that an earlier Action left.

    Raises:
        RefusalError: An Action denied, failed, asked for a second factor, or called what a token request cannot do.
    """
    state = call.state
    if not state.actions.post_login:
        return grant
    commands = PostLoginCommands(transaction_metadata=dict(metadata or {}))
    transaction = {"protocol": protocol, "requested_scopes": list(requested), **(more or {})}
    try:
        _run_all(call, grant, commands, transaction)
    finally:
        # A denial does not cancel what was set of the user, "such as metadata changes".
        state.users.merge_metadata(grant.user, commands.app_metadata, commands.user_metadata)
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
    actions = call.state.actions
    api = PostLoginApi(commands, actions.cache(TRIGGER))
    for action in list(actions.post_login):
        event = _event(call, grant, {**transaction, "metadata": dict(commands.transaction_metadata)})
        call.note_console(actions.run(action, event, api))
        if commands.denial is not None:
            return


def _event(call: TokenCall, grant: TokenGrant, transaction: Mapping[str, Any]) -> dict[str, Any]:
    state, user = call.state, grant.user
    common = request_event(call, grant.api, grant.organization)
    organization_id = None if grant.organization is None else grant.organization.id
    is_userinfo = grant.api.identifier == f"{grant.issuer}userinfo"
    return {
        **common,
        "authorization": {"roles": state.roles.names(user.user_id, organization_id)},
        "connection": state.users.connection(user).as_event(),
        "resource_server": ABSENT if is_userinfo else common["resource_server"],
        "session": ABSENT,
        "stats": {"logins_count": user.logins},
        "transaction": {"actor": ABSENT, "actor_token_type": ABSENT, "subject_token_type": ABSENT, **transaction},
        "user": state.users.profile(user),
    }


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
    )
