"""The ``api`` object of an Action, with the limits that Auth0 sets on every call.

Source: Auth0, "Actions Triggers: custom-token-exchange - API Object". The calls only take notes, in `Commands`; the
tenant acts on them once the Action has returned.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from attrs import define, field, frozen

from auth0_cte.testing.actions.cache import DEFAULT_LIFETIME, ActionCache, CacheEntry
from auth0_cte.testing.actions.records import CamelCase, Record, snake_case

__all__ = ["ActionApi", "ActionLimitError", "Commands", "Denial", "UserByConnection", "UserById"]

MAX_ACTOR_LEVELS: Final = 5
MAX_ACTOR_PROPERTIES: Final = 5
MAX_ATTRIBUTES: Final = 24
MAX_CACHED_BYTES: Final = 4096
MAX_CACHE_LIFETIME: Final = 24 * 60 * 60
"""The longest that a cached value can live, in seconds."""


class ActionLimitError(ValueError):
    """An Action called the API with something that Auth0 does not take."""


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


def _text(name: str, value: object, low: int, high: int) -> str:
    if not isinstance(value, str):
        raise ActionLimitError(f"{name} must be a string, not {type(value).__name__}")
    if not low <= len(value) <= high:
        raise ActionLimitError(f"{name} must have {low} to {high} characters, not {len(value)}")
    return value


def _plain(name: str, value: object) -> Any:
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise ActionLimitError(f"{name} must be JSON data") from error


class AccessApi(CamelCase):
    """``api.access``. A denial does not stop the Action: return after it."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def deny(self, code: str, reason: str) -> None:
        """Refuse the exchange.

        Args:
            code: The reply's ``error``, 1 to 1024 characters; ``server_error`` gives status 500, all others 400.
            reason: The reply's ``error_description``, 1 to 4096 characters.
        """
        self._commands.denials.append(Denial(_text("code", code, 1, 1024), _text("reason", reason, 1, 4096)))

    def reject_invalid_subject_token(self, reason: str) -> None:
        """Refuse the exchange because of the subject token, which counts against the caller's IP address.

        Args:
            reason: The reply's ``error_description``, 1 to 4096 characters.
        """
        reason = _text("reason", reason, 1, 4096)
        self._commands.denials.append(Denial("invalid_request", reason, invalid_subject_token=True))


class AuthenticationApi(CamelCase):
    """``api.authentication``. Exactly one of the two that set the user must be called."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def set_user_by_id(self, user_id: str) -> None:
        """Issue tokens for an existing user.

        Args:
            user_id: The user id, 1 to 512 characters.
        """
        self._commands.users.append(UserById(_text("user_id", user_id, 1, 512)))

    def set_user_by_connection(
        self, connection: str, attributes: Mapping[str, Any], options: Mapping[str, str] | None = None, **more: str
    ) -> None:
        """Issue tokens for a user of a connection, who may be created or updated.

        Args:
            connection: The connection's name, 1 to 512 characters.
            attributes: At most 24 attributes; ``user_id``, 1 to 255 characters, is required.
            options: ``creation_behavior`` (``create_if_not_exists`` or ``none``) and ``update_behavior`` (``replace``
                or ``none``), both required, under these names or their camelCase ones.
            **more: The same options as keyword arguments.
        """
        if not isinstance(attributes, Mapping) or len(attributes) > MAX_ATTRIBUTES:
            raise ActionLimitError(f"attributes must be an object of at most {MAX_ATTRIBUTES} members")
        _text("user_id", attributes.get("user_id"), 1, 255)
        behavior = {snake_case(name): value for name, value in {**(options or {}), **more}.items()}
        self._commands.users.append(
            UserByConnection(
                connection=_text("connection", connection, 1, 512),
                attributes=_plain("attributes", dict(attributes)),
                create=_choice(behavior, "creation_behavior", "create_if_not_exists"),
                replace=_choice(behavior, "update_behavior", "replace"),
            )
        )

    def set_organization(self, organization: str) -> None:
        """Issue tokens for an organization, by its id or name of 1 to 50 characters."""
        self._commands.organization = _text("organization", organization, 1, 50)

    def set_actor(self, actor: Mapping[str, Any]) -> None:
        """Name who acts for the user; it becomes the ``act`` claim (RFC 8693 section 4.1).

        Args:
            actor: ``sub``, at most 5 properties of one's own, and ``act`` with the prior actor; at most 5 levels.
        """
        self._commands.actor = _checked_actor(_plain("actor", actor), 1)


def _choice(options: Mapping[str, str], name: str, active: str) -> bool:
    value = options.get(name)
    if value not in (active, "none"):
        raise ActionLimitError(f"{name} must be {active!r} or 'none', not {value!r}")
    return value == active


def _checked_actor(actor: object, level: int) -> dict[str, Any]:
    if level > MAX_ACTOR_LEVELS:
        raise ActionLimitError(f"an actor has at most {MAX_ACTOR_LEVELS} levels")
    if not isinstance(actor, dict):
        raise ActionLimitError(f"the actor at level {level} must be an object")
    _text(f"sub of the actor at level {level}", actor.get("sub"), 1, 1024)
    own = {name: value for name, value in actor.items() if name != "act"}
    if len(own) - 1 > MAX_ACTOR_PROPERTIES:
        raise ActionLimitError(f"the actor at level {level} has more than {MAX_ACTOR_PROPERTIES} properties")
    prior = actor.get("act")
    return own if prior is None else {**own, "act": _checked_actor(prior, level + 1)}


class UserApi(CamelCase):
    """``api.user``: metadata of the user who is set; values merge into what there is, None removes."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def set_app_metadata(self, key: str, value: Any) -> None:
        """Set a member of the user's application metadata."""
        self._commands.app_metadata[_text("key", key, 1, 1024)] = _plain("value", value)

    def set_user_metadata(self, key: str, value: Any) -> None:
        """Set a member of the user's general metadata."""
        self._commands.user_metadata[_text("key", key, 1, 1024)] = _plain("value", value)


