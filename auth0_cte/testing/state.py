"""All that a tenant knows, in one place: what is configured and what was issued."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import Factory, define, field

from auth0_cte.testing.actions.profiles import Actions
from auth0_cte.testing.issued.account_requests import AccountRequests
from auth0_cte.testing.issued.connected_accounts import ConnectedAccounts
from auth0_cte.testing.issued.interrupted_grants import InterruptedGrants
from auth0_cte.testing.issued.logins import Logins
from auth0_cte.testing.issued.refresh_tokens import RefreshTokens
from auth0_cte.testing.issued.session_transfers import SessionTransferTokens
from auth0_cte.testing.issued.tokens import TokenIssuer
from auth0_cte.testing.journal import Journal
from auth0_cte.testing.registry.apis import Apis
from auth0_cte.testing.registry.applications import BUILT_IN_AUTHENTICATORS, Applications
from auth0_cte.testing.registry.attack_protection import AttackProtection
from auth0_cte.testing.registry.client_credentials import Certificate, SignedAssertion
from auth0_cte.testing.registry.dpop_settings import DPoPSettings
from auth0_cte.testing.registry.factors import Factors
from auth0_cte.testing.registry.groups import Groups
from auth0_cte.testing.registry.keys import KeyRing
from auth0_cte.testing.registry.organizations import Organizations
from auth0_cte.testing.registry.rate_limits import RateLimits
from auth0_cte.testing.registry.roles import Roles
from auth0_cte.testing.registry.users import Users
from auth0_cte.testing.session_settings import SessionSettings
from auth0_cte.testing.wire.script import Script

if TYPE_CHECKING:
    from collections.abc import Callable

    from auth0_cte.testing.journal import LogEntry
    from auth0_cte.testing.registry.applications import ClientAuthenticator
    from auth0_cte.testing.wire.messages import TenantRequest

__all__ = ["TenantState"]


@define(kw_only=True)
class TenantState:
    """What a tenant holds; what answers requests is the router's.

    Args:
        domain: The host name that the tenant goes by in process.
        clock: Returns Unix seconds.
        strict: Whether what Auth0 refuses is refused here, too, where the tenant is more generous otherwise.
        custom_domains: The host names that it goes by besides.
        issuers: The issuer identifiers that the tenant was reached by so far.
        keys: The signing keys.
        applications: The applications.
        authenticators: The ways in which applications can authenticate.
        client_authorities: The certificates (PEM) that clients' ones are trusted by in the TLS handshake.
        mtls_aliases: The base URLs for clients with certificates, by the usual ones.
        users: The users, and the connections that hold them.
        factors: What users have enrolled for multi-factor authentication.
        organizations: The organizations.
        roles: The roles, and who has which.
        groups: The groups of users.
        apis: The APIs, and which one is the default.
        actions: The Actions, and what they are limited to.
        dpop: What is required of DPoP proofs, and which ones were seen.
        rate_limits: The limits on exchanges.
        attack_protection: The limit on rejected subject tokens.
        sessions: What can be set about refresh tokens, ID tokens and logout.
        logins: The sessions that began and did not end.
        tokens: Signs access and ID tokens.
        refresh_tokens: What was granted, by the refresh tokens issued for it.
        mfa_tokens: What waits for a second factor, by the tokens that continue it.
        account_requests: What was asked for to connect accounts, and waits for the user.
        connected_accounts: The accounts at other providers that users have connected.
        session_transfers: The session transfer tokens that wait for their redemption.
        script: Replies that are scripted ahead of the tenant's own.
        requests: Every request that arrived.
        logs: The tenant log.
    """

    domain: str
    clock: Callable[[], float]
    strict: bool = False
    custom_domains: list[str] = field(factory=list)
    issuers: set[str] = field(factory=set)
    keys: KeyRing = field(factory=KeyRing)
    applications: Applications = field(factory=Applications)
    authenticators: list[ClientAuthenticator] = Factory(
        lambda: [*BUILT_IN_AUTHENTICATORS, SignedAssertion(), Certificate()]
    )
    client_authorities: set[str] = field(factory=set)
    mtls_aliases: dict[str, str] = field(factory=dict)
    users: Users = Factory(lambda self: Users(self.clock), takes_self=True)
    factors: Factors = field(factory=Factors)
    organizations: Organizations = field(factory=Organizations)
    roles: Roles = field(factory=Roles)
    groups: Groups = field(factory=Groups)
    apis: Apis = field(factory=Apis)
    actions: Actions = Factory(lambda self: Actions(self.clock), takes_self=True)
    dpop: DPoPSettings = Factory(lambda self: DPoPSettings(clock=self.clock), takes_self=True)
    rate_limits: RateLimits = Factory(lambda self: RateLimits(self.clock), takes_self=True)
    attack_protection: AttackProtection = Factory(lambda self: AttackProtection(self.clock), takes_self=True)
    sessions: SessionSettings = field(factory=SessionSettings)
    logins: Logins = field(factory=Logins)
    tokens: TokenIssuer = Factory(
        lambda self: TokenIssuer(self.keys, self.clock, self.sessions, self.logins), takes_self=True
    )
    refresh_tokens: RefreshTokens = Factory(lambda self: RefreshTokens(self.clock, self.sessions), takes_self=True)
    mfa_tokens: InterruptedGrants = Factory(lambda self: InterruptedGrants(self.clock), takes_self=True)
    account_requests: AccountRequests = Factory(lambda self: AccountRequests(self.clock), takes_self=True)
    connected_accounts: ConnectedAccounts = Factory(lambda self: ConnectedAccounts(self.clock), takes_self=True)
    session_transfers: SessionTransferTokens = Factory(lambda self: SessionTransferTokens(self.clock), takes_self=True)
    script: Script = Factory(lambda self: Script(self.clock), takes_self=True)
    requests: Journal[TenantRequest] = field(factory=Journal)
    logs: Journal[LogEntry] = field(factory=Journal)

    @property
    def name(self) -> str:
        """The tenant's name: what its host name begins with."""
        return self.domain.partition(".")[0]

    @property
    def last_issuer(self) -> str:
        """The issuer identifier at the address by which the tenant was reached last."""
        requests = list(self.requests)
        return requests[-1].issuer if requests else f"https://{self.domain}/"
