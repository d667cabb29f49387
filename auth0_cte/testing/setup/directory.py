"""Registering users, their factors, the connections that hold them, and organizations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from auth0_cte.testing.registry.factors import Factor, FactorKind
from auth0_cte.testing.registry.organizations import Organization
from auth0_cte.testing.registry.users import DATABASE, Connection, User

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from auth0_cte.testing.endpoints.backchannel_logout import BackchannelLogout
    from auth0_cte.testing.issued.connected_accounts import ConnectedAccount
    from auth0_cte.testing.state import TenantState

__all__ = ["DirectorySetup"]


class DirectorySetup:
    """Registers users, factors, connections and organizations.

    Args:
        state: What the tenant holds.
        logouts: What tells applications of sessions that end.
    """

    def __init__(self, state: TenantState, logouts: BackchannelLogout) -> None:
        self._state, self._logouts = state, logouts

    def add_user(
        self,
        /,
        user_id: str,
        *,
        connection: str | None = None,
        blocked: bool = False,
        mfa_required: bool = False,
        mfa_requirements: Mapping[str, Any] | None = None,
        session_expiry: int | None = None,
        app_metadata: Mapping[str, Any] | None = None,
        user_metadata: Mapping[str, Any] | None = None,
        **attributes: Any,
    ) -> User:
        """Add a user; one with the same id is replaced.

        Args:
            user_id: The id in the tenant, e.g. ``auth0|jane``; the part after the last ``|`` is the id within the
                connection.
            connection: The connection that holds the user; taken from the id when None.
            blocked: Whether the user may not log in.
            mfa_required: Whether exchanges answer ``mfa_required``.
            mfa_requirements: What that reply tells about the factors, or None.
            session_expiry: When the session at the user's own identity provider ends, in Unix seconds: a claim of
                every ID token from now on, refreshed ones too. None for no such claim.
            app_metadata: Application metadata.
            user_metadata: General metadata.
            **attributes: ``email``, ``name`` and the like.
        """
        strategy, *path, identity = ["auth0", *user_id.split("|")] if "|" not in user_id else user_id.split("|")
        held_by = path[0] if path else DATABASE if strategy == "auth0" else strategy
        user = User(
            user_id=user_id,
            connection=connection or held_by,
            identity=identity,
            attributes=attributes,
            app_metadata=dict(app_metadata or {}),
            user_metadata=dict(user_metadata or {}),
            blocked=blocked,
            mfa_required=mfa_required,
            mfa_requirements=mfa_requirements,
            session_expiry=session_expiry,
            created_at=self._state.clock(),
        )
        self._state.users.add(user)
        return user

    def enroll_factor(self, user_id: str, kind: FactorKind, *, name: str = "") -> Factor:
        """Enroll a second factor for a user, who is asked for one from now on.

        Args:
            user_id: The id in the tenant.
            kind: ``otp``, ``sms``, ``voice``, ``email``, ``push`` or ``recovery-code``.
            name: What the list of authenticators shows, e.g. ``+49 *** 12``.

        Returns:
            The factor; its ``code()`` is what the user reads, ``approve()`` and ``deny()`` answer a push message.

        Raises:
            KeyError: The user does not exist.
        """
        self._state.users[user_id].mfa_required = True
        factor = Factor(user_id=user_id, kind=kind, clock=self._state.clock, name=name)
        self._state.factors.add(factor)
        return factor

    def block_user(self, user_id: str) -> None:
        """Block a user: applications that registered a back-channel logout URL are told, and have answered then.

        Args:
            user_id: The id in the tenant.

        Raises:
            KeyError: The user does not exist.
        """
        self._state.users[user_id].blocked = True
        self._logouts.user_ended(user_id)

    def delete_user(self, user_id: str) -> None:
        """Delete a user, whose refresh tokens are revoked; applications are told as by `block_user`.

        Args:
            user_id: The id in the tenant.

        Raises:
            KeyError: The user does not exist.
        """
        self._state.users.remove(user_id)
        self._state.refresh_tokens.revoke(user_id)
        self._logouts.user_ended(user_id)

    def connect_account(
        self,
        user_id: str,
        connection: str,
        *,
        scopes: Iterable[str] = (),
        login_hint: str | None = None,
        access_token: str | None = None,
        expires_in: int = 3600,
    ) -> ConnectedAccount:
        """Connect a user's account at another provider, whose tokens Token Vault gives out.

        Args:
            user_id: The id in the tenant.
            connection: The name of the connection.
            scopes: What the provider's tokens are good for.
            login_hint: The account at the provider; the user id when None.
            access_token: The provider's token; a random one when None. When it has expired, another one follows.
            expires_in: How long the provider's tokens live, in seconds.

        Returns:
            The account; set its ``is_revoked`` to let the provider refuse further tokens.

        Raises:
            KeyError: The user does not exist.
        """
        return self._state.connected_accounts.connect(
            self._state.users[user_id].user_id,
            connection,
            scopes=tuple(scopes),
            login_hint=login_hint,
            access_token=access_token,
            expires_in=expires_in,
        )

    def add_connection(
        self,
        name: str,
        *,
        strategy: str = "auth0",
        enabled_clients: Iterable[str] | None = None,
        import_mode: bool = False,
    ) -> Connection:
        """Register a connection. Until there is one, Actions may name any; afterwards only those.

        Args:
            name: Its name.
            strategy: ``"auth0"`` for a database, else Auth0's name of the kind; it begins the ids of its users.
            enabled_clients: The ids of the applications that it is enabled for; all when None.
            import_mode: Whether a database imports users on login; ``setUserByConnection`` cannot be used then.
        """
        clients = None if enabled_clients is None else frozenset(enabled_clients)
        connection = Connection(name=name, strategy=strategy, enabled_clients=clients, import_mode=import_mode)
        self._state.users.add_connection(connection)
        return connection

    def add_organization(
        self,
        organization_id: str,
        *,
        name: str,
        display_name: str | None = None,
        members: Iterable[str] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Organization:
        """Register an organization; one with the same id is replaced.

        Args:
            organization_id: ``org_…``.
            name: Its name.
            display_name: Its name for people; the name when None.
            members: The user ids that belong to it; everybody when None.
            metadata: What the Action sees as ``event.organization.metadata``.
        """
        organization = Organization(
            id=organization_id,
            name=name,
            display_name=display_name or name,
            members=None if members is None else frozenset(members),
            metadata=dict(metadata or {}),
        )
        self._state.organizations.add(organization)
        return organization
