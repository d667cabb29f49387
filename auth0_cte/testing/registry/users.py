"""The tenant's users, and the connections that hold them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any, Final

from attrs import define, field, frozen

from auth0_cte.testing.journal import iso_date
from auth0_cte.testing.wire.messages import RefusalError

__all__ = ["Connection", "User", "Users"]

DATABASE: Final = "Username-Password-Authentication"
"""The database connection that every new Auth0 tenant has."""

# Auth0 forms user ids as "strategy|id" for these, and as "strategy|connection|id" for enterprise connections.
_SHORT_IDS: Final = frozenset({"auth0", "apple", "facebook", "github", "google-oauth2", "windowslive"})
_IMMUTABLE: Final = ("email", "username", "phone_number")
_FLAGS: Final = ("email_verified", "phone_verified")


@frozen(kw_only=True)
class Connection:
    """A connection.

    Args:
        name: Its name.
        strategy: ``"auth0"`` for a database, else Auth0's name of the kind, e.g. ``"samlp"`` or ``"google-oauth2"``.
        enabled_clients: The ids of the applications that it is enabled for; None for all.
        import_mode: Whether a database imports its users on login.
    """

    name: str
    strategy: str = "auth0"
    enabled_clients: frozenset[str] | None = None
    import_mode: bool = False

    @property
    def id(self) -> str:
        """Its identifier, which follows from the name here."""
        return f"con_{hashlib.sha256(self.name.encode()).hexdigest()[:16]}"

    def as_event(self) -> dict[str, Any]:
        """Return the connection as Actions see it."""
        return {"id": self.id, "name": self.name, "strategy": self.strategy}

    def user_id(self, identity: str) -> str:
        """Form the tenant-wide user id of an identity in this connection."""
        if self.strategy in _SHORT_IDS:
            return f"{self.strategy}|{identity}"
        return f"{self.strategy}|{self.name}|{identity}"


@define(kw_only=True)
class User:
    """A user.

    Args:
        user_id: The id in the tenant, which tokens carry as ``sub``.
        connection: The name of the connection that holds the user.
        identity: The id within that connection.
        attributes: ``email``, ``name`` and the like.
        app_metadata: Set by Actions.
        user_metadata: Set by Actions.
        blocked: Whether the user may not log in.
        mfa_required: Whether a second factor is asked for.
        mfa_requirements: What the ``mfa_required`` reply tells about the factors, or None.
        session_expiry: When the session at the user's own identity provider ends, in Unix seconds; the claim of that
            name in ID tokens. None when that provider does not say.
        logins: How many exchanges set this user.
        created_at: When the user was created, in Unix seconds.
        updated_at: When the user was changed last, in Unix seconds; None for never.
    """

    user_id: str
    connection: str
    identity: str
    attributes: dict[str, Any] = field(factory=dict)
    app_metadata: dict[str, Any] = field(factory=dict)
    user_metadata: dict[str, Any] = field(factory=dict)
    blocked: bool = False
    mfa_required: bool = False
    mfa_requirements: Mapping[str, Any] | None = None
    session_expiry: int | None = None
    logins: int = 0
    created_at: float = 0.0
    updated_at: float | None = None


class Users(Mapping[str, User]):
    """The users of a tenant by user id. Until a connection is registered, every name is one.

    Args:
        clock: Returns Unix seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._users: dict[str, User] = {}
        self._connections: dict[str, Connection] = {}

    def __getitem__(self, user_id: str) -> User:
        return self._users[user_id]

    def __iter__(self) -> Iterator[str]:
        with self._lock:
            return iter(list(self._users))

    def __len__(self) -> int:
        return len(self._users)

    def add(self, user: User) -> None:
        """Add a user; one with the same id is replaced."""
        with self._lock:
            self._users[user.user_id] = user

    def remove(self, user_id: str) -> None:
        """Delete a user.

        Raises:
            KeyError: The user does not exist.
        """
        with self._lock:
            del self._users[user_id]

    def add_connection(self, connection: Connection) -> None:
        """Register a connection; from now on only registered ones exist."""
        with self._lock:
            self._connections[connection.name] = connection

    def find(self, user_id: str, client_id: str) -> User:
        """Return a user who may log in.

        Args:
            user_id: The id in the tenant.
            client_id: The application that asks.

        Raises:
            RefusalError: The user does not exist, is blocked, or is held by a connection that is not enabled for the
                application.
        """
        with self._lock:
            user = self._users.get(user_id)
        if user is None:
            raise _refusal(f"the user {user_id!r} does not exist", user_id)
        _check_enabled(self.connection(user), client_id, user_id)
        return _unblocked(user)

    def profile(self, user: User) -> dict[str, Any]:
        """Return a user's profile as Actions see it."""
        connection = self.connection(user)
        identity = {
            "connection": connection.name,
            "provider": connection.strategy,
            "user_id": user.identity,
            "isSocial": connection.strategy in _SHORT_IDS - {"auth0"},
        }
        return {
            "user_id": user.user_id,
            "created_at": iso_date(user.created_at),
            "updated_at": iso_date(user.created_at if user.updated_at is None else user.updated_at),
            "email_verified": False,
            **user.attributes,
            "identities": [identity],
            "app_metadata": dict(user.app_metadata),
            "user_metadata": dict(user.user_metadata),
        }

    def set_by_connection(
        self, connection: str, attributes: Mapping[str, Any], client_id: str, *, create: bool, replace: bool
    ) -> User:
        """Find or create a user by the identity in a connection.

        Args:
            connection: The connection's name.
            attributes: The profile; its ``user_id`` is the id within the connection.
            client_id: The application that asks.
            create: Whether a user who does not exist is created.
            replace: Whether the profile of one who does is replaced.

        Raises:
            RefusalError: The connection or the user does not exist, the connection is not enabled for the application
                or imports its users, the user is blocked, an immutable attribute differs, or the e-mail address is
                another user's.
        """
        # verify_email steers the mail at creation and does not belong to the profile.
        profile = {name: value for name, value in attributes.items() if name not in ("user_id", "verify_email")}
        given = {name: value for name, value in profile.items() if value is not None}
        with self._lock:
            place = self._connection(connection)
            _check_enabled(place, client_id, None)
            if place.import_mode:
                raise _refusal(f"the connection {place.name!r} imports its users; use setUserById", None)
            user = self._identity(connection, attributes["user_id"])
            if user is None:
                return self._create(place, attributes["user_id"], given, create=create)
            kept = _checked(_unblocked(user), given)
            if replace:
                user.attributes, user.updated_at = {**kept, **given}, self._clock()
            return user

    def merge_metadata(self, user: User, app: Mapping[str, Any], personal: Mapping[str, Any]) -> None:
        """Merge metadata into a user's; None removes."""
        with self._lock:
            user.app_metadata = _merged(user.app_metadata, app)
            user.user_metadata = _merged(user.user_metadata, personal)
            user.updated_at = self._clock() if app or personal else user.updated_at

    def count_login(self, user: User) -> None:
        """Count an exchange that set a user."""
        with self._lock:
            user.logins += 1

    def connections(self) -> list[Connection]:
        """Return the connections: those that are registered, else those that Auth0's new tenants have."""
        with self._lock:
            known = list(self._connections.values())
        return known or [_usual(DATABASE), _usual("google-oauth2")]

    def copy(self) -> Users:
        """Copy the users and connections."""
        other = Users(self._clock)
        with self._lock:
            other._users = deepcopy(self._users)
            other._connections = dict(self._connections)
        return other

    def connection(self, user: User) -> Connection:
        """Return the connection that holds a user."""
        with self._lock:
            return self._connections.get(user.connection) or _usual(user.connection)

    def _connection(self, name: str) -> Connection:
        if name in self._connections:
            return self._connections[name]
        if self._connections:
            raise _refusal(f"the connection {name!r} does not exist", None)
        return _usual(name)

    def _identity(self, connection: str, identity: str) -> User | None:
        for user in self._users.values():
            if (user.connection, user.identity) == (connection, identity):
                return user
        return None

    def _create(self, place: Connection, identity: str, given: dict[str, Any], *, create: bool) -> User:
        user_id = place.user_id(identity)
        if not create:
            raise _refusal(f"the connection {place.name!r} has no user {identity!r}, and creation is off", user_id)
        if user_id in self._users:
            raise _refusal(f"the user {user_id!r} exists already, in another connection", user_id)
        self._check_email(place, given.get("email"), user_id)
        self._users[user_id] = User(
            user_id=user_id,
            connection=place.name,
            identity=identity,
            attributes=given,
            created_at=self._clock(),
        )
        return self._users[user_id]

    def _check_email(self, place: Connection, email: object, user_id: str) -> None:
        """Refuse the e-mail address of another user, which is unique in a database connection alone."""
        if place.strategy != "auth0" or not isinstance(email, str):
            return
        for user in self._users.values():
            if user.connection == place.name and str(user.attributes.get("email", "")).lower() == email.lower():
                raise _refusal(f"the e-mail address is that of {user.user_id!r} already", user_id)


