"""The ``api`` object of an Action, with the limits that Auth0 sets on every call.

Source: Auth0, "Actions Triggers: custom-token-exchange - API Object". The calls only take notes, in `Commands`; the
tenant acts on them once the Action has returned.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field, frozen

from auth0_cte.testing.actions.attributes import check_attributes
from auth0_cte.testing.actions.limits import ActionLimitError, plain, text
from auth0_cte.testing.actions.records import CamelCase, Record, snake_case

if TYPE_CHECKING:
    from auth0_cte.testing.actions.cache import ActionCache, CacheEntry

__all__ = [
    "TRIGGER",
    "ActionApi",
    "CacheApi",
    "Commands",
    "Denial",
    "TransactionApi",
    "UserApi",
    "UserByConnection",
    "UserById",
]

TRIGGER: Final = "custom-token-exchange"
MAX_ACTOR_LEVELS: Final = 5
MAX_ACTOR_PROPERTIES: Final = 5
MAX_ACTOR_TEXT: Final = 64
"""The longest key and the longest string of an actor's own properties, in characters."""
MAX_METADATA_BYTES: Final = 32 * 1024
"""Application or user metadata of one exchange, as JSON."""
MAX_TRANSACTION_KEY: Final = 64
MAX_TRANSACTION_VALUE: Final = 8 * 1024
MAX_TRANSACTION_BYTES: Final = 16 * 1024
MAX_SAFE_INTEGER: Final = 2**53 - 1


@frozen
class Denial:
    """The Action said no; ``invalid_subject_token`` when it blamed the subject token."""

    code: str
    reason: str
    invalid_subject_token: bool = False


@frozen
class UserById:
    """The Action named an existing user."""

    user_id: str


@frozen(kw_only=True)
class UserByConnection:
    """The Action described a user within a connection."""

    connection: str
    attributes: Mapping[str, Any]
    create: bool
    replace: bool


@define
class Commands:
    """What an Action asked for, in the order of its calls."""

    denials: list[Denial] = field(factory=list)
    users: list[UserById | UserByConnection] = field(factory=list)
    organization: str | None = None
    actor: dict[str, Any] | None = None
    app_metadata: dict[str, Any] = field(factory=dict)
    user_metadata: dict[str, Any] = field(factory=dict)
    transaction_metadata: dict[str, Any] = field(factory=dict)


