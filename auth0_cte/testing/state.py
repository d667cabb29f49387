"""All that a tenant knows, in one place, for the parts that serve its endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from attrs import Factory, define, field

from auth0_cte.testing.actions.cache import ActionCache
from auth0_cte.testing.endpoints.dpop import DPoPSettings
from auth0_cte.testing.endpoints.mfa import InterruptedGrants
from auth0_cte.testing.endpoints.protection import RejectCounter
from auth0_cte.testing.endpoints.rate_limits import RateLimits
from auth0_cte.testing.endpoints.session_transfer import SessionTransferTokens
from auth0_cte.testing.issued.refresh_tokens import RefreshTokens
from auth0_cte.testing.journal import Journal
from auth0_cte.testing.registry.apis import Apis
from auth0_cte.testing.registry.applications import BUILT_IN_AUTHENTICATORS, Applications
from auth0_cte.testing.registry.client_credentials import Certificate, SignedAssertion
from auth0_cte.testing.registry.factors import Factors
from auth0_cte.testing.registry.keys import KeyRing
from auth0_cte.testing.registry.organizations import Organizations
from auth0_cte.testing.registry.users import Users
from auth0_cte.testing.session_settings import SessionSettings
from auth0_cte.testing.wire.script import Script

if TYPE_CHECKING:
    from collections.abc import Callable

    from auth0_cte.testing.actions.runner import Action
    from auth0_cte.testing.endpoints.token_endpoint import Grant
    from auth0_cte.testing.journal import LogEntry
    from auth0_cte.testing.registry.applications import ClientAuthenticator
    from auth0_cte.testing.wire.messages import Reply, TenantRequest

__all__ = ["Endpoint", "TenantState"]


@define(kw_only=True)
class TenantState:
    """What a tenant holds.

    A further feature is a further entry: an endpoint by path and method, a grant by its type, a way to authenticate.

    Args:
        domain: The host name that the tenant goes by in process.
        clock: Returns Unix seconds.
        default_audience: The API of requests that name none, or None.
        custom_domains: The host names that it goes by besides.
        issuers: The issuer identifiers that the tenant was reached by so far.
        session_settings: What can be set about refresh tokens, ID tokens and logout.
        refresh_tokens: What was granted, by the refresh tokens issued for it.
        session_transfers: The session transfer tokens that wait for their redemption.
        factors: What users have enrolled for multi-factor authentication.
        mfa_tokens: What waits for a second factor, by the tokens that continue it.
        dpop: What is wanted in DPoP proofs, and was seen of them.
        client_authorities: The certificates (PEM) that clients' ones are trusted by in the TLS handshake.
        mtls_aliases: The base URLs for clients with certificates, by the usual ones.
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
    rate_limits: RateLimits = Factory(lambda self: RateLimits(self.clock), takes_self=True)
    rejects: RejectCounter = Factory(lambda self: RejectCounter(self.clock), takes_self=True)
    requests: Journal[TenantRequest] = field(factory=Journal)
    logs: Journal[LogEntry] = field(factory=Journal)
    script: Script = field(factory=Script)
    custom_domains: list[str] = field(factory=list)
    issuers: set[str] = field(factory=set)
    session_settings: SessionSettings = field(factory=SessionSettings)
    refresh_tokens: RefreshTokens = Factory(
        lambda self: RefreshTokens(self.clock, self.session_settings), takes_self=True
    )
    factors: Factors = field(factory=Factors)
    mfa_tokens: InterruptedGrants = Factory(lambda self: InterruptedGrants(self.clock), takes_self=True)
    session_transfers: SessionTransferTokens = Factory(lambda self: SessionTransferTokens(self.clock), takes_self=True)
    dpop: DPoPSettings = Factory(lambda self: DPoPSettings(clock=self.clock), takes_self=True)
    client_authorities: set[str] = field(factory=set)
    mtls_aliases: dict[str, str] = field(factory=dict)
    endpoints: dict[str, dict[str, Endpoint]] = field(factory=dict)
    grants: dict[str, Grant] = field(factory=dict)
    authenticators: list[ClientAuthenticator] = Factory(
        lambda: [*BUILT_IN_AUTHENTICATORS, SignedAssertion(), Certificate()]
    )


Endpoint: TypeAlias = "Callable[[TenantState, TenantRequest], Reply]"
"""What answers the requests to one path by one method."""