def _usual(name: str) -> Connection:
    return Connection(name=name, strategy=name if name in _SHORT_IDS else "auth0")


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**old, **new}.items() if value is not None}


def _checked(user: User, given: Mapping[str, Any]) -> dict[str, Any]:
    """Refuse what cannot be changed, and return what stays although it is not given."""
    old = user.attributes
    changed = [name for name in _IMMUTABLE if name in given and given[name] != old.get(name)]
    changed += [name for name in _FLAGS if name in given and bool(given[name]) != bool(old.get(name))]
    if changed:
        raise _refusal(f"{', '.join(changed)} of {user.user_id!r} cannot be changed", user.user_id)
    return {name: old[name] for name in (*_IMMUTABLE, *_FLAGS) if name in old}


def _check_enabled(connection: Connection, client_id: str, user_id: str | None) -> None:
    if connection.enabled_clients is not None and client_id not in connection.enabled_clients:
        detail = f"the connection {connection.name!r} is not enabled for the application {client_id!r}"
        raise _refusal(detail, user_id)


def _unblocked(user: User) -> User:
    if user.blocked:
        raise _refusal(f"the user {user.user_id!r} is blocked", user.user_id)
    return user


def _refusal(detail: str, user_id: str | None) -> RefusalError:
    return RefusalError(400, "invalid_request", "The user could not be set.", detail=detail, user_id=user_id)