class CacheApi(CamelCase):
    """``api.cache``: 20 strings of at most 4 kB, shared by all Actions of the tenant."""

    def __init__(self, cache: ActionCache) -> None:
        self._cache = cache

    def get(self, key: str) -> Record | None:
        """Return a record with ``value`` and ``expires_at`` (milliseconds of Unix time), or None."""
        entry = self._cache.get(key)
        return None if entry is None else Record(value=entry.value, expires_at=entry.expires_at)

    def set(self, key: str, value: str, options: Mapping[str, float] | None = None, **more: float) -> Record:
        """Keep a string.

        Args:
            key: Its name.
            value: The string, at most 4096 bytes as UTF-8.
            options: ``ttl``, a lifetime in milliseconds, or ``expires_at``, milliseconds of Unix time; the earlier
                one holds. 15 minutes without either, 24 hours at most.
            **more: The same options as keyword arguments.
        """
        if not isinstance(value, str) or len(value.encode()) > MAX_CACHED_BYTES:
            raise ActionLimitError(f"a cached value must be a string of at most {MAX_CACHED_BYTES} bytes")
        expires_at = self._expiry({snake_case(name): each for name, each in {**(options or {}), **more}.items()})
        if not self._cache.set(_text("key", key, 1, 1024), CacheEntry(value, expires_at)):
            raise ActionLimitError("the cache is full: 20 entries")
        return Record(type="success")

    def delete(self, key: str) -> Record:
        """Forget a string."""
        return Record(type="success" if self._cache.delete(key) else "error")

    def _expiry(self, options: Mapping[str, float]) -> float:
        now = self._cache.now()
        ends = [options["expires_at"]] if "expires_at" in options else []
        ends += [now + options["ttl"]] if "ttl" in options else []
        expires_at = min(ends, default=now + DEFAULT_LIFETIME * 1000)
        if expires_at > now + MAX_CACHE_LIFETIME * 1000:
            raise ActionLimitError("a cached value lives 24 hours at most")
        return expires_at


class ActionApi(CamelCase):
    """The ``api`` object; each method has its documented camelCase name and a snake_case one.

    Attributes:
        access: Refuse the exchange.
        authentication: Set the user, the organization and the actor.
        user: Set metadata of the user.
        cache: Keep strings from one exchange to the next.
    """

    def __init__(self, commands: Commands, cache: ActionCache) -> None:
        self.access: AccessApi = AccessApi(commands)
        self.authentication: AuthenticationApi = AuthenticationApi(commands)
        self.user: UserApi = UserApi(commands)
        self.cache: CacheApi = CacheApi(cache)
