"""Stores that Django's settings describe as caches are described: with a real Redis, PostgreSQL and SQLite behind."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from auth0_cte import RateLimitError
from auth0_cte.django import get_client
from auth0_cte.testing import FakeClock, LocalTenant
from tests.django_project import SECRET, TYPE, project
from tests.exchanges import accept_user_ids

_numbers = itertools.count()

Spec = dict[str, Any]


def redis_spec(request: pytest.FixtureRequest, _directory: Path, kind: str = "StateStore") -> Spec:
    options = {"prefix": f"{{django{next(_numbers)}}}", "timeout": 10}
    url = request.getfixturevalue("redis_server").url
    return {"BACKEND": f"auth0_cte.Redis{kind}", "LOCATION": url, "OPTIONS": options}


def postgresql_spec(request: pytest.FixtureRequest, _directory: Path, kind: str = "StateStore") -> Spec:
    options = {"table": f"django_{next(_numbers)}"}
    url = request.getfixturevalue("postgres_server").url
    return {"BACKEND": f"auth0_cte.session.sql.SQL{kind}", "LOCATION": url, "OPTIONS": options}


def sqlite_spec(_request: pytest.FixtureRequest, directory: Path, kind: str = "StateStore") -> Spec:
    return {"BACKEND": f"auth0_cte.SQL{kind}", "LOCATION": f"sqlite:///{directory / 'sessions.db'}"}


SPECS: dict[str, Callable[..., Spec]] = {"redis": redis_spec, "postgresql": postgresql_spec, "sqlite": sqlite_spec}


@pytest.fixture
def tenant(clock: FakeClock) -> LocalTenant:
    return accept_user_ids(LocalTenant(clock=clock))


@contextmanager
def serving(tenant: LocalTenant, **given: Any) -> Iterator[Any]:
    """Run the project with the settings, after its tables were made."""
    from django.test import Client

    with project(tenant, clock=tenant.clock, **given):
        store: Any = get_client().settings.state_store
        kept = getattr(store, "rotations", store)
        if hasattr(kept, "create_tables"):
            kept.create_tables()
        try:
            yield Client()
        finally:
            if hasattr(kept, "close"):
                kept.close()


@pytest.mark.parametrize("kind", SPECS)
def test_sessions_live_where_the_settings_say(
    kind: str, tenant: LocalTenant, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Users log in, go on, and are logged out by Auth0, as with a store that is made by hand."""
    with serving(tenant, state_store=SPECS[kind](request, tmp_path)) as browser:
        assert 302 == browser.get("/login/auth0|ada").status_code
        assert "auth0|ada" == browser.get("/me").json()["sub"]
        message = {"logout_token": tenant.logout_token(sub="auth0|ada")}
        assert 200 == browser.post("/backchannel-logout", message).status_code
        assert 401 == browser.get("/me").status_code


@pytest.mark.parametrize("kind", SPECS)
def test_rotations_live_where_the_settings_say(
    kind: str, tenant: LocalTenant, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """A cookie from before a logout is not good again in another process, which shares the rotations alone."""
    spec = {
        "BACKEND": "auth0_cte.CookieStateStore",
        "OPTIONS": {"rotations": SPECS[kind](request, tmp_path, "Rotations")},
    }
    with serving(tenant, state_store=spec) as browser:
        browser.get("/login/auth0|ada")
        stolen = {name: morsel.value for name, morsel in browser.cookies.items()}
        browser.get("/logout")
    with serving(tenant, state_store=spec) as another:
        for name, value in stolen.items():
            another.cookies[name] = value
        assert 401 == another.get("/me").status_code


def test_exchanges_are_shared_and_limited_through_redis(tenant: LocalTenant, request: pytest.FixtureRequest) -> None:
    """The cache of one process has what another has exchanged, and both take the slots of one limit."""
    url, name = request.getfixturevalue("redis_server").url, f"django{next(_numbers)}"
    given = {
        "exchange_cache": {
            "BACKEND": "auth0_cte.RedisExchangeCache",
            "LOCATION": url,
            "OPTIONS": {"secret": SECRET, "prefix": f"{{{name}}}", "timeout": 10},
        },
        "rate_limit": {
            "BACKEND": "auth0_cte.RateLimit",
            "LOCATION": url,
            "OPTIONS": {"rate": "1/h", "name": name, "timeout": 10},
        },
    }
    for _ in range(2):
        with serving(tenant, **given) as browser:
            assert b"Bearer" == browser.get("/exchange").content
            client: Any = get_client()
            with pytest.raises(RateLimitError) as caught:
                client.custom_token_exchange(subject_token="auth0|bob", subject_token_type=TYPE)
            assert "LOCAL_RATE_LIMIT" == caught.value.code
            client.exchange_cache.close()
    assert 1 == len(tenant.token_requests)


@pytest.mark.parametrize("kind", ["postgresql", "sqlite"])
def test_missing_tables_are_told_by_the_command(
    kind: str, tenant: LocalTenant, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """It says which method makes them."""
    from django.core.management import CommandError, call_command

    with project(tenant, state_store=SPECS[kind](request, tmp_path)):
        said = io.StringIO()
        with pytest.raises(CommandError) as caught:
            call_command("auth0_cte_check", stdout=said)
        assert "Call create_tables()" in str(caught.value)
        store: Any = get_client().settings.state_store
        store.create_tables()
        call_command("auth0_cte_check", stdout=said)
        assert said.getvalue().endswith("Everything is in order.\n")
        store.close()