class AccessApi(CamelCase):
    """``api.access``. A denial does not stop the Action: return after it."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def deny(self, code: str | None = None, reason: str | None = None) -> None:
        """Refuse the exchange.

        Args:
            code: The reply's ``error``, 1 to 1024 characters; ``server_error`` gives status 500, all others 400.
            reason: The reply's ``error_description``, 1 to 4096 characters.
        """
        self._commands.denials.append(Denial(text("code", code, 1, 1024), text("reason", reason, 1, 4096)))

    def reject_invalid_subject_token(self, reason: str | None = None) -> None:
        """Refuse the exchange because of the subject token, which counts against the caller's IP address.

        Args:
            reason: The reply's ``error_description``, 1 to 4096 characters.
        """
        checked = text("reason", reason, 1, 4096)
        self._commands.denials.append(Denial("invalid_request", checked, invalid_subject_token=True))


class AuthenticationApi(CamelCase):
    """``api.authentication``. Exactly one of the two that set the user must be called."""

    def __init__(self, commands: Commands, *, strict: bool) -> None:
        self._commands, self._strict = commands, strict

    def set_user_by_id(self, user_id: str | None = None) -> None:
        """Issue tokens for an existing user.

        Args:
            user_id: The user id, 1 to 512 characters.
        """
        self._commands.users.append(UserById(text("user_id", user_id, 1, 512)))

    def set_user_by_connection(
        self,
        connection: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        options: Mapping[str, str] | None = None,
        **more: str,
    ) -> None:
        """Issue tokens for a user of a connection, who may be created or updated.

        Args:
            connection: The connection's name, 1 to 512 characters.
            attributes: At most 24 attributes; ``user_id``, 1 to 255 characters, is required.
            options: ``creation_behavior`` (``create_if_not_exists`` or ``none``) and ``update_behavior`` (``replace``
                or ``none``), both required and no other, under these names or their camelCase ones.
            **more: The same options as keyword arguments.
        """
        place = text("connection", connection, 1, 512)
        checked = check_attributes(attributes, strict=self._strict)
        create, replace = _behavior(options, more)
        self._commands.users.append(
            UserByConnection(connection=place, attributes=checked, create=create, replace=replace)
        )

    def set_organization(self, organization: str | None = None) -> None:
        """Issue tokens for an organization, by its id or name of 1 to 50 characters."""
        self._commands.organization = text("organization", organization, 1, 50)

    def set_actor(self, actor: Mapping[str, Any] | None = None) -> None:
        """Name who acts for the user; it becomes the ``act`` claim (RFC 8693 section 4.1).

        Args:
            actor: ``sub``, 1 to 512 characters; at most 5 properties of one's own, which are strings of at most 64
                characters, numbers or booleans; and ``act`` with the prior actor. At most 5 levels.
        """
        self._commands.actor = _checked_actor(plain("actor", actor), 1)


def _behavior(options: object, more: Mapping[str, str]) -> tuple[bool, bool]:
    if not isinstance(options, Mapping | None):
        raise ActionLimitError("options must be an object")
    given = {snake_case(name): value for name, value in {**(options or {}), **more}.items()}
    unknown = given.keys() - {"creation_behavior", "update_behavior"}
    if unknown:
        raise ActionLimitError(f"options has an unknown member: {min(unknown)}")
    return (
        _choice(given.get("creation_behavior"), "creationBehavior", "create_if_not_exists"),
        _choice(given.get("update_behavior"), "updateBehavior", "replace"),
    )


def _choice(value: object, name: str, active: str) -> bool:
    if value not in (active, "none"):
        raise ActionLimitError(f"{name} must be {active} or none")
    return value == active


def _checked_actor(actor: object, level: int) -> dict[str, Any]:
    if level > MAX_ACTOR_LEVELS:
        raise ActionLimitError(f"an actor has at most {MAX_ACTOR_LEVELS} levels")
    if not isinstance(actor, dict):
        raise ActionLimitError(f"the actor at level {level} must be an object")
    text(f"sub of the actor at level {level}", actor.get("sub"), 1, 512)
    own = {name: value for name, value in actor.items() if name not in ("sub", "act")}
    if len(own) > MAX_ACTOR_PROPERTIES:
        raise ActionLimitError(f"the actor at level {level} has more than {MAX_ACTOR_PROPERTIES} properties")
    for name, value in own.items():
        text(f"a property name of the actor at level {level}", name, 1, MAX_ACTOR_TEXT)
        if not isinstance(value, bool | int | float):
            text(f"{name} of the actor at level {level}", value, 0, MAX_ACTOR_TEXT)
    prior = actor.get("act")
    return {"sub": actor["sub"], **own, **({} if prior is None else {"act": _checked_actor(prior, level + 1)})}


class UserApi(CamelCase):
    """``api.user``: metadata of the user who is set; values merge into what there is, None removes."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def set_app_metadata(self, key: str | None = None, value: Any = None) -> None:
        """Set a member of the user's application metadata, at most 32 kB together."""
        _set_member(self._commands.app_metadata, "application metadata", key, value)

    def set_user_metadata(self, key: str | None = None, value: Any = None) -> None:
        """Set a member of the user's general metadata, at most 32 kB together."""
        _set_member(self._commands.user_metadata, "user metadata", key, value)


def _set_member(members: dict[str, Any], what: str, key: object, value: object) -> None:
    added = {**members, text("key", key, 1, 1024): plain("value", value)}
    if len(json.dumps(added)) > MAX_METADATA_BYTES:
        raise ActionLimitError(f"{what} must have at most {MAX_METADATA_BYTES} bytes")
    members.update(added)


