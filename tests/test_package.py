"""The package's outside and its inner order: names, laziness, direction of imports, size."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import auth0_cte

ROOT = Path(auth0_cte.__file__).parent

# From the bottom to the top: a module imports only from layers below its own, or of its own wing.
LAYERS = [
    {"error_hints"},
    {"actors", "error", "token_types", "strict_json", "caching"},
    {"mfa_types", "session.session_types"},
    {"auth_types", "session.settings"},
    {"auth_server.given_functions"},
    {"jose", "auth_server.domain", "auth_server.connections", "auth_server.retry", "auth_server.telemetry"},
    {"auth_server.http", "auth_server.rate_limit", "auth_server.rate_limit_redis", "auth_server.events"},
    {"auth_server.mutual_tls", "auth_server.private_key_jwt"},
    {
        "auth_server.client_auth",
        "auth_server.discovery",
        "auth_server.dpop",
        "auth_server.event_reports",
        "auth_server.observer",
        "auth_server.option_rules",
        "auth_server.proofs",
        "auth_server.rate_headers",
        "auth_server.turns",
        "shared_calls",
    },
    {
        "auth_server.actor_rules",
        "auth_server.configuration",
        "auth_server.error_reply",
        "auth_server.id_token",
        "auth_server.session_transfer",
        "auth_server.token_exchange",
        "exchange_cache",
        "exchange_request",
    },
    {"auth_server.token_endpoint"},
    {"session"},
    {"auth_server.base_client", "redis_exchange_cache"},
    {"auth_server.reuse", "auth_server.client_steps", "auth_server.mfa_api", "auth_server.pending_login"},
    {"auth_server.delegation", "auth_server.multi_factor"},
    {"auth_server.server_client"},
    {"auth_server.offloading"},
    {"auth_server.async_server_client"},
    {"current_token"},
    {"django", "flask", "otel", "starlette", "requests_auth"},
    {"testing"},
    {"cli"},
    {"examples"},
]


def _modules() -> dict[str, Path]:
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if name not in ("__init__", "auth_server", "session", "__main__"):
            found[name] = path
    return found


def _layer(name: str) -> int:
    for number, layer in enumerate(LAYERS):
        if name in layer:
            return number
    for number, layer in enumerate(LAYERS):
        if name.partition(".")[0] in layer:
            return number
    raise AssertionError(f"{name} has no place in LAYERS: give it one")


def _imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(_without_type_checking(ast.parse(path.read_text()))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("auth0_cte."):
            names.update(_targets(node))
    return names


def _targets(node: ast.ImportFrom) -> set[str]:
    module = str(node.module).removeprefix("auth0_cte.")
    if module in ("auth_server", "session"):
        return {f"{module}.{alias.name}" for alias in node.names}
    return {module}


def _without_type_checking(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [each for each in body if not _is_type_checking(each)]  # type: ignore[attr-defined]
    return tree


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


@pytest.mark.parametrize("name", _modules())
def test_imports_never_go_upward(name: str) -> None:
    """A module imports from the layers below, or from its own wing."""
    for target in _imports(_modules()[name]):
        same_wing = target.partition(".")[0] == name.partition(".")[0] and _layer(target) == _layer(name)
        assert same_wing or _layer(target) < _layer(name), f"{name} imports {target}"


@pytest.mark.parametrize(
    ("package", "doors"),
    [("requests", {"auth_server.http", "requests_auth"}), ("jwcrypto", {"jose"}), ("cryptography", {"jose"})],
)
def test_every_third_party_edge_has_its_door(package: str, doors: set[str]) -> None:
    """One module sends by requests, one is for those who do; one wing does JOSE; tests and examples do as they like."""
    users = set()
    for name, path in _modules().items():
        for node in ast.walk(_without_type_checking(ast.parse(path.read_text()))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(each.partition(".")[0] == package for each in names):
                users.add("jose" if name.startswith("jose.") else name)
    assert doors == {name for name in users if not name.startswith(("testing", "examples"))}


def test_all_is_pinned_sorted_and_complete() -> None:
    """Everything public can be imported from the package itself, and dir() shows it."""
    assert sorted(auth0_cte.__all__, key=str.casefold) == list(auth0_cte.__all__)
    for name in auth0_cte.__all__:
        assert getattr(auth0_cte, name) is not None
        assert name in dir(auth0_cte)
    from auth0_cte import auth_types, error

    assert set(error.__all__) | set(auth_types.__all__) <= set(auth0_cte.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A typing error in a name is told as Python tells it."""
    with pytest.raises(AttributeError, match="Bogus"):
        auth0_cte.Bogus  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import auth0_cte", "requests attrs jwcrypto anyio click rich flask django starlette redis sqlalchemy"),
        ("from auth0_cte import ServerClient, CustomTokenExchangeOptions", "jwcrypto cryptography anyio click flask"),
        ("import auth0_cte.testing", "pytest trustme flask django starlette anyio click rich"),
    ],
)
def test_nothing_is_imported_before_it_is_used(statement: str, absent: str) -> None:
    """Heavy and optional packages come when first needed."""
    code = f"{statement}\nimport sys\nprint(*(set({absent.split()!r}) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("COV")},
    )
    assert "" == done.stdout.strip()


@pytest.mark.parametrize("name", _modules())
def test_modules_stay_small(name: str) -> None:
    """A module that passes 350 lines, by much, is asking to be two."""
    assert len(_modules()[name].read_text().splitlines()) <= 380


def test_errors_keep_their_evidence_through_pickling() -> None:
    """An error that crosses processes arrives with its code and attributes."""
    import pickle

    from auth0_cte import RateLimitError

    error = RateLimitError("slow down", code="too_many_requests", retry_after=3.0, blocked=False)
    copy = pickle.loads(pickle.dumps(error))
    assert (error.code, error.message, 3.0) == (copy.code, copy.message, copy.retry_after)


def test_unknown_evidence_is_refused() -> None:
    """An attribute that the class does not document cannot be given."""
    with pytest.raises(TypeError, match="bogus"):
        auth0_cte.SessionError("x", bogus=1)
