"""What Auth0 refuses in an Action's file, or what does not do there what it seems to."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from auth0_cte.cli.action.limits import check_limits
from auth0_cte.cli.action.members import check_members
from auth0_cte.cli.action.paths import check_paths
from auth0_cte.cli.action.script import HANDLER, Finding, Script, line_of, literal_text, text_of, walk
from auth0_cte.token_types import ID_TOKEN, lint_token_type

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tree_sitter import Node

__all__ = ["check_action", "dependencies_of"]

MAX_BYTES: Final = 100_000
_TYPESCRIPT: Final = re.compile(
    r"^\s*(?:export\s+)?(?:interface|type|enum|declare|namespace|abstract)\s+\w"
    r"|[\w)\]]\s*[?]?:\s*(?:string|number|boolean|any|unknown|void|never|Promise|[A-Z]\w*)\b(?!\s*[('\"`])"
    r"|\bas\s+(?:const|any|unknown|string|number|[A-Z]\w*)\b|^\s*import\s+type\b"
)
_DECLARED: Final = re.compile(r"subject_token_type:\s*(\S+)")
_BUILTIN: Final = frozenset(
    {
        *("assert", "async_hooks", "buffer", "child_process", "cluster", "console", "crypto", "dgram", "dns", "events"),
        *("fs", "http", "http2", "https", "net", "os", "path", "perf_hooks", "process", "punycode", "querystring"),
        *("readline", "stream", "string_decoder", "timers", "tls", "tty", "url", "util", "v8", "vm", "zlib"),
        "worker_threads",
    }
)


def check_action(source: str, *, path: Path | None = None, token_type: str | None = None) -> list[Finding]:
    """Find what is wrong with an Action, in the order of the lines.

    Args:
        source: The text of the file.
        path: The file, whose suffix and ``node_modules`` are looked at; None for none.
        token_type: The ``subject_token_type`` of the profile; the one in the file's comment when None.
    """
    script = Script(source)
    findings = [*_check_size(source), *_check_syntax(script, path)]
    if not any(finding.severity == "error" for finding in findings):
        findings += [
            *_check_handler(script),
            *check_paths(script),
            *check_limits(script),
            *check_members(script),
            *_check_logs(script),
            *_check_types(script, token_type),
            *_check_requires(script, path),
        ]
    return sorted(set(findings), key=lambda finding: (finding.line, finding.message))


def _error(line: int, message: str, advice: str = "") -> Finding:
    return Finding(severity="error", line=line, message=message, advice=advice)


def _warning(line: int, message: str, advice: str = "") -> Finding:
    return Finding(severity="warning", line=line, message=message, advice=advice)


def _check_size(source: str) -> Iterator[Finding]:
    size = len(source.encode())
    if size > MAX_BYTES:
        yield _error(1, f"the file has {size:,} bytes; at most {MAX_BYTES:,} are allowed")


def _check_syntax(script: Script, path: Path | None) -> Iterator[Finding]:
    modules = [node for node in walk(script.root) if node.type in ("import_statement", "export_statement")]
    for node in modules:
        advice = "Actions are CommonJS: use require(...) and exports."
        yield _error(line_of(node), f"{text_of(node).split()[0]} makes it an ES module", advice)
    for node in walk(script.root, into_functions=False):
        if node.type == "await_expression":
            yield _error(line_of(node), "await outside of a function", "Await within the handler.")
    if path is not None and path.suffix in (".ts", ".mts", ".tsx"):
        yield _error(1, "the file is TypeScript", "Compile it to JavaScript (CommonJS) first.")
        return
    yield from _check_errors(script)


def _check_errors(script: Script) -> Iterator[Finding]:
    lines = script.source.splitlines() or [""]
    faults = [node for node in walk(script.root) if node.is_error or node.is_missing]
    for line in sorted({min(line_of(node), len(lines)) for node in faults})[:5]:
        if _TYPESCRIPT.search(lines[line - 1]):
            yield _error(line, "the file is TypeScript", "Compile it to JavaScript (CommonJS) first.")
        else:
            yield _error(line, "the syntax is not JavaScript")


def _check_handler(script: Script) -> Iterator[Finding]:
    if script.export is None:
        other = re.search(r"exports\.(on[A-Z]\w+)", script.source)
        advice = f"Write exports.{HANDLER} = async (event, api) => {{ ... }}"
        found = f"; {other[1]} belongs to another trigger" if other else ""
        yield _error(1, f"exports.{HANDLER} is missing{found}", advice)
    elif script.handler is None:
        return  # it comes from elsewhere, which cannot be looked at
    elif not any(child.type == "async" for child in script.handler.children):
        yield _error(line_of(script.handler), f"{HANDLER} must be an async function", "Write async before it.")
    elif "generator" in script.handler.type:
        yield _error(line_of(script.handler), f"{HANDLER} must be an async function, not a generator")


def _check_logs(script: Script) -> Iterator[Finding]:
    secret = ("event", "event.transaction", "event.secrets", "event.request.body", "event.request")
    for node in walk(script.root):
        if node.type != "call_expression" or not text_of(node.child_by_field_name("function")).startswith("console."):
            continue
        for each in walk(node):
            path = script.path(each)
            whole = path in secret and (each.parent is None or each.parent.type != "member_expression")
            token = path in ("event.transaction.subject_token", "event.transaction.actor_token")
            if whole or token or (path or "").startswith("event.secrets."):
                yield _warning(line_of(node), f"the log would show {path}", "Log what happened, not what was sent.")
                break


def _check_types(script: Script, token_type: str | None) -> Iterator[Finding]:
    declared = _DECLARED.search(script.source)
    if token_type is not None:
        yield from _check_type(1, token_type)
    elif declared is not None:
        yield from _check_type(script.source.count("\n", 0, declared.start()) + 1, declared[1])
    for node in walk(script.root):
        if node.type != "binary_expression":
            continue
        sides = (node.child_by_field_name("left"), node.child_by_field_name("right"))
        paths = {script.path(each) for each in sides}
        text = next((text for text in map(literal_text, sides) if text), None)
        if text is None:
            continue
        actor = "event.transaction.actor_token_type" in paths and text != ID_TOKEN
        if actor or "event.transaction.subject_token_type" in paths:
            yield from _check_type(line_of(node), text)


def _check_type(line: int, token_type: str) -> Iterator[Finding]:
    fault = lint_token_type(token_type)
    if fault is not None:
        yield _error(line, fault)
    elif not token_type.startswith(("https://", "urn:")):
        yield _error(line, f"{token_type!r} must begin with https:// or urn:")


def _requires(script: Script) -> Iterator[tuple[str, Node]]:
    for node in walk(script.root):
        if node.type == "call_expression" and text_of(node.child_by_field_name("function")) == "require":
            arguments = node.child_by_field_name("arguments")
            name = literal_text(arguments.named_children[0]) if arguments and arguments.named_children else None
            if name is not None:
                yield name, node


def dependencies_of(source: str) -> list[str]:
    """Return the npm packages that an Action requires, which must be declared at Auth0."""
    names = {_package(name) for name, _ in _requires(Script(source))}
    return sorted(name for name in names if name is not None)


def _package(name: str) -> str | None:
    if name.startswith((".", "/", "node:", "actions:")) or name.partition("/")[0] in _BUILTIN:
        return None
    parts = name.split("/")
    return "/".join(parts[:2]) if name.startswith("@") else parts[0]


def _check_requires(script: Script, path: Path | None) -> Iterator[Finding]:
    for name, node in _requires(script):
        if name.startswith((".", "/")):
            advice = "Put it into the same file, or into an Actions Module (require('actions:name'))."
            yield _error(line_of(node), f"{name} is not deployed with the Action", advice)
        package = _package(name)
        if package is not None and path is not None and _is_module_only(path.parent / "node_modules" / package):
            advice = "Node 18 cannot require it: pin the last version that is CommonJS, e.g. jose@5."
            yield _warning(line_of(node), f"the installed {package} is an ES module", advice)


def _is_module_only(folder: Path) -> bool:
    try:
        package = json.loads((folder / "package.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    if not isinstance(package, dict) or package.get("type") != "module":
        return False
    return '"require"' not in json.dumps(package.get("exports", {}))
