"""Every way through an Action's handler: does each set exactly one user, or refuse?

The walk keeps, for each way, how often a user was set, whether it was refused, and which variables are known to be
truthy. Functions of the same file are followed; what leaves the file with ``api`` is trusted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import evolve

from auth0_cte.cli.action.script import Finding, is_function, line_of, text_of, walk
from auth0_cte.cli.action.ways import Flow, State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tree_sitter import Node

    from auth0_cte.cli.action.script import Script
    from auth0_cte.cli.action.ways import States, Valued

__all__ = ["check_paths"]

SETTERS: Final = frozenset({"api.authentication.setUserById", "api.authentication.setUserByConnection"})
REFUSALS: Final = frozenset({"api.access.deny", "api.access.rejectInvalidSubjectToken"})
MAX_STATES: Final = 400
MAX_DEPTH: Final = 6
_FALSY: Final = frozenset({"null", "undefined", "false", "0", "''", '""'})
_TRUTHY_TYPES: Final = frozenset(
    {"object", "array", "arrow_function", "function_expression", "class", "new_expression"}
)
_EMPTY: Final = frozenset({"null", "undefined"})


class TooManyWaysError(Exception):
    """The handler has more ways than are followed."""


def check_paths(script: Script) -> list[Finding]:
    """Find ways through the handler that set no user, or two, or set one after a refusal.

    Args:
        script: The file, with a handler.
    """
    if script.handler is None:
        return []
    walker = _Walker(script)
    try:
        ends = walker.function(script.handler, frozenset({State()}))
    except TooManyWaysError:
        return []
    for state, _, node in ends.returns:
        if state.users == 0 and not state.refused and not state.trusted:
            walker.find(
                "error",
                node,
                "a path ends here without setUserById, setUserByConnection, deny or rejectInvalidSubjectToken",
                "Set the user or refuse on every path: Auth0 fails the exchange otherwise.",
            )
    return sorted(set(walker.findings), key=lambda finding: finding.line)


class _Walker:
    def __init__(self, script: Script) -> None:
        self._script = script
        self._depth = 0
        self.findings: list[Finding] = []
        # Where what a call throws is collected, for the statement that it stands in.
        self._thrown: States = frozenset()
        self._statements: dict[str, Callable[[Node, States], Flow]] = {
            "statement_block": lambda node, states: self._block(node.named_children, states),
            "if_statement": self._if,
            "return_statement": self._return,
            "throw_statement": self._throw,
            "try_statement": self._try,
            "switch_statement": self._switch,
            "labeled_statement": lambda node, states: self._statement(node.named_children[-1], states),
            "break_statement": lambda _, states: Flow(breaks=states),
            "continue_statement": lambda _, states: Flow(continues=states),
            **dict.fromkeys(("while_statement", "for_statement", "for_in_statement", "do_statement"), self._loop),
            **dict.fromkeys(
                ("function_declaration", "generator_function_declaration", "class_declaration", "comment"),
                lambda _, states: Flow(normal=states),
            ),
        }

    def find(self, severity: str, node: Node, message: str, advice: str) -> None:
        self.findings.append(
            Finding(
                severity="error" if severity == "error" else "warning",
                line=line_of(node),
                message=message,
                advice=advice,
            )
        )

    def function(self, node: Node, states: States) -> Flow:
        """Follow a function's body; its normal end becomes a return of undefined."""
        body = node.child_by_field_name("body")
        if body is None:
            return Flow(normal=states)
        if body.type != "statement_block":
            outer, self._thrown = self._thrown, frozenset()
            flow = Flow(returns=[(state, truth, body) for state, truth in self._value(body, states)])
            flow.throws, self._thrown = self._thrown, outer
            return flow
        flow = self._block(body.named_children, states)
        last = body.children[-1]
        flow.returns += [(state, False, last) for state in flow.normal]
        flow.normal = frozenset()
        return flow

    def _block(self, nodes: Sequence[Node], states: States) -> Flow:
        flow = Flow(normal=states)
        for node in nodes:
            if not flow.normal:
                break
            each = self._statement(node, flow.normal)
            flow.normal = each.normal
            flow.absorb(each)
        return flow

    def _statement(self, node: Node, states: States) -> Flow:
        if len(states) > MAX_STATES:
            raise TooManyWaysError
        outer, self._thrown = self._thrown, frozenset()
        follow = self._statements.get(node.type)
        flow = Flow(normal=self._effects(node, states)) if follow is None else follow(node, states)
        flow.throws |= self._thrown
        self._thrown = outer
        return flow

    def _if(self, node: Node, states: States) -> Flow:
        yes, no = self._split(node.child_by_field_name("condition"), states)
        consequence, alternative = node.child_by_field_name("consequence"), node.child_by_field_name("alternative")
        flow = Flow() if consequence is None or not yes else self._statement(consequence, yes)
        if alternative is None:
            flow.normal |= no
        elif no:
            other = self._statement(alternative.named_children[-1], no)
            flow.normal |= other.normal
            flow.absorb(other)
        return flow

    def _return(self, node: Node, states: States) -> Flow:
        values = [child for child in node.named_children if child.type != "comment"]
        if not values:
            return Flow(returns=[(state, False, node) for state in states])
        return Flow(returns=[(state, truth, node) for state, truth in self._value(values[0], states)])

    def _throw(self, node: Node, states: States) -> Flow:
        return Flow(throws=self._effects(node, states))

    def _loop(self, node: Node, states: States) -> Flow:
        body = node.child_by_field_name("body")
        for name in ("initializer", "right"):
            each = node.child_by_field_name(name)
            states = states if each is None else self._effects(each, states)
        flow, entry = Flow(), states
        for number in range(3):  # two rounds find what any number does; the third only looks at the condition
            if node.type != "do_statement" or number:
                entry, left = self._split_loop(node, entry)
                flow.normal |= left
            if number == 2 or not entry:
                break
            inner = Flow(normal=entry) if body is None else self._statement(body, entry)
            entry = inner.normal | inner.continues
            flow.returns += inner.returns
            flow.throws |= inner.throws
            flow.normal |= inner.breaks
        return flow

    def _split_loop(self, node: Node, states: States) -> tuple[States, States]:
        """Return the states in which a loop goes on, and those in which it ends."""
        condition = node.child_by_field_name("condition")
        if condition is not None and condition.type == "expression_statement":
            condition = condition.named_children[0]
        if node.type == "for_statement" and (condition is None or condition.type == "empty_statement"):
            return states, frozenset()
        return self._split(condition, states)

    def _switch(self, node: Node, states: States) -> Flow:
        value, body = node.child_by_field_name("value"), node.child_by_field_name("body")
        states = states if value is None else self._effects(value, states)
        flow, falling, has_default = Flow(), frozenset[State](), False
        for case in [] if body is None else body.named_children:
            has_default = has_default or case.type == "switch_default"
            inner = self._block(case.children_by_field_name("body"), states | falling)
            falling = inner.normal
            flow.normal |= inner.breaks
            inner.breaks = frozenset()
            flow.absorb(inner)
        flow.normal |= falling | (frozenset() if has_default else states)
        return flow

    def _try(self, node: Node, states: States) -> Flow:
        body, handler = node.child_by_field_name("body"), node.child_by_field_name("handler")
        flow = Flow(normal=states) if body is None else self._statement(body, states)
        caught = None if handler is None else handler.child_by_field_name("body")
        if caught is not None:
            # Anything in the body may throw before it does something.
            other = self._statement(caught, states | flow.throws)
            flow.throws = frozenset()
            flow.normal |= other.normal
            flow.absorb(other)
        final = node.child_by_field_name("finalizer")
        if final is not None and flow.normal:
            last = self._statement(final.named_children[-1], flow.normal)
            flow.normal = last.normal
            flow.absorb(last)
        return flow

    def _effects(self, node: Node, states: States) -> States:
        return frozenset(state for state, _ in self._value(node, states))

    def _split(self, node: Node | None, states: States) -> tuple[States, States]:
        """Return the states in which a condition holds, and those in which it does not."""
        if node is None:
            return states, states
        if node.type == "parenthesized_expression":
            return self._split(node.named_children[0], states)
        operator = text_of(node.child_by_field_name("operator"))
        if node.type == "unary_expression" and operator == "!":
            no, yes = self._split(node.child_by_field_name("argument"), states)
            return yes, no
        if node.type == "binary_expression" and operator in ("&&", "||"):
            return self._split_both(node, operator, states)
        if node.type == "binary_expression" and operator in ("===", "!==", "==", "!="):
            return self._split_comparison(node, operator, states)
        valued = self._value(node, states)
        name = text_of(node) if node.type == "identifier" else None
        return (
            frozenset(_seen(state, name, True) for state, truth in valued if truth is not False),
            frozenset(_seen(state, name, False) for state, truth in valued if truth is not True),
        )

    def _split_both(self, node: Node, operator: str, states: States) -> tuple[States, States]:
        left_yes, left_no = self._split(node.child_by_field_name("left"), states)
        right_yes, right_no = self._split(node.child_by_field_name("right"), left_yes if operator == "&&" else left_no)
        if operator == "&&":
            return right_yes, left_no | right_no
        return left_yes | right_yes, right_no

    def _split_comparison(self, node: Node, operator: str, states: States) -> tuple[States, States]:
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        if left is None or right is None or text_of(right) not in _EMPTY | {"false", "true"}:
            after = self._effects(node, states)
            return after, after
        yes, no = self._split(left, states)
        same = (yes, no) if text_of(right) == "true" else (no, yes)
        return same if operator in ("===", "==") else (same[1], same[0])

    def _value(self, node: Node, states: States) -> Valued:
        """Return the states after an expression, each with whether its value is truthy."""
        if node.type in ("await_expression", "parenthesized_expression") and node.named_children:
            return self._value(node.named_children[-1], states)
        if node.type == "identifier" and text_of(node) != "undefined":
            return frozenset((state, state.knows(text_of(node))) for state in states)
        if node.type == "call_expression":
            return self._call(node, states)
        if node.type in ("variable_declarator", "assignment_expression"):
            return self._assign(node, states)
        if node.type == "ternary_expression":
            return self._ternary(node, states)
        if node.type == "binary_expression" and text_of(node.child_by_field_name("operator")) in ("&&", "||"):
            yes, no = self._split(node, states)
            return frozenset({(state, True) for state in yes} | {(state, False) for state in no})
        if is_function(node):
            return frozenset((state, True) for state in states)
        for child in node.named_children:
            states = self._effects(child, states)
        return frozenset((state, _truth(node)) for state in states)

    def _assign(self, node: Node, states: States) -> Valued:
        target = node.child_by_field_name("name") or node.child_by_field_name("left")
        value = node.child_by_field_name("value") or node.child_by_field_name("right")
        if value is None:
            return frozenset((state, None) for state in states)
        valued = self._value(value, states)
        if target is None or target.type != "identifier":
            return valued
        return frozenset((state.learn(text_of(target), truth), truth) for state, truth in valued)

    def _ternary(self, node: Node, states: States) -> Valued:
        yes, no = self._split(node.child_by_field_name("condition"), states)
        valued: set[tuple[State, bool | None]] = set()
        for name, each in (("consequence", yes), ("alternative", no)):
            branch = node.child_by_field_name(name)
            valued |= self._value(branch, each) if branch is not None else set()
        return frozenset(valued)

    def _call(self, node: Node, states: States) -> Valued:
        callee, arguments = node.child_by_field_name("function"), node.child_by_field_name("arguments")
        given = [] if arguments is None else arguments.named_children
        for each in given if callee is None else [callee, *given]:
            states = self._effects(each, states)
        path = self._script.path(callee)
        if path in SETTERS:
            return frozenset((self._set_user(node, state), None) for state in states)
        if path in REFUSALS:
            return frozenset((evolve(state, refused=True), None) for state in states)
        function = self._script.functions.get(text_of(callee))
        if function is not None and self._depth < MAX_DEPTH:
            return self._follow(function, states)
        if path is None and any(self._hands_on(each) for each in given):
            return frozenset((evolve(state, trusted=True), None) for state in states)
        return frozenset((state, None) for state in states)

    def _hands_on(self, node: Node) -> bool:
        """Tell whether an argument gives ``api`` away: itself, or in a function that calls it."""
        if self._script.path(node) == "api":
            return True
        return any(self._script.path(each) in SETTERS | REFUSALS for each in walk(node)) if is_function(node) else False

    def _follow(self, function: Node, states: States) -> Valued:
        self._depth += 1
        valued: set[tuple[State, bool | None]] = set()
        for state in states:
            flow = self.function(function, frozenset({evolve(state, known=frozenset())}))
            valued |= {(evolve(after, known=state.known), truth) for after, truth, _ in flow.returns}
            self._thrown |= {evolve(after, known=state.known) for after in flow.throws}
        self._depth -= 1
        return frozenset(valued)

    def _set_user(self, node: Node, state: State) -> State:
        if state.users:
            self.find("error", node, "a user is set twice on one path", "Call one of the two, once.")
        elif state.refused:
            advice = "deny and rejectInvalidSubjectToken do not stop the function: return after them."
            self.find("warning", node, "a user is set after a refusal on the same path", advice)
        return evolve(state, users=min(2, state.users + 1))


def _seen(state: State, name: str | None, truth: bool) -> State:
    return state if name is None else state.learn(name, truth)


def _truth(node: Node) -> bool | None:
    if text_of(node) in _FALSY:
        return False
    if node.type in _TRUTHY_TYPES or node.type == "true":
        return True
    return bool(text_of(node).strip("\"'")) if node.type in ("string", "regex") else None
