"""The reference has everything that there is: public names, error codes, environment names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from sphinx.util.inventory import InventoryFile

from auth0_cte import error
from auth0_cte.error_hints import HINTS
from tests.docs.pages import DOCS, ROOT
from tests.integration.apps import configure_django

MODULES = (
    "auth0_cte",
    "auth0_cte.django",
    "auth0_cte.django.backends",
    "auth0_cte.django.middleware",
    "auth0_cte.flask",
    "auth0_cte.otel",
    "auth0_cte.session.redis",
    "auth0_cte.session.sql",
    "auth0_cte.starlette",
    "auth0_cte.testing",
)


def _documented(built: Path) -> set[str]:
    inventory = InventoryFile.loads((built / "objects.inv").read_bytes(), uri="")
    return {name for domain, names in inventory.data.items() if domain.startswith("py:") for name in names}


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_in_the_reference(module: str, built: Path) -> None:
    """What can be imported from an entry point is documented under that name."""
    configure_django()
    assert [] == sorted({f"{module}.{name}" for name in import_module(module).__all__} - _documented(built))


@pytest.mark.parametrize("name", ["ServerClient", "AsyncServerClient", "testing.LocalTenant"])
def test_every_public_method_is_in_the_reference(name: str, built: Path) -> None:
    """Methods that a class takes from elsewhere are documented as its own."""
    module, _, short = f"auth0_cte.{name}".rpartition(".")
    kind = getattr(import_module(module), short)
    members = {f"auth0_cte.{name}.{member}" for member in dir(kind) if not member.startswith("_")}
    assert [] == sorted(members - _documented(built))


def _codes() -> Iterator[str]:
    for kind in vars(error).values():
        if isinstance(kind, type) and issubclass(kind, error.Auth0CTEError) and kind.code != error.Auth0CTEError.code:
            yield kind.code
    yield from HINTS
    yield from (code for name, code in vars(error.CustomTokenExchangeErrorCode).items() if name.isupper())
    for path in (ROOT / "auth0_cte").rglob("*.py"):
        if path.relative_to(ROOT / "auth0_cte").parts[0] not in ("testing", "cli", "examples", "batch"):
            yield from re.findall(r"\bcode=\"(\w+)\"", path.read_text())


def test_every_error_code_is_in_the_reference(built: Path) -> None:
    """Every code that the package gives an error has an anchor, so that a hint can link to it."""
    page = (built / "reference" / "errors.html").read_text()
    missing = {code for code in _codes() if f'id="error-{code.lower().replace("_", "-")}"' not in page}
    assert set() == missing


def test_every_code_says_what_to_do(built: Path) -> None:
    """No row of the table of error codes lacks a situation, a meaning or a hint, nor has the one for Actions' codes."""
    page = (built / "reference" / "errors.html").read_text()
    rows = re.findall(r"<em>What to do:</em>(.*?)</p>", page, re.DOTALL)
    assert len(rows) > 50
    assert [] == [row for row in rows if not row.strip() or "Action gave this code" in row]


def test_every_environment_name_is_in_the_reference() -> None:
    """A name that the code reads is on the page of settings."""
    page = (DOCS / "reference" / "settings.rst").read_text()
    names = set[str]()
    for path in (ROOT / "auth0_cte").rglob("*.py"):
        names.update(re.findall(r"\bAUTH0_(?!CTE)[A-Z_]*[A-Z]\b", path.read_text()))
    assert set() == {name for name in names if f"``{name}``" not in page}
