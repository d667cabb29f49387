"""The examples in module docstrings parse and run."""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import ROOT
from tests.integration.apps import configure_django

ENVIRONMENT = {
    "AUTH0_DOMAIN": "tenant.auth0.com",
    "AUTH0_CLIENT_ID": "client-id",
    "AUTH0_CLIENT_SECRET": "client-secret",
    "AUTH0_SECRET": "a-long-random-secret-of-32-bytes-or-more",
}


def _examples(path: Path) -> list[str]:
    """Return the indented blocks after "::", Python ones only: commands have no assignment, import or call."""
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    blocks = re.findall(r"::\n\n((?:(?: {4}.*)?\n?)+)", text)
    return [code for block in blocks if not (code := textwrap.dedent(block)).startswith(("python ", "celery "))]


MODULES = {str(path.relative_to(ROOT)): path for path in sorted((ROOT / "auth0_cte").rglob("*.py")) if _examples(path)}


@pytest.mark.parametrize("module", MODULES)
def test_the_example_of_a_module_runs(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a module's docstring shows is a program that runs, with the settings in the environment."""
    configure_django()
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    namespace: dict[str, Any] = {"__name__": "example"}
    for example in _examples(MODULES[module]):
        exec(compile(example, module, "exec"), namespace)


@pytest.mark.parametrize("module", ["flask.py", "starlette/__init__.py", "django/__init__.py", "testing/__init__.py"])
def test_every_integration_shows_an_example(module: str) -> None:
    """``help()`` of an integration shows how to use it."""
    assert f"auth0_cte/{module}" in MODULES
