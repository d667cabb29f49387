"""Session transfer tokens: issued to one application, redeemed once by another (Auth0, "Session Delegation")."""

from __future__ import annotations

import re
import secrets
import threading
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from attrs import frozen

from auth0_cte.testing.endpoints.token_endpoint import Outcome
from auth0_cte.testing.registry.apis import Api
from auth0_cte.testing.wire.messages import RefusalError, json_reply
from auth0_cte.token_types import SESSION_TRANSFER_TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from auth0_cte.testing.endpoints.token_endpoint import TokenCall
    from auth0_cte.testing.issued.tokens import TokenGrant
    from auth0_cte.testing.registry.users import User
    from auth0_cte.testing.state import TenantState

__all__ = ["SessionTransferTokens", "TransferredSession", "is_session_transfer", "session_transfer_api", "transfer"]

LIFETIME: Final = 60
"""How long a token waits for its redemption, in seconds."""

_AUDIENCE: Final = re.compile(r"urn:(.+):session_transfer").fullmatch


@frozen(kw_only=True)
class TransferredSession:
    """What the redemption of a session transfer token begins at Auth0: a delegated session.

    Args:
        user: Whose session it is.
        actor: Who acts in it.
        organization_id: The organization that it is in, or None.
        client_id: The application that the token was issued to.
        ip: The address that the token was bound to.
    """

    user: User
    actor: Mapping[str, Any]
    organization_id: str | None
    client_id: str
    ip: str


class SessionTransferTokens:
    """The session transfer tokens that are out. Safe among threads.

    Args:
        clock: Returns Unix seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._issued: dict[str, tuple[TransferredSession, float]] = {}

    def __len__(self) -> int:
        return len(self._issued)

    def __repr__(self) -> str:
        return f"<SessionTransferTokens: {len(self)}>"  # the tokens are credentials

    def issue(self, session: TransferredSession) -> str:
        """Make a token."""
        token = f"stt_{secrets.token_urlsafe(32)}"
        with self._lock:
            self._issued[token] = (session, self._clock() + LIFETIME)
        return token

    def redeem(self, token: str, ip: str) -> TransferredSession:
        """Use a token up; a failed attempt does so, too.

        Raises:
            ValueError: It is unknown, was used before, has expired, or comes from another address.
        """
        with self._lock:
            found = self._issued.pop(token, None)
        if found is None:
            raise ValueError("the session transfer token is unknown, or was used before")
        session, expires_at = found
        if self._clock() >= expires_at:
            raise ValueError("the session transfer token has expired")
        if ip != session.ip:
            raise ValueError("the session transfer token is bound to another IP address")
        return session


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
