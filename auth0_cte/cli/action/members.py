"""Members of ``event`` and ``api`` that do not exist in the trigger."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

from auth0_cte.cli.action.script import Finding, line_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tree_sitter import Node

    from auth0_cte.cli.action.script import Script

__all__ = ["CALLS", "check_members", "nearest"]

CALLS: Final = frozenset(
    {
        *("api.access.deny", "api.access.rejectInvalidSubjectToken"),
        *("api.authentication.setUserById", "api.authentication.setUserByConnection"),
        *("api.authentication.setOrganization", "api.authentication.setActor"),
        *("api.user.setAppMetadata", "api.user.setUserMetadata"),
        *("api.cache.get", "api.cache.set", "api.cache.delete", "api.transaction.setMetadata"),
    }
)
"""All calls of ``api`` in the trigger."""

# The members of each object of the event; None for those whose members are the user's own.
_EVENT: Final[Mapping[str, frozenset[str] | None]] = {
    "client": frozenset({"client_id", "metadata", "name"}),
    "configuration": None,
    "organization": frozenset({"display_name", "id", "metadata", "name"}),
    "request": frozenset({"body", "geoip", "hostname", "ip", "language", "method", "user_agent"}),
    "resource_server": frozenset({"identifier"}),
    "secrets": None,
    "tenant": frozenset({"id"}),
    "transaction": frozenset(
        {
            *("actor_token", "actor_token_type", "actor_token_user", "metadata", "requested_scopes"),
            *("requested_token_type", "subject_token", "subject_token_type"),
        }
    ),
}
_ELSEWHERE: Final = frozenset({"accessToken", "idToken", "multifactor", "redirect", "refreshToken", "session"})
_INHERITED: Final = frozenset({"constructor", "hasOwnProperty", "toString", "valueOf"})


def check_members(script: Script) -> Iterator[Finding]:
    """Find members of the event that are undefined in this trigger, and methods of api that are not there."""
    for path, node in script.members():
        start, *names = path.split(".")
        if start == "event" and 1 <= len(names) <= 2:
            yield from _check_event(names, node)
        elif start == "api" and len(names) == 2 and path not in CALLS:
            message = f"api.{'.'.join(names)} is not a call of this trigger"
            yield Finding(severity="error", line=line_of(node), message=message, advice=_call_advice(path))


def _check_event(names: list[str], node: Node) -> Iterator[Finding]:
    known = _EVENT if len(names) == 1 else _EVENT.get(names[0])
    if known is None or names[-1] in known or names[-1] in _INHERITED:
        return
    found = nearest(names[-1], known)
    place = ".".join(["event", *names[:-1]])
    advice = f"Use {place}.{found}." if found else ""
    message = f"{place}.{names[-1]} is undefined in this trigger"
    yield Finding(severity="warning", line=line_of(node), message=message, advice=advice)


def _call_advice(path: str) -> str:
    _, group, method = path.split(".")
    if group in _ELSEWHERE:
        return "It belongs into a Post-Login Action, which runs after the exchange."
    found = nearest(method, [call.rpartition(".")[2] for call in CALLS])
    known = next((call for call in sorted(CALLS) if call.rpartition(".")[2] == found), None)
    return f"Use {known}." if known else ""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return what a misspelt name was meant to be, in camelCase or snake_case, or None."""
    plain = {_plain(each): each for each in sorted(known)}
    close = difflib.get_close_matches(_plain(name), plain, n=1, cutoff=0.75)
    return plain[close[0]] if close else None


def _plain(name: str) -> str:
    return name.replace("_", "").lower()
