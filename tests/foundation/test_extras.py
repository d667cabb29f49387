"""A missing package: the message names what to install."""

from __future__ import annotations

import subprocess
import sys

import pytest

from auth0_cte.foundation.extras import extra


@pytest.mark.parametrize(
    ("statement", "missing", "name"),
    [
        ("import auth0_cte.flask", "flask", "flask"),
        ("import auth0_cte.starlette", "starlette", "starlette"),
        ("import auth0_cte.starlette; auth0_cte.starlette.backchannel_logout_route()", "python_multipart", "starlette"),
        ("import auth0_cte.django", "django", "django"),
        ("import auth0_cte.django.middleware", "django", "django"),
        ("import auth0_cte.otel", "opentelemetry", "otel"),
        ("import auth0_cte.session.sql", "sqlalchemy", "sqlalchemy"),
        ("from auth0_cte import SQLStateStore", "sqlalchemy", "sqlalchemy"),
        ("from auth0_cte import SQLRotations", "sqlalchemy", "sqlalchemy"),
        ("from auth0_cte import RedisStateStore as S; S.from_url('redis://localhost')", "redis", "redis"),
        ("from auth0_cte import RedisRotations as S; S.from_url('redis://localhost')", "redis", "redis"),
        ("from auth0_cte import RedisExchangeCache as S; S.from_url('redis://localhost')", "redis", "redis"),
        ("import auth0_cte.examples.flask_app", "flask", "examples"),
        ("import auth0_cte.examples.django_app", "django", "examples"),
        ("import auth0_cte.examples.fastapi_app", "fastapi", "examples"),
        ("import auth0_cte.examples.fastapi_app", "uvicorn", "examples"),
        ("import auth0_cte.examples.celery_app", "celery", "examples"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(statement: str, missing: str, name: str) -> None:
    """Every integration, store and example says which pip install brings what it lacks."""
    program = f"import sys; sys.modules[{missing!r}] = None; {statement}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert 1 == done.returncode
    assert last.startswith("ModuleNotFoundError: ")
    assert f"requires the package '{missing}'" in last
    assert last.endswith(f"python -m pip install 'auth0-cte[{name}]'")


def test_a_module_of_our_own_is_no_extra() -> None:
    """A mistake of ours is shown as it is."""
    with pytest.raises(ModuleNotFoundError) as caught, extra("flask", "it"):
        import auth0_cte.nothing  # type: ignore[import-not-found] # noqa: F401
    assert "pip" not in str(caught.value)
