"""Session transfer tokens: issued to one application, redeemed once by another (Auth0, "Session Delegation")."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from auth0_cte.testing.endpoints.grants.call import Outcome
from auth0_cte.testing.issued.session_transfers import LIFETIME, TransferredSession
from auth0_cte.testing.registry.apis import Api
from auth0_cte.testing.wire.messages import RefusalError, json_reply
from auth0_cte.token_types import SESSION_TRANSFER_TOKEN

if TYPE_CHECKING:
    from auth0_cte.testing.endpoints.grants.call import TokenCall
    from auth0_cte.testing.issued.tokens import TokenGrant
    from auth0_cte.testing.state import TenantState

__all__ = ["is_session_transfer", "session_transfer_api", "transfer"]

_AUDIENCE: Final = re.compile(r"urn:(.+):session_transfer").fullmatch


def is_session_transfer(api: Api) -> bool:
    """Tell whether an audience stands for session transfer."""
    return _AUDIENCE(api.identifier) is not None


def session_transfer_api(state: TenantState, audience: str | None) -> Api | None:
    """Return what stands for the API of a session transfer; None for any other audience.

    Raises:
        RefusalError: The audience names a domain that is not the tenant's.
    """
    match = _AUDIENCE(audience or "")
    if match is None:
        return None
    addresses = [urlsplit(issuer) for issuer in state.issuers]
    names = {state.domain, *state.custom_domains, *(each.netloc for each in addresses)}
    if match[1] not in names | {each.hostname for each in addresses}:
        raise RefusalError(400, "access_denied", f"Service not found: {audience}")
    return Api(identifier=match[0], token_lifetime=LIFETIME)


def transfer(call: TokenCall, grant: TokenGrant) -> Outcome:
    """Issue a session transfer token instead of an access token.

    Raises:
        RefusalError: The application is a public one, or the Action set no actor.
    """
    if call.application.auth_method == "none":
        raise RefusalError(403, "unauthorized_client", "Session transfer is not allowed for the client.")
    if grant.act is None:
        description = "An actor is required to issue a session transfer token."
        raise RefusalError(400, "invalid_request", description, detail="the Action did not call setActor")
    if "act" in grant.act:
        description = "A session transfer token has one actor."
        raise RefusalError(400, "invalid_request", description, detail="the Action set an actor with a prior actor")
    session = TransferredSession(
        user=grant.user,
        actor=grant.act,
        organization_id=None if grant.organization is None else grant.organization.id,
        client_id=call.application.client_id,
        ip=call.ip,
    )
    body = {
        "access_token": call.state.session_transfers.issue(session),
        "issued_token_type": SESSION_TRANSFER_TOKEN,
        "token_type": "N_A",
        "expires_in": LIFETIME,
    }
    return Outcome(
        reply=json_reply(body),
        user_id=grant.user.user_id,
        description="Successful exchange for a session transfer token",
        details={"resource_server": grant.api.identifier, "actor": grant.act},
    )
