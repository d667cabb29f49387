"""The control API: what is below ``/_tenant/``. It takes data alone, no code and no paths of files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import unquote

from attrs import frozen

from auth0_cte._version import __version__
from auth0_cte.testing.clock import FakeClock, RunningClock
from auth0_cte.testing.control.guard import read_body
from auth0_cte.testing.control.stream import serve_journal
from auth0_cte.testing.control.views import Views, user_view
from auth0_cte.testing.seeding.schema import SchemaError, check
from auth0_cte.testing.wire.messages import RefusalError, Reply, Stream, json_reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from auth0_cte.testing.control.guard import Guard
    from auth0_cte.testing.issuing import Issuing
    from auth0_cte.testing.seeding.people import People
    from auth0_cte.testing.seeding.seeding import Seeding
    from auth0_cte.testing.setup.directory import DirectorySetup
    from auth0_cte.testing.state import TenantState
    from auth0_cte.testing.wire.messages import TenantRequest

__all__ = ["ControlApi", "ControlParts"]

Handler: TypeAlias = "Callable[[TenantRequest], Reply | Stream]"

_TEXT: Final = {"type": "string"}
_TOKEN: Final = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"
_NOTHING: Final = {"type": "object", "additionalProperties": False}
_CHANGES: Final = {**_NOTHING, "properties": {"blocked": {"type": "boolean"}, "mfa_required": {"type": "boolean"}}}
_ROTATION: Final = {**_NOTHING, "properties": {"keep_old": {"type": "boolean"}}}
_MOVES: Final = {**_NOTHING, "properties": {"advance": {"type": "number"}, "set": {"type": "number", "minimum": 0}}}
_FAILURE: Final = {
    **_NOTHING,
    "properties": {
        "status": {"type": "integer", "minimum": 200},
        "error": _TEXT,
        "description": _TEXT,
        "headers": {"type": "object", "additionalProperties": {"type": "string", "pattern": r"^[^\r\n\x00]*\Z"}},
        "body": {"anyOf": [{"title": "a string", **_TEXT}, {"title": "an object", "type": "object"}]},
        "content_type": {"type": "string", "pattern": r"^[\x20-\x7e]*\Z"},
        "times": {"type": "integer", "minimum": 1},
        "path": {"type": "string", "pattern": "^/"},
        "grant_type": _TEXT,
        "delay": {"type": "number", "minimum": 0},
        "fault": {"enum": ["close", "half_body", "reset"]},
    },
}
_MAX_TIMES: Final = 1000
_MAX_STATUS: Final = 599
_EVERY_REPLY: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


@frozen(kw_only=True)
class ControlParts:
    """What the control API works on.

    Args:
        state: What the tenant holds.
        people: Adds users.
        directory: Blocks and deletes users.
        issuing: Rotates keys.
        seeding: Returns to the seed.
    """

    state: TenantState
    people: People
    directory: DirectorySetup
    issuing: Issuing
    seeding: Seeding


class ControlApi:
    """Answers the requests below ``/_tenant/``.

    Args:
        parts: What it works on.
        guard: Who may use it.
    """

    def __init__(self, parts: ControlParts, guard: Guard) -> None:
        self._parts, self._guard, self._state = parts, guard, parts.state
        self.views: Views = Views(parts.state)
        self._endpoints: dict[str, dict[str, Handler]] = {
            "health": {"GET": self._health},
            "reset": {"POST": self._reset},
            "users": {"GET": self._users, "POST": self._add_user},
            "users/*": {"GET": self._user, "PATCH": self._change_user, "DELETE": self._delete_user},
            "fail-next": {"POST": self._fail_next, "DELETE": self._forget_failures},
            "rotate-keys": {"POST": self._rotate_keys},
            "clock": {"GET": self._clock, "POST": self._move_clock},
            "requests": {"GET": self._requests},
            "logs": {"GET": self._logs},
        }

    def answer(self, request: TenantRequest) -> Reply | Stream:
        """Answer a request, which does not count among those that arrived at the tenant."""
        try:
            self._guard.check(request)
            return self._handler(request)(request).with_headers(_EVERY_REPLY)
        except SchemaError as error:
            refusal = RefusalError(400, "invalid_request", str(error))
        except RefusalError as error:
            refusal = error
        return refusal.reply().with_headers(_EVERY_REPLY)

    def _handler(self, request: TenantRequest) -> Handler:
        folder, *rest = request.path.removeprefix("/_tenant/").split("/", 1)
        methods = self._endpoints.get(f"{folder}/*" if rest else folder)
        if methods is None:
            raise RefusalError(404, "not_found", f"Use one of {', '.join(sorted(self._endpoints))}.")
        if request.method not in methods:
            allowed = {"allow": ", ".join(sorted(methods))}
            raise RefusalError(405, "method_not_allowed", f"Use {allowed['allow']}.", headers=allowed)
        return methods[request.method]

    def _health(self, request: TenantRequest) -> Reply:
        told = {"status": "ok", "version": __version__, "issuer": request.issuer, "strict": self._state.strict}
        return json_reply({**told, "now": self._state.clock(), "users": len(self._state.users)})

    def _reset(self, request: TenantRequest) -> Reply:
        _body(request, _NOTHING)
        self._parts.seeding.reset()
        if isinstance(self._state.clock, RunningClock):
            self._state.clock.reset()
        return json_reply({"status": "ok"})

    def _users(self, _request: TenantRequest) -> Reply:
        return json_reply({"users": [user_view(user) for user in list(self._state.users.values())]})

    def _user(self, request: TenantRequest) -> Reply:
        return json_reply(user_view(self._state.users[self._user_id(request)]))

    def _add_user(self, request: TenantRequest) -> Reply:
        entry = _body(request, "user")
        try:
            user = self._parts.people.add(entry)
        except ValueError as error:
            raise RefusalError(400, "invalid_request", f"$ {error}") from None
        return json_reply(user_view(user), status=201)

    def _change_user(self, request: TenantRequest) -> Reply:
        user_id, changes = self._user_id(request), _body(request, _CHANGES)
        user = self._state.users[user_id]
        user.mfa_required = changes.get("mfa_required", user.mfa_required)
        if changes.get("blocked") and not user.blocked:
            self._parts.directory.block_user(user_id)
        user.blocked = changes.get("blocked", user.blocked)
        return json_reply(user_view(user))

    def _delete_user(self, request: TenantRequest) -> Reply:
        self._parts.directory.delete_user(self._user_id(request))
        return json_reply({"status": "ok"})

    def _fail_next(self, request: TenantRequest) -> Reply:
        event = _body(request, _FAILURE)
        for name in event.get("headers", {}):
            check(name, {"type": "string", "pattern": _TOKEN}, "$.headers")
        if event.get("times", 1) > _MAX_TIMES:
            raise SchemaError("$.times", f"must be {_MAX_TIMES} or less")
        if event.get("status", 200) > _MAX_STATUS:
            raise SchemaError("$.status", f"must be {_MAX_STATUS} or less")
        self._state.script.fail_next(**event)
        return json_reply({"status": "ok"})

    def _forget_failures(self, _request: TenantRequest) -> Reply:
        self._state.script.clear()
        return json_reply({"status": "ok"})

    def _rotate_keys(self, request: TenantRequest) -> Reply:
        body = _body(request, _ROTATION)
        self._parts.issuing.rotate_keys(keep_old=body.get("keep_old", True))
        return json_reply({"kids": [key["kid"] for key in self._state.keys.jwks()["keys"]]})

    def _clock(self, _request: TenantRequest) -> Reply:
        return json_reply({"now": self._state.clock()})

    def _move_clock(self, request: TenantRequest) -> Reply:
        moves, clock = _body(request, _MOVES), self._state.clock
        if len(moves) != 1:
            raise SchemaError("$", "must have one of advance and set")
        if not isinstance(clock, FakeClock | RunningClock):
            raise RefusalError(
                409, "fixed_clock", "The tenant's clock must be a FakeClock or RunningClock to be moved."
            )
        if "advance" in moves:
            clock.advance(moves["advance"])
        else:
            clock.set(moves["set"])
        return self._clock(request)

    def _requests(self, request: TenantRequest) -> Reply | Stream:
        return serve_journal("requests", self._state.requests, self.views.request, request)

    def _logs(self, request: TenantRequest) -> Reply | Stream:
        return serve_journal("logs", self._state.logs, self.views.log, request)

    def _user_id(self, request: TenantRequest) -> str:
        user_id = unquote(request.path.removeprefix("/_tenant/users/"))
        if user_id not in self._state.users:
            raise RefusalError(404, "not_found", "The user does not exist.")
        return user_id


def _body(request: TenantRequest, definition: str | Mapping[str, Any]) -> dict[str, Any]:
    body = read_body(request)
    check(body, definition)
    return body
