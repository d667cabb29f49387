"""An Action's file as a syntax tree: what is exported, which functions there are, what names stand for `api`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal

import tree_sitter_javascript
from attrs import frozen
from tree_sitter import Language, Parser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tree_sitter import Node

__all__ = ["HANDLER", "Finding", "Script", "is_function", "line_of", "literal_text", "text_of", "walk"]

HANDLER: Final = "onExecuteCustomTokenExchange"
FUNCTIONS: Final = frozenset(
    {
        "arrow_function",
        "function_declaration",
        "function_expression",
        "generator_function",
        "generator_function_declaration",
        "method_definition",
    }
)


@frozen(kw_only=True)
class Finding:
    """Something about an Action.

    Args:
        severity: ``"error"`` for what Auth0 refuses or what makes an exchange fail, else ``"warning"``.
        line: The line, from 1.
        message: What is wrong.
        advice: What to do about it.
    """

    severity: Literal["error", "warning"]
    line: int
    message: str
    advice: str = ""


_MEMBERS: Final = ("member_expression", "subscript_expression")
_NAMING: Final = ("call_expression", "pair_pattern")
_ESCAPE: Final = re.compile(r"\\(?:u\{([0-9A-Fa-f]{1,5})\}|u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|(.))", re.DOTALL)


def text_of(node: Node | None) -> str:
    """Return the source of a node."""
    return "" if node is None or node.text is None else node.text.decode("utf-8", "replace")


def line_of(node: Node) -> int:
    """Return the line that a node begins in, from 1."""
    return int(node.start_point[0]) + 1


def is_function(node: Node | None) -> bool:
    """Tell whether a node is a function."""
    return node is not None and node.type in FUNCTIONS


def walk(node: Node, *, into_functions: bool = True) -> Iterator[Node]:
    """Return a node and all within it, in the order of the source."""
    stack = [node]
    while stack:
        each = stack.pop()
        yield each
        if into_functions or each is node or not is_function(each):
            stack.extend(reversed(each.children))


def literal_text(node: Node | None) -> str | None:
    """Return the text of a string literal without substitutions; None for anything else."""
    if node is None or node.type not in ("string", "template_string"):
        return None
    if any(child.type == "template_substitution" for child in node.children):
        return None
    return _ESCAPE.sub(_unescaped, text_of(node)[1:-1])


def _unescaped(found: re.Match[str]) -> str:
    code = found[1] or found[2] or found[3]
    return chr(int(code, 16)) if code else {"n": "\n", "t": "\t", "r": "\r"}.get(found[4], found[4])


class Script:
    """A parsed file.

    Args:
        source: Its text.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.root: Node = Parser(Language(tree_sitter_javascript.language())).parse(source.encode()).root_node
        self.functions: dict[str, Node] = dict(self._named_functions())
        handler, export = self._find_handler()
        self.handler: Node | None = handler
        self.export: Node | None = export
        self._aliases = self._find_aliases()

    def _named_functions(self) -> Iterator[tuple[str, Node]]:
        for node in walk(self.root):
            if node.type in ("function_declaration", "generator_function_declaration"):
                yield text_of(node.child_by_field_name("name")), node
            elif node.type == "variable_declarator":
                value = node.child_by_field_name("value")
                if value is not None and is_function(value):
                    yield text_of(node.child_by_field_name("name")), value

    def _find_handler(self) -> tuple[Node | None, Node | None]:
        """Find the handler's function, and where it is exported."""
        for node in walk(self.root):
            if node.type == "assignment_expression":
                name, value = text_of(node.child_by_field_name("left")), node.child_by_field_name("right")
                if name in (f"exports.{HANDLER}", f"module.exports.{HANDLER}"):
                    return self._function(value), node
                if name in ("module.exports", "exports") and value is not None and value.type == "object":
                    found = self._member(value)
                    if found is not None:
                        return self._function(found), node
        return None, None

    def _member(self, value: Node) -> Node | None:
        for child in value.named_children:
            if child.type == "pair" and text_of(child.child_by_field_name("key")).strip("'\"") == HANDLER:
                return child.child_by_field_name("value")
            if child.type == "shorthand_property_identifier" and text_of(child) == HANDLER:
                return child
            if child.type == "method_definition" and text_of(child.child_by_field_name("name")) == HANDLER:
                return child
        return None

    def _function(self, value: Node | None) -> Node | None:
        if value is None or is_function(value):
            return value
        return self.functions.get(text_of(value))

    def _parameter(self, function: Node, index: int) -> Node | None:
        """Return a function's parameter, a name or a pattern; None when it has fewer."""
        parameters = function.child_by_field_name("parameters")
        single = function.child_by_field_name("parameter")
        nodes = [single] if single is not None else [] if parameters is None else parameters.named_children
        nodes = [node for node in nodes if node is not None and node.type != "comment"]
        return nodes[index] if index < len(nodes) else None

    def _find_aliases(self) -> dict[str, str]:
        """Map names to what they stand for: ``event``, ``api``, and what was taken out of them."""
        aliases: dict[str, str] = {}
        if self.handler is None:
            return aliases
        for index, meaning in enumerate(("event", "api")):
            parameter = self._parameter(self.handler, index)
            if parameter is not None:
                _learn_names(parameter, meaning, aliases)
        size = -1
        while size != len(aliases):  # what is handed on may be handed on again
            size = len(aliases)
            for node in walk(self.root):
                self._learn(node, aliases)
        return aliases

    def _learn(self, node: Node, aliases: dict[str, str]) -> None:
        if node.type == "call_expression":
            self._learn_parameters(node, aliases)
        elif node.type == "variable_declarator":
            path, name = _path(node.child_by_field_name("value"), aliases), node.child_by_field_name("name")
            if path is not None and name is not None:
                _learn_names(name, path, aliases)

    def _learn_parameters(self, call: Node, aliases: dict[str, str]) -> None:
        function = self.functions.get(text_of(call.child_by_field_name("function")))
        arguments = call.child_by_field_name("arguments")
        if function is None or arguments is None:
            return
        for index, given in enumerate(arguments.named_children):
            parameter, path = self._parameter(function, index), _path(given, aliases)
            if parameter is not None and path is not None:
                _learn_names(parameter, path, aliases)

    def path(self, node: Node | None) -> str | None:
        """Return what an expression stands for: ``api.access.deny``, or None when it is neither event nor api."""
        return _path(node, self._aliases)

    def members(self) -> Iterator[tuple[str, Node]]:
        """Return what the file names of event and api, by its path: where it is read, called or taken out."""
        for node in walk(self.root):
            is_taken = node.type == "shorthand_property_identifier_pattern" or (
                node.type == "identifier" and node.parent is not None and node.parent.type in _NAMING
            )
            if is_taken or node.type in _MEMBERS:
                path = self._aliases.get(text_of(node)) if is_taken else self.path(node)
                if path is not None:
                    yield path, node

    def calls(self, start: str) -> Iterator[tuple[str, Node]]:
        """Return the calls of what begins with a path, and the path of each."""
        for node in walk(self.root):
            if node.type == "call_expression":
                path = self.path(node.child_by_field_name("function"))
                if path is not None and path.startswith(start):
                    yield path, node


