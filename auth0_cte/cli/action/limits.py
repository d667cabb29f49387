"""Auth0's limits on the calls of ``api``, as far as the arguments are written out in the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from auth0_cte.cli.action.members import nearest
from auth0_cte.cli.action.script import Finding, line_of, literal_text, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tree_sitter import Node

    from auth0_cte.cli.action.script import Script

__all__ = ["check_limits"]

MAX_ATTRIBUTES: Final = 24
MAX_LEVELS: Final = 5
MAX_PROPERTIES: Final = 5
MAX_TTL: Final = 24 * 3600 * 1000
MAX_TRANSACTION_VALUE: Final = 8192
_STRINGS: Final = {
    "email": 0,
    "phone_number": 0,
    "picture": 0,
    "name": 300,
    "nickname": 300,
    "given_name": 150,
    "family_name": 150,
    "username": 128,
    "user_id": 255,
}
_BOOLEANS: Final = frozenset({"email_verified", "phone_verified", "verify_email"})
_OPTIONS: Final[Mapping[str, frozenset[str]]] = {
    "creationBehavior": frozenset({"create_if_not_exists", "none"}),
    "updateBehavior": frozenset({"replace", "none"}),
}
# Path, then for each argument: its name and how many characters a text may have at most.
_TEXTS: Final[Mapping[str, tuple[tuple[str, int], ...]]] = {
    "api.access.deny": (("code", 1024), ("reason", 4096)),
    "api.access.rejectInvalidSubjectToken": (("reason", 4096),),
    "api.authentication.setUserById": (("user id", 512),),
    "api.authentication.setUserByConnection": (("connection", 512),),
    "api.authentication.setOrganization": (("organization", 50),),
    "api.user.setAppMetadata": (("key", 0),),
    "api.user.setUserMetadata": (("key", 0),),
    "api.cache.get": (("key", 64),),
    "api.cache.set": (("key", 64), ("value", 4096)),
    "api.cache.delete": (("key", 64),),
    "api.transaction.setMetadata": (("key", 64),),
}


def check_limits(script: Script) -> list[Finding]:
    """Find calls of ``api`` that throw."""
    return [finding for path, call in script.calls("api.") for finding in _check_call(path, call)]


def _error(node: Node, message: str, advice: str = "") -> Finding:
    return Finding(severity="error", line=line_of(node), message=message, advice=advice)


def _arguments(call: Node) -> list[Node]:
    arguments = call.child_by_field_name("arguments")
    return [] if arguments is None else [each for each in arguments.named_children if each.type != "comment"]


def _check_call(path: str, call: Node) -> Iterator[Finding]:
    name = path.removeprefix("api.")
    given = _arguments(call)
    for index, (what, longest) in enumerate(_TEXTS.get(path, ())):
        if index >= len(given):
            yield _error(call, f"api.{name} requires {what}")
        else:
            yield from _check_text(given[index], f"the {what} of api.{name}", longest)
    check = _FURTHER.get(path)
    if check is not None:
        yield from check(call, given)


def _check_text(node: Node, what: str, longest: int) -> Iterator[Finding]:
    if node.type in ("number", "true", "false", "null", "object", "array"):
        yield _error(node, f"{what} must be a string")
    text = literal_text(node)
    if text is None:
        return
    unit, size = ("bytes", len(text.encode())) if "cache" in what else ("characters", len(text))
    if not text:
        yield _error(node, f"{what} must not be empty")
    elif longest and size > longest:
        yield _error(node, f"{what} has {size:,} {unit}; at most {longest:,} are allowed")


def _members(node: Node) -> dict[str, Node]:
    """Return the members of an object literal that are written out."""
    found: dict[str, Node] = {}
    for child in node.named_children:
        key, value = child.child_by_field_name("key"), child.child_by_field_name("value")
        if child.type == "pair" and key is not None and value is not None and key.type != "computed_property_name":
            found[literal_text(key) or text_of(key)] = value
        elif child.type == "shorthand_property_identifier":
            found[text_of(child)] = child
    return found


def _is_open(node: Node) -> bool:
    return any(child.type in ("spread_element", "computed_property_name") for child in node.named_children) or any(
        key is not None and key.type == "computed_property_name"
        for key in (child.child_by_field_name("key") for child in node.named_children)
    )


def _check_user(call: Node, given: list[Node]) -> Iterator[Finding]:
    if len(given) < 3:
        yield _error(call, "setUserByConnection requires connection, attributes and options")
        return
    attributes, options = given[1], given[2]
    if attributes.type == "object":
        yield from _check_attributes(attributes)
    if options.type == "object" and not _is_open(options):
        yield from _check_options(options)


def _check_attributes(node: Node) -> Iterator[Finding]:
    members = _members(node)
    if len(members) > MAX_ATTRIBUTES:
        yield _error(node, f"{len(members)} attributes; at most {MAX_ATTRIBUTES} are allowed")
    if "user_id" not in members and not _is_open(node):
        yield _error(node, "the attribute user_id is required")
    for name, value in members.items():
        if name in _STRINGS:
            yield from _check_text(value, f"the attribute {name}", _STRINGS[name])
        elif name in _BOOLEANS and value.type in ("string", "number", "null", "object", "array", "template_string"):
            yield _error(value, f"the attribute {name} must be true or false")
        elif name not in _BOOLEANS:
            yield _unknown_attribute(name, value)


def _unknown_attribute(name: str, node: Node) -> Finding:
    meant = nearest(name, [*_STRINGS, *_BOOLEANS])
    advice = f"Use {meant}." if meant else "Set it by api.user.setAppMetadata or setUserMetadata."
    message = f"Auth0 does not document the attribute {name}"
    return Finding(severity="warning", line=line_of(node), message=message, advice=advice)


def _check_options(node: Node) -> Iterator[Finding]:
    members = _members(node)
    for name, allowed in _OPTIONS.items():
        text = literal_text(members[name]) if name in members else None
        if name not in members:
            yield _error(node, f"the option {name} is required: {' or '.join(sorted(allowed))}")
        elif text is not None and text not in allowed:
            yield _error(members[name], f"the option {name} must be {' or '.join(sorted(allowed))}")
    for name in members.keys() - _OPTIONS.keys():
        yield _error(members[name], f"unknown option {name}")


def _check_actor(call: Node, given: list[Node], level: int = 1) -> Iterator[Finding]:
    if not given:
        yield _error(call, "setActor requires an actor")
        return
    node = given[0]
    if node.type != "object":
        return
    members = _members(node)
    if level > MAX_LEVELS:
        yield _error(node, f"the chain of actors has more than {MAX_LEVELS} levels")
        return
    if "sub" not in members and not _is_open(node):
        yield _error(node, "an actor requires sub")
    elif "sub" in members:
        yield from _check_text(members["sub"], "the sub of an actor", 512)
    custom = {name: value for name, value in members.items() if name not in ("sub", "act")}
    if len(custom) > MAX_PROPERTIES:
        yield _error(node, f"an actor has {len(custom)} custom properties; at most {MAX_PROPERTIES} are allowed")
    for name, value in custom.items():
        text = literal_text(value)
        if value.type in ("object", "array", "null") or len(name) > 64 or len(text or "") > 64:
            allowed = "a string of at most 64 characters, a number or a boolean"
            yield _error(value, f"the property {name} of an actor must be {allowed}")
    if "act" in members:
        yield from _check_actor(call, [members["act"]], level + 1)


def _check_transaction(call: Node, given: list[Node]) -> Iterator[Finding]:
    if len(given) < 2:
        yield _error(call, "api.transaction.setMetadata requires value")
    elif given[1].type in ("object", "array"):
        yield _error(given[1], "the value of api.transaction.setMetadata must be a string, a number or a boolean")
    elif len((literal_text(given[1]) or "").encode()) > MAX_TRANSACTION_VALUE:
        yield _error(
            given[1], f"the value of api.transaction.setMetadata must have at most {MAX_TRANSACTION_VALUE:,} bytes"
        )


def _check_cache(_call: Node, given: list[Node]) -> Iterator[Finding]:
    if len(given) < 3 or given[2].type != "object":
        return
    for name, value in _members(given[2]).items():
        if name not in ("ttl", "expires_at"):
            yield _error(value, f"api.cache.set has no option {name}")
        elif name == "ttl" and value.type == "number" and _number(value) > MAX_TTL:
            yield _error(value, "the ttl of api.cache.set is in milliseconds and at most 24 hours")


def _number(node: Node) -> float:
    try:
        return float(text_of(node).replace("_", ""))
    except ValueError:
        return 0.0


_FURTHER: Final[Mapping[str, Callable[[Node, list[Node]], Iterator[Finding]]]] = {
    "api.authentication.setUserByConnection": _check_user,
    "api.authentication.setActor": _check_actor,
    "api.cache.set": _check_cache,
    "api.transaction.setMetadata": _check_transaction,
}
