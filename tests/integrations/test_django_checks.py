"""The system checks, by their ids, over projects with one thing wrong; and the settings that they are about."""

from __future__ import annotations

from typing import Any

import pytest

from auth0_cte import ConfigurationError, CookieStateStore, MemoryStateStore, ServerClient
from auth0_cte.django import DjangoCacheRotations, DjangoCacheStateStore, get_async_client, get_client
from auth0_cte.session.settings import CookieSettings, SessionSettings
from auth0_cte.testing import LocalTenant
from tests.django_project import AUTHENTICATION, BACKEND, MODEL_BACKEND, OURS, SECRET, SESSIONS, project, settings_of
from tests.integration.apps import configure_django

AUTH = "django.contrib.auth"
APPS = ["django.contrib.contenttypes", AUTH, "django.contrib.sessions", "auth0_cte.django"]

SHARED = {
    "BACKEND": "auth0_cte.CookieStateStore",
    "OPTIONS": {"rotations": {"BACKEND": "auth0_cte.SQLRotations", "LOCATION": "sqlite://"}},
}


def make_store() -> MemoryStateStore:
    return MemoryStateStore()


def make_nothing() -> object:
    return object()


@pytest.fixture
def tenant() -> LocalTenant:
    return LocalTenant()


def found(*, deploy: bool = False, **changed: Any) -> list[str]:
    """Run all checks of Django over changed settings, and return the ids of ours."""
    from django.core.checks import run_checks
    from django.test import override_settings

    with override_settings(**changed):
        messages = run_checks(include_deployment_checks=deploy)
    return sorted(each.id for each in messages if each.id.startswith("auth0_cte."))


def messages(**changed: Any) -> str:
    from django.core.checks import run_checks
    from django.test import override_settings

    with override_settings(**changed):
        return "\n".join(str(each) for each in run_checks() if each.id == "auth0_cte.E001")


def test_a_project_in_order_passes(tenant: LocalTenant) -> None:
    """Nothing is said of a project that works, with the backend and without it, deployed and not."""
    with project(tenant, backends=(BACKEND, MODEL_BACKEND), state_store=SHARED):
        assert [] == found(deploy=True)
        assert [] == found(deploy=True, AUTHENTICATION_BACKENDS=[MODEL_BACKEND], MIDDLEWARE=[OURS])


def test_missing_settings_are_all_named() -> None:
    """E001 lists every name that is missing, and the same goes for whoever asks for the client."""
    from django.core.exceptions import ImproperlyConfigured
    from django.test import override_settings

    configure_django()
    every = "AUTH0_DOMAIN, AUTH0_CLIENT_ID, AUTH0_CLIENT_SECRET"
    assert every in messages(AUTH0_CTE={}, MIDDLEWARE=[OURS])
    assert ["auth0_cte.E001"] == found(AUTH0_CTE={}, MIDDLEWARE=[OURS])
    for ask in (get_client, get_async_client):
        with override_settings(AUTH0_CTE={}):
            with pytest.raises(ImproperlyConfigured, match=every) as caught:
                ask()
        assert isinstance(caught.value, ConfigurationError)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"AUTH0_CTE": 7}, "AUTH0_CTE must be a dict"),
        ({"AUTH0_CTE": {"domian": "x"}}, "domian"),
        ({"more": {"state_store": "tests.no_such_module.Store"}}, "cannot be imported"),
        ({"more": {"state_store": "tests.integrations.test_django_checks.make_nothing"}}, "must be a store"),
        ({"more": {"client": "tests.integrations.test_django_checks.make_nothing"}}, "client"),
        ({"more": {"leeway": -1}}, "leeway"),
        ({"more": {"timeout": 0}}, "timeout"),
        ({"AUTH0_DOMAIN": "another.auth0.com"}, "differ"),
    ],
)
def test_settings_that_cannot_work_are_said(changed: dict[str, Any], said: str, tenant: LocalTenant) -> None:
    """E001 tells of each fault: unknown names, contradictions, dotted paths that lead nowhere, impossible values."""
    with project(tenant):
        given = dict(changed)
        more = given.pop("more", None)
        if more is not None:
            given["AUTH0_CTE"] = settings_of(tenant, **more)
        assert said in messages(**given)


def test_two_faults_are_said_at_once(tenant: LocalTenant) -> None:
    """Nobody has to start again and again to learn what is wrong."""
    with project(tenant):
        text = messages(AUTH0_CTE=settings_of(tenant, timeout=0, leeway=-1))
    assert "timeout" in text
    assert "leeway" in text


@pytest.mark.parametrize(
    ("middleware", "backend", "ids"),
    [
        ([SESSIONS, AUTHENTICATION], MODEL_BACKEND, ["E002"]),
        ([OURS, SESSIONS, AUTHENTICATION], MODEL_BACKEND, []),
        ([OURS, SESSIONS, AUTHENTICATION], BACKEND, ["E004"]),
        ([SESSIONS, OURS, AUTHENTICATION], BACKEND, ["E004"]),
        ([SESSIONS, OURS], BACKEND, ["E003"]),
        ([OURS], BACKEND, ["E003", "E003"]),
    ],
)
def test_the_middleware_is_there_and_in_order(
    middleware: list[str], backend: str, ids: list[str], tenant: LocalTenant
) -> None:
    """E002: ours is missing. E003: Django's is, and the backend needs it. E004: ours comes too early for that."""
    with project(tenant, backends=(backend,)):
        assert [f"auth0_cte.{each}" for each in ids] == found(MIDDLEWARE=middleware)


