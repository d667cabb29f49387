"""The house: its floors and rooms (contracts of import-linter), its sizes, and its entry points."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest

import auth0_cte

PACKAGE = Path(auth0_cte.__file__).parent
ROOT = PACKAGE.parent
MODULES = sorted(PACKAGE.rglob("*.py"))

MAX_FILES_OF_A_ROOM = 16
MAX_LINES = 350
LONGER = {"auth_server/server_client.py"}
"""Two thirds of it is docstrings."""

LINT = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
SPELLINGS = {
    "the package": "from auth0_cte import ServerClient",
    "the whole module": "import auth0_cte.auth_server.server_client",
    "a relative import": "from {up}auth_server import server_client",
}
GROUND_FLOOR = {"error.py": ".", "foundation/deadline.py": ".."}

ENTRY_POINTS = {
    "auth0_cte": ("ServerClient", "AsyncServerClient", "MemoryStateStore"),
    "auth0_cte.auth_server.server_client": ("ServerClient",),
    "auth0_cte.auth_server.async_server_client": ("AsyncServerClient",),
    "auth0_cte.auth_types": ("CustomTokenExchangeOptions", "TokenExchangeResponse", "Session"),
    "auth0_cte.error": ("CustomTokenExchangeError", "ConfigurationError"),
    "auth0_cte.token_types": ("ACCESS_TOKEN", "ID_TOKEN"),
    "auth0_cte.session.redis": ("RedisStateStore",),
    "auth0_cte.session.sql": ("SQLStateStore",),
    "auth0_cte.flask": ("Auth0CTE",),
    "auth0_cte.starlette": ("Auth0CTEMiddleware",),
    "auth0_cte.django": ("DjangoCacheStateStore", "requires_session"),
    "auth0_cte.otel": ("OpenTelemetryEvents",),
    "auth0_cte.testing": ("LocalTenant",),
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package and its contracts, to break."""
    directory = tmp_path_factory.mktemp("house")
    shutil.copytree(PACKAGE, directory / "auth0_cte", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "setup.cfg", directory)
    return directory


def lint(directory: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the package of a directory."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    return subprocess.run(
        [sys.executable, "-c", LINT, "--cache-dir", str(directory / "cache")],
        cwd=directory,
        env={**environment, "PYTHONPATH": str(directory), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_contract_is_kept(copy: Path) -> None:
    """Floors, rooms and third-party edges are as setup.cfg has them, imports for type checkers included."""
    done = lint(copy)
    assert (0, True) == (done.returncode, " 0 broken" in done.stdout), done.stdout + done.stderr


@pytest.mark.parametrize("place", GROUND_FLOOR)
@pytest.mark.parametrize("indented", [False, True], ids=["at the top", "in a function"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_import_upward_breaks_a_contract(spelling: str, place: str, copy: Path, *, indented: bool) -> None:
    """However it is written, and wherever it stands."""
    path, statement = copy / "auth0_cte" / place, SPELLINGS[spelling].format(up=GROUND_FLOOR[place])
    text = path.read_text()
    path.write_text(text + (f"\n\ndef upward() -> None:\n    {statement}\n" if indented else f"\n{statement}\n"))
    try:
        done = lint(copy)
    finally:
        path.write_text(text)
    assert (1, True) == (done.returncode, "BROKEN" in done.stdout), done.stdout + done.stderr


def test_rooms_are_not_crowded() -> None:
    """A room with more files is asking to be two."""
    rooms = Counter(str(path.parent.relative_to(PACKAGE)) for path in MODULES)
    assert {} == {room: count for room, count in rooms.items() if count > MAX_FILES_OF_A_ROOM}


def test_modules_stay_small() -> None:
    """A module that is longer is asking to be two."""
    sizes = {str(path.relative_to(PACKAGE)): len(path.read_text().splitlines()) for path in MODULES}
    assert {} == {name: size for name, size in sizes.items() if size > MAX_LINES and name not in LONGER}


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_the_entry_points_stay(name: str) -> None:
    """What programs import is where it was."""
    module = import_module(name)
    assert [] == [each for each in ENTRY_POINTS[name] if not hasattr(module, each)]


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


def test_errors_keep_their_evidence_through_pickling() -> None:
    """An error that crosses processes arrives with its code and attributes."""
    error = auth0_cte.RateLimitError("slow down", code="too_many_requests", retry_after=3.0, blocked=False)
    copied = pickle.loads(pickle.dumps(error))
    assert (error.code, error.message, 3.0) == (copied.code, copied.message, copied.retry_after)


def test_unknown_evidence_is_refused() -> None:
    """An attribute that the class does not document cannot be given."""
    with pytest.raises(TypeError, match="bogus"):
        auth0_cte.SessionError("x", bogus=1)
