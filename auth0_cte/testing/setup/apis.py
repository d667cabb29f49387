"""Registering APIs, and who may do what at them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auth0_cte.testing.registry.apis import Api, TokenDialect
from auth0_cte.testing.registry.groups import Group

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from auth0_cte.testing.registry.dpop_settings import ProofOfPossession
    from auth0_cte.testing.state import TenantState

__all__ = ["ApiSetup"]


class ApiSetup:
    """Registers APIs, roles and permissions.

    Args:
        state: What the tenant holds.
    """

    def __init__(self, state: TenantState) -> None:
        self._state = state

    def add_api(
        self,
        identifier: str,
        scopes: Iterable[str] | None = None,
        *,
        token_lifetime: int = 86400,
        token_dialect: TokenDialect = "access_token",  # noqa: S107 - no password
        skip_consent: bool = True,
        enforce_policies: bool = False,
        proof_of_possession: ProofOfPossession = "allowed",
    ) -> Api:
        """Register an API. Until there is one, every absolute URI is taken as an audience; afterwards only those.

        Args:
            identifier: Its audience.
            scopes: The scopes that it defines; others are not granted. Any is when None.
            token_lifetime: How long its access tokens live, in seconds.
            token_dialect: ``access_token`` for Auth0's own form of a JWT, ``rfc9068_profile`` for RFC 9068; with
                ``_authz`` behind, the token has the user's ``permissions``.
            skip_consent: Whether no consent is needed; exchanges answer ``consent_required`` when False.
            enforce_policies: Auth0's "Enable RBAC": whether users are granted those scopes alone that their roles and
                permissions allow.
            proof_of_possession: ``none`` (the default of Auth0's own APIs): access tokens are never bound to a DPoP
                key; ``allowed``: they are when the request has a proof; ``required``: there are none without a proof.
        """
        api = Api(
            identifier=identifier,
            scopes=None if scopes is None else frozenset(scopes),
            token_lifetime=token_lifetime,
            token_dialect=token_dialect,
            skip_consent=skip_consent,
            enforce_policies=enforce_policies,
            proof_of_possession=proof_of_possession,
        )
        self._state.apis.add(api)
        return api

    def add_role(self, name: str, permissions: Mapping[str, Iterable[str]] | None = None) -> None:
        """Register a role; one with the same name is replaced.

        Args:
            name: Its name.
            permissions: What it allows: scopes by the identifier of their API.
        """
        self._state.roles.add(name, permissions or {})

    def assign_roles(self, user_id: str, roles: Iterable[str], *, organization: str | None = None) -> None:
        """Give a user roles.

        Args:
            user_id: The id in the tenant.
            roles: The names of the roles.
            organization: The id of the organization that they are for; everywhere when None.

        Raises:
            KeyError: A role does not exist.
        """
        self._state.roles.assign(user_id, roles, organization)

    def add_group(self, name: str, *, members: Iterable[str] = (), roles: Iterable[str] = ()) -> None:
        """Register a group of users, as an identity provider pushes it; one with the same name is replaced.

        Args:
            name: Its name.
            members: The user ids that belong to it.
            roles: The names of the roles that its members have by it.

        Raises:
            KeyError: A role does not exist.
        """
        group = Group(name=name, members=frozenset(members), roles=frozenset(roles))
        for role in sorted(group.roles):
            if not self._state.roles.exists(role):
                raise KeyError(role)
        self._state.groups.add(group)

    def assign_permissions(self, user_id: str, api: str, scopes: Iterable[str]) -> None:
        """Give a user permissions at an API without a role.

        Args:
            user_id: The id in the tenant.
            api: The identifier of the API.
            scopes: The scopes.
        """
        self._state.roles.assign_permissions(user_id, api, scopes)