def test_the_backend_needs_djangos_users(tenant: LocalTenant) -> None:
    """E003, rather than a backend that is passed over in silence."""
    from django.apps import apps

    with project(tenant, backends=(BACKEND,)):
        without = [name for name in APPS if name != AUTH]
        with apps_installed(without):
            from auth0_cte.django.checks import check_backend

            assert not apps.is_installed(AUTH)
            assert ["auth0_cte.E003"] == [each.id for each in check_backend()]


def apps_installed(names: list[str]) -> Any:
    from django.test import modify_settings

    return modify_settings(INSTALLED_APPS={"remove": [name for name in APPS if name not in names]})


@pytest.mark.parametrize(
    ("secret", "ids"),
    [("short", ["auth0_cte.W001"]), (None, ["auth0_cte.W002"]), ([SECRET, "short"], ["auth0_cte.W001"])],
)
def test_a_weak_secret_is_a_warning(secret: Any, ids: list[str], tenant: LocalTenant) -> None:
    """W001: one of less than 32 bytes. W002: none, with which there are exchanges but no logins."""
    with project(tenant, secret=secret):
        assert ids == found()


@pytest.mark.parametrize(("secure", "ids"), [(False, ["auth0_cte.W003"]), (True, []), (None, [])])
def test_cookies_without_secure_are_not_for_production(secure: Any, ids: list[str], tenant: LocalTenant) -> None:
    """W003 comes with --deploy alone; by default cookies are Secure except on loopback."""
    settings = SessionSettings(cookie=CookieSettings(secure=secure))
    with project(tenant, session_settings=settings, state_store=SHARED):
        assert [] == found()
        assert ids == found(deploy=True)


@pytest.mark.parametrize(
    ("store", "ids"),
    [
        (None, ["auth0_cte.W004"]),
        (CookieStateStore(), ["auth0_cte.W004"]),
        (CookieStateStore(rotations=DjangoCacheRotations("local")), ["auth0_cte.W004"]),
        (CookieStateStore(rotations=DjangoCacheRotations("shared")), []),
        (SHARED, []),
    ],
)
def test_sessions_in_cookies_need_rotations_that_are_shared(store: Any, ids: list[str], tenant: LocalTenant) -> None:
    """W004 names what one process keeps of refreshes: with several, a refresh at one logs users out at another."""
    local = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    shared = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://localhost:1"}
    with project(tenant, state_store=store):
        assert [] == found()
        assert ids == found(deploy=True, CACHES={"default": local, "local": local, "shared": shared})


@pytest.mark.parametrize("kind", ["memory", "locmem", "dummy"])
def test_a_store_of_one_process_is_not_for_production(kind: str, tenant: LocalTenant) -> None:
    """W004 comes with --deploy; that a dummy cache keeps nothing is said always."""
    store = make_store() if kind == "memory" else DjangoCacheStateStore("sessions")
    backend = {"locmem": "locmem.LocMemCache"}.get(kind, "dummy.DummyCache")
    caches = {
        "default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
        "sessions": {"BACKEND": f"django.core.cache.backends.{backend}", "OPTIONS": {"MAX_ENTRIES": 10_000}},
    }
    with project(tenant, state_store=store):
        always = ["auth0_cte.W005"] if kind == "dummy" else []
        assert always == found(CACHES=caches)
        assert sorted(["auth0_cte.W004", *always]) == found(deploy=True, CACHES=caches)


def test_names_serve_as_the_dict_does(tenant: LocalTenant, monkeypatch: pytest.MonkeyPatch) -> None:
    """AUTH0_* settings, and variables of the environment behind them, are the names that Flask applications use."""
    from django.test import override_settings

    monkeypatch.setenv("AUTH0_CLIENT_ID", "of-the-environment")
    monkeypatch.setenv("AUTH0_CLIENT_SECRET", "of-the-environment")
    configure_django()
    with override_settings(AUTH0_DOMAIN=tenant.domain, AUTH0_CLIENT_ID="of-the-settings", AUTH0_SECRET=SECRET):
        client = get_client()
        assert isinstance(client, ServerClient)
        assert "of-the-settings" == client.settings.client_id
        assert f"https://{tenant.domain}/" == client.settings.domain


@pytest.mark.parametrize(
    "store",
    [make_store, MemoryStateStore, "tests.integrations.test_django_checks.make_store", "auth0_cte.MemoryStateStore"],
)
def test_a_store_may_be_named(store: Any, tenant: LocalTenant) -> None:
    """A function or class without arguments makes the store, and either can be given by its dotted path."""
    with project(tenant, state_store=store):
        assert isinstance(get_client().settings.state_store, MemoryStateStore)


def test_another_setting_is_another_client(tenant: LocalTenant) -> None:
    """override_settings takes effect at once, for the client and for its mirror, and so does its end."""
    from django.test import override_settings

    with project(tenant):
        first, mirror = get_client(), get_async_client()
        with override_settings(AUTH0_CTE=settings_of(tenant, leeway=7)):
            assert first is not get_client()
            assert mirror is not get_async_client()
            assert get_async_client().sync is get_client()
        assert first is not get_client()


def test_threads_share_the_client(tenant: LocalTenant) -> None:
    """Whoever comes first makes it, however many come at the same time."""
    import threading
    from concurrent.futures import ThreadPoolExecutor

    start = threading.Barrier(8)

    def ask(_: int) -> ServerClient:
        start.wait(20)
        return get_client()

    with project(tenant), ThreadPoolExecutor(8) as threads:
        assert 1 == len({id(client) for client in threads.map(ask, range(8))})