def _path(node: Node | None, aliases: dict[str, str]) -> str | None:
    if node is None:
        return None
    if node.type == "identifier":
        return aliases.get(text_of(node))
    if node.type not in _MEMBERS:
        return None
    before, index = _path(node.child_by_field_name("object"), aliases), node.child_by_field_name("index")
    name = text_of(node.child_by_field_name("property")) if index is None else literal_text(index)
    return None if before is None or name is None else f"{before}.{name}"


def _learn_names(name: Node, path: str, aliases: dict[str, str]) -> None:
    """Learn what a name, or the names within a pattern, stand for."""
    if name.type in ("identifier", "shorthand_property_identifier_pattern"):
        aliases.setdefault(text_of(name), path)
    elif name.type in ("assignment_pattern", "object_assignment_pattern"):
        target = name.child_by_field_name("left")
        if target is not None:
            _learn_names(target, path, aliases)
    elif name.type == "object_pattern":
        for key, target in _entries(name):
            _learn_names(target, f"{path}.{key}", aliases)


def _entries(pattern: Node) -> Iterator[tuple[str, Node]]:
    """Return what an object pattern takes out: the key, and the name or pattern that it goes to."""
    for child in pattern.named_children:
        key, value = child.child_by_field_name("key"), child.child_by_field_name("value")
        left = child.child_by_field_name("left")
        if child.type == "pair_pattern" and key is not None and value is not None:
            yield literal_text(key) or text_of(key), value
        elif child.type == "shorthand_property_identifier_pattern":
            yield text_of(child), child
        elif child.type == "object_assignment_pattern" and left is not None:
            yield text_of(left), left
