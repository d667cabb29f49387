"""All that a tenant knows, in one place, for the parts that serve its endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from attrs import Factory, define, field

from auth0_cte.testing.action_cache import ActionCache
from auth0_cte.testing.apis import Apis
from auth0_cte.testing.applications import BUILT_IN_AUTHENTICATORS, Applications
from auth0_cte.testing.journal import Journal
from auth0_cte.testing.keys import KeyRing
from auth0_cte.testing.organizations import Organizations
from auth0_cte.testing.protection import RejectCounter
from auth0_cte.testing.refresh_tokens import RefreshTokens
from auth0_cte.testing.script import Script
from auth0_cte.testing.session_settings import SessionSettings
from auth0_cte.testing.users import Users

if TYPE_CHECKING:
    from collections.abc import Callable

    from auth0_cte.testing.actions import Action
    from auth0_cte.testing.applications import ClientAuthenticator
    from auth0_cte.testing.journal import LogEntry
    from auth0_cte.testing.messages import Reply, TenantRequest
    from auth0_cte.testing.token_endpoint import Grant
    from auth0_cte.testing.tokens import TokenGrant

__all__ = ["Endpoint", "TenantState"]


@define(kw_only=True)
class TenantState:
    """What a tenant holds.

    A further feature is a further entry: an endpoint by path and method, a grant by its type, a way to authenticate.

    Args:
        domain: The host name that the tenant goes by in process.
        clock: Returns Unix seconds.
        default_audience: The API of requests that name none, or None.
        issuers: The issuer identifiers that the tenant was reached by so far.
        session_settings: What can be set about refresh tokens, ID tokens and logout.
        refresh_tokens: What was granted, by the refresh tokens issued for it.
        mfa_tokens: What waits for a second factor, by the tokens that continue it.
        endpoints: What answers, by path and then by method.
        grants: The grants of the token endpoint by ``grant_type``.
        authenticators: The ways in which applications can authenticate.
    """

    domain: str
    clock: Callable[[], float]
    default_audience: str | None = None
    keys: KeyRing = field(factory=KeyRing)
    applications: Applications = field(factory=Applications)
    users: Users = field(factory=Users)
    organizations: Organizations = field(factory=Organizations)
    apis: Apis = field(factory=Apis)
    actions: dict[str, Action] = field(factory=dict)
    action_cache: ActionCache = Factory(lambda self: ActionCache(self.clock), takes_self=True)
    rejects: RejectCounter = Factory(lambda self: RejectCounter(self.clock), takes_self=True)
    requests: Journal[TenantRequest] = field(factory=Journal)
    logs: Journal[LogEntry] = field(factory=Journal)
    script: Script = field(factory=Script)
    issuers: set[str] = field(factory=set)
    session_settings: SessionSettings = field(factory=SessionSettings)
    refresh_tokens: RefreshTokens = Factory(
        lambda self: RefreshTokens(self.clock, self.session_settings), takes_self=True
    )
    mfa_tokens: dict[str, TokenGrant] = field(factory=dict)
    endpoints: dict[str, dict[str, Endpoint]] = field(factory=dict)
    grants: dict[str, Grant] = field(factory=dict)
    authenticators: list[ClientAuthenticator] = Factory(lambda: list(BUILT_IN_AUTHENTICATORS))


Endpoint: TypeAlias = "Callable[[TenantState, TenantRequest], Reply]"
"""What answers the requests to one path by one method."""