class TransactionApi(CamelCase):
    """``api.transaction``: what the later Actions of the same request find in ``event.transaction.metadata``."""

    def __init__(self, metadata: dict[str, Any]) -> None:
        self._metadata = metadata

    def set_metadata(self, key: str | None = None, value: Any = None) -> None:
        """Keep a string, a number or a boolean for the rest of the request.

        Args:
            key: Its name, at most 64 characters.
            value: At most 8 kB as JSON; all together 16 kB. An integer must be safe in JavaScript. None removes.
        """
        name = text("key", key, 1, MAX_TRANSACTION_KEY)
        if not isinstance(value, str | bool | int | float | None):
            raise ActionLimitError("value must be a string, a number or a boolean")
        if isinstance(value, int | float) and value == value // 1 and abs(value) > MAX_SAFE_INTEGER:
            raise ActionLimitError("value must be a safe integer, or a string")
        if len(json.dumps(plain("value", value))) > MAX_TRANSACTION_VALUE:
            raise ActionLimitError(f"value must have at most {MAX_TRANSACTION_VALUE} bytes")
        kept = {each: value for each, value in {**self._metadata, name: value}.items() if value is not None}
        if len(json.dumps(kept)) > MAX_TRANSACTION_BYTES:
            raise ActionLimitError(f"transaction metadata must have at most {MAX_TRANSACTION_BYTES} bytes")
        self._metadata.clear()
        self._metadata.update(kept)


class CacheApi(CamelCase):
    """``api.cache``: 20 strings, shared by all Actions of a trigger. It never throws; records tell what happened."""

    def __init__(self, cache: ActionCache) -> None:
        self._cache = cache

    def get(self, key: object = None) -> Record | None:
        """Return a record with ``value`` and ``expires_at`` (milliseconds of Unix time), or None."""
        entry = self._cache.get(key)
        return None if entry is None else _entry(entry)

    def set(self, key: object = None, value: object = None, options: object = None, **more: float) -> Record:
        """Keep a string.

        Args:
            key: Its name, at most 64 bytes as UTF-8.
            value: The string, at most 4096 bytes as UTF-8; all keys and values together 8192.
            options: ``ttl``, a lifetime in milliseconds, or ``expires_at``, milliseconds of Unix time; the earlier
                one holds. 15 minutes without either, 24 hours at most.
            **more: The same options as keyword arguments.

        Returns:
            A record of the ``type`` ``success`` with the ``record`` that `get` returns, or of the ``type`` ``error``
            with a ``code``.
        """
        given = {**options, **more} if isinstance(options, Mapping) else more
        named = {snake_case(str(name)): each for name, each in given.items()}
        kept = self._cache.set(key, value, named.get("ttl"), named.get("expires_at"))
        if isinstance(kept, str):
            return Record(type="error", code=kept)
        return Record(type="success", record=_entry(kept))

    def delete(self, key: object = None) -> Record:
        """Forget a string."""
        if self._cache.delete(key):
            return Record(type="success")
        return Record(type="error", code="CacheKeyDoesNotExist")


def _entry(entry: CacheEntry) -> Record:
    return Record(value=entry.value, expires_at=entry.expires_at)


class ActionApi(CamelCase):
    """The ``api`` object; each method has its documented camelCase name and a snake_case one.

    Attributes:
        access: Refuse the exchange.
        authentication: Set the user, the organization and the actor.
        user: Set metadata of the user.
        cache: Keep strings from one exchange to the next.
        transaction: Leave values for the Post-Login Actions of the same request.
    """

    def __init__(self, commands: Commands, cache: ActionCache, *, strict: bool = False) -> None:
        self.access: AccessApi = AccessApi(commands)
        self.authentication: AuthenticationApi = AuthenticationApi(commands, strict=strict)
        self.user: UserApi = UserApi(commands)
        self.cache: CacheApi = CacheApi(cache)
        self.transaction: TransactionApi = TransactionApi(commands.transaction_metadata)
