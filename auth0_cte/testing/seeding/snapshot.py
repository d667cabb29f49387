"""What a tenant was at some moment, to return to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from auth0_cte.testing.issued.account_requests import AccountRequests
from auth0_cte.testing.issued.interrupted_grants import InterruptedGrants
from auth0_cte.testing.issued.refresh_tokens import RefreshTokens
from auth0_cte.testing.issued.session_transfers import SessionTransferTokens

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from auth0_cte.testing.actions.code import Action
    from auth0_cte.testing.issued.connected_accounts import ConnectedAccounts
    from auth0_cte.testing.registry.apis import Apis
    from auth0_cte.testing.registry.applications import Applications
    from auth0_cte.testing.registry.factors import Factors
    from auth0_cte.testing.registry.groups import Groups
    from auth0_cte.testing.registry.organizations import Organizations
    from auth0_cte.testing.registry.roles import Roles
    from auth0_cte.testing.registry.users import Users
    from auth0_cte.testing.state import TenantState

__all__ = ["Snapshot", "forget_what_happened"]


@frozen(kw_only=True)
class Snapshot:
    """All that was registered with a tenant; not its settings, keys and clock."""

    custom_domains: tuple[str, ...]
    applications: Applications
    users: Users
    factors: Factors
    organizations: Organizations
    roles: Roles
    groups: Groups
    apis: Apis
    connected_accounts: ConnectedAccounts
    profiles: Mapping[str, Action]
    post_login: tuple[Action, ...]

    @classmethod
    def take(cls, state: TenantState) -> Self:
        """Copy what is registered."""
        return cls(
            custom_domains=tuple(state.custom_domains),
            applications=state.applications.copy(),
            users=state.users.copy(),
            factors=state.factors.copy(),
            organizations=state.organizations.copy(),
            roles=state.roles.copy(),
            groups=state.groups.copy(),
            apis=state.apis.copy(),
            connected_accounts=state.connected_accounts.copy(),
            profiles=dict(state.actions.profiles),
            post_login=tuple(state.actions.post_login),
        )

    def restore(self, state: TenantState) -> None:
        """Register what was, and nothing else."""
        state.custom_domains[:] = self.custom_domains
        state.applications = self.applications.copy()
        state.users = self.users.copy()
        state.factors = self.factors.copy()
        state.organizations = self.organizations.copy()
        state.roles = self.roles.copy()
        state.groups = self.groups.copy()
        state.apis = self.apis.copy()
        state.connected_accounts = self.connected_accounts.copy()
        state.actions.restore(self.profiles, self.post_login)


def forget_what_happened(state: TenantState) -> None:
    """Drop what was issued, counted, scripted and recorded."""
    state.refresh_tokens = RefreshTokens(state.clock, state.sessions)
    state.account_requests = AccountRequests(state.clock)
    state.mfa_tokens = InterruptedGrants(state.clock)
    state.session_transfers = SessionTransferTokens(state.clock)
    state.logins.clear()
    state.attack_protection.clear()
    state.script.clear()
    state.requests.clear()
    state.logs.clear()
