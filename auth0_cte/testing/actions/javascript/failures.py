"""How JavaScript Actions fail, in words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from auth0_cte.testing.actions.code import ActionFailure

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from auth0_cte.testing.actions.javascript.script import Script

__all__ = ["exit_text", "failure_of", "load_failure_of"]

_MISSING = re.compile(r"Cannot find module '([^']+)'")
_TYPES = re.compile(
    r"\b(?:interface|type)\s+\w+\s*[={<]|\bimport\s+type\b|\benum\s+\w+\s*\{|\bas\s+(?:const|[A-Za-z]\w*)\s*[;,)]"
    r"|[\w)\]]\??\s*:\s*(?:string|number|boolean|any|unknown|void|never|object|[A-Z]\w*)\b\s*[,)=;{\[]"
)
_MODULE = re.compile(r"^\s*(?:import|export)\b", re.MULTILINE)


def failure_of(path: Path, failure: Mapping[str, Any], printed: str) -> ActionFailure:
    """Return what an Action threw when it ran."""
    return ActionFailure(f"the Action threw {_thrown(path, failure)}", trace=failure["stack"] or None, console=printed)


def load_failure_of(script: Script, reply: Mapping[str, Any], printed: str) -> ActionFailure:
    """Return why an Action could not be loaded."""
    trace = reply["failure"]["stack"] if "failure" in reply else ""
    return ActionFailure(_load_text(script, reply), trace=trace or None, console=printed)


def _load_text(script: Script, reply: Mapping[str, Any]) -> str:
    path = script.path
    if reply["loaded"] == "missing":
        return f"the Action does not export {script.handler} ({path.name})"
    if reply["loaded"] == "not async":
        return f"exports.{script.handler} must be an async function ({path.name})"
    failure = reply["failure"]
    if reply["loaded"] == "does not compile":
        return f"the Action does not compile: {_language(script)}{_thrown(path, failure)}"
    missing = _MISSING.match(failure["message"])
    if failure["code"] == "MODULE_NOT_FOUND" and missing is not None:
        hint = f"run npm install {missing[1]} in {path.parent}"
        return f"the Action requires {missing[1]!r}, which is not installed: {hint} ({_place(path, failure)})"
    if failure["code"] == "ERR_REQUIRE_ESM":
        hint = f"Node.js {reply['node']} cannot: pin a version that is CommonJS"
        return f"the Action requires an ES module, which {hint} ({_place(path, failure)})"
    return f"the Action threw {_thrown(path, failure)} while it was loaded"


def exit_text(path: Path, code: int) -> str:
    """Say that an Action's process has ended by itself."""
    how = f"by signal {-code}" if code < 0 else f"with status {code}"
    return f"the Action ended its process {how} ({path.name})"


def _language(script: Script) -> str:
    source = script.source.decode("utf-8", "replace")
    if script.path.suffix in (".ts", ".mts", ".cts") or _TYPES.search(source):
        return "Auth0 does not run TypeScript, so compile it to JavaScript first; "
    if _MODULE.search(source):
        return "Auth0 runs CommonJS, so use require and exports in place of import and export; "
    return ""


def _thrown(path: Path, failure: Mapping[str, Any]) -> str:
    what = f"{failure['name']}: {failure['message']}" if failure["name"] else failure["message"]
    return f"{what} ({_place(path, failure)})"


def _place(path: Path, failure: Mapping[str, Any]) -> str:
    return f"{path.name}{failure['place']}"
