"""Django's settings as the client's arguments, what is said of their faults, and the command that tries them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from auth0_cte import AsyncServerClient, CookieSettings, MemoryStateStore, SessionSettings
from auth0_cte.django import DjangoCacheStateStore, get_client
from auth0_cte.testing import LocalTenant
from tests.django_project import AUTHENTICATION, BACKEND, MODEL_BACKEND, OURS, SECRET, SESSIONS
from tests.integration.apps import configure_django

GOOD = {"domain": "tenant.auth0.com", "client_id": "id", "client_secret": "client-secret", "secret": SECRET}


@pytest.fixture(autouse=True)
def _django() -> Iterator[None]:
    configure_django()
    with override(MIDDLEWARE=[SESSIONS, AUTHENTICATION, OURS]):
        yield


def override(**settings: Any) -> Any:
    from django.test import override_settings

    return override_settings(**settings)


def ids(*, deploy: bool = False) -> list[str]:
    """Return the ids of our messages."""
    return [message.id for message in messages(deploy=deploy)]


def messages(*, deploy: bool = False) -> list[Any]:
    from django.core.checks import run_checks

    return [each for each in run_checks(include_deployment_checks=deploy) if str(each.id).startswith("auth0_cte")]


def test_named_settings_serve() -> None:
    """AUTH0_DOMAIN and the like make the client, too, and win over the environment."""
    names = {f"AUTH0_{name.upper()}": value for name, value in GOOD.items()}
    with override(**names, AUTH0_COOKIE_SAME_SITE="strict"):
        assert "ServerClient(domain='https://tenant.auth0.com/', client_id='id')" == repr(get_client())
        assert "Strict" == get_client().sessions.manager.settings.cookie.same_site
        assert [] == ids()


@pytest.mark.parametrize(
    "store",
    [
        MemoryStateStore(),
        MemoryStateStore,
        "auth0_cte.MemoryStateStore",
        "tests.django_project.memory",
        lambda: MemoryStateStore(),
    ],
)
def test_a_store_can_be_given_in_many_ways(store: Any) -> None:
    """An instance, a class, a function, and the dotted paths of them."""
    with override(AUTH0_CTE={**GOOD, "state_store": store}):
        assert isinstance(get_client().sessions.store, MemoryStateStore)
        assert [] == ids()


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"BACKEND": "auth0_cte.RedisStateStore", "LOCATION": "redis://localhost:1/0"}, "RedisStateStore"),
        (
            {
                "BACKEND": "auth0_cte.session.redis.RedisStateStore",
                "LOCATION": "redis://localhost:1/0",
                "OPTIONS": {"prefix": "x", "timeout": 0.5},
            },
            "RedisStateStore",
        ),
        ({"BACKEND": "auth0_cte.SQLStateStore", "LOCATION": "sqlite://", "OPTIONS": {"table": "x"}}, "SQLStateStore"),
        ({"BACKEND": "auth0_cte.django.DjangoCacheStateStore", "LOCATION": "default"}, "DjangoCacheStateStore"),
        ({"BACKEND": "auth0_cte.MemoryStateStore"}, "MemoryStateStore"),
        (
            {
                "BACKEND": "auth0_cte.CookieStateStore",
                "OPTIONS": {"rotations": {"BACKEND": "auth0_cte.SQLRotations", "LOCATION": "sqlite://"}},
            },
            "CookieStateStore",
        ),
    ],
)
def test_a_store_can_be_given_as_caches_are(given: Any, kind: str) -> None:
    """A dict of BACKEND, LOCATION and OPTIONS makes stores that need a client, an engine, or a cache's name."""
    with override(AUTH0_CTE={**GOOD, "state_store": given}):
        store: Any = get_client().settings.state_store
        assert kind == type(store).__name__
        if kind == "CookieStateStore":
            assert "SQLRotations" == type(store.rotations).__name__
        assert not [each for each in ids() if each == "auth0_cte.E001"]


PASSWORD = "pa55word"
LOCATION = f"redis://:{PASSWORD}@127.0.0.1:1/0"
REDIS = {"BACKEND": "auth0_cte.RedisStateStore", "LOCATION": LOCATION}
A_REDIS = '{"BACKEND": "auth0_cte.RedisStateStore", "LOCATION": "redis://…"'
SQL = {"BACKEND": "auth0_cte.SQLStateStore", "LOCATION": "sqlite://"}
A_SQL = '{"BACKEND": "auth0_cte.SQLStateStore", "LOCATION": "postgresql+psycopg://…"'
CACHE = {"BACKEND": "auth0_cte.RedisExchangeCache", "LOCATION": LOCATION}
LIMIT = {"BACKEND": "auth0_cte.RateLimit", "LOCATION": LOCATION}
COOKIES = {"BACKEND": "auth0_cte.CookieStateStore"}

UNUSABLE: list[tuple[str, Any, tuple[str, ...]]] = [
    ("state_store", LOCATION, ("not be a URL alone", A_REDIS)),
    ("state_store", "auth0_cte.RedisStateStore", ("requires arguments", A_REDIS)),
    ("state_store", "auth0_cte.SQLStateStore", ("requires arguments", A_SQL)),
    ("state_store", {}, ("must be a dict such as", A_REDIS)),
    ("state_store", [LOCATION], ("must be a store of sessions",)),
    ("state_store", {"LOCATION": LOCATION}, ("must be a dict such as", A_REDIS)),
    ("state_store", {"BACKEND": "auth0_cte.SQLStateStore"}, ("cannot be made of nothing", A_SQL)),
    ("state_store", {"BACKEND": "auth0_cte.RedisStateStore"}, ("cannot be made of nothing", A_REDIS)),
    ("state_store", {"BACKEND": "auth0_cte.RedisStateStore", "location": LOCATION}, ("dict such as", "location")),
    ("state_store", {**REDIS, "LOCATION": [LOCATION]}, ("Redis URL must look like",)),
    ("state_store", {**REDIS, "LOCATION": f"redis://:x@h:{PASSWORD}"}, ("Redis URL must look like",)),
    ("state_store", {**REDIS, "OPTIONS": 5}, ("must be a dict such as", A_REDIS)),
    ("state_store", {**REDIS, "OPTIONS": {"db": 5}}, ("cannot be made of LOCATION, db", A_REDIS)),
    ("state_store", {**REDIS, "OPTIONS": {"timeout": "1"}}, ("timeout must be a number",)),
    ("state_store", {**REDIS, "OPTIONS": {"pool_size": 0}}, ("pool_size must be a number",)),
    ("state_store", {**REDIS, "OPTIONS": {"prefix": 5}}, ("prefix must be a string",)),
    ("state_store", {**REDIS, "BACKEND": "auth0_cte.RedisRotations"}, ("must be a store of sessions",)),
    ("state_store", {"BACKEND": "auth0_cte.MemoryStateStore", "OPTIONS": {"bogus": 1}}, ("cannot be made of bogus",)),
    ("state_store", {"BACKEND": "auth0_cte.MemoryStateStore", "LOCATION": "x"}, ("maxsize must be",)),
    ("state_store", {**SQL, "LOCATION": "nonsense"}, ("database URL must look like",)),
    ("state_store", {**SQL, "LOCATION": "mysql+nothing://x/y"}, ("database URL must look like",)),
    ("state_store", {**SQL, "LOCATION": "postgresql+psycopg_async://x"}, ("asynchronous",)),
    ("state_store", {**SQL, "OPTIONS": {"pool_size": 5}}, ("unexpected keyword argument 'pool_size'",)),
    ("state_store", {"BACKEND": "no.such.thing"}, ("cannot be imported",)),
    ("state_store", {**COOKIES, "OPTIONS": {"remembered": 999}}, ("at most 300 seconds",)),
    (
        "state_store",
        {**COOKIES, "OPTIONS": {"rotations": {"BACKEND": "no.such"}}},
        ('["OPTIONS"]["rotations"]', "cannot be imported"),
    ),
    ("state_store", {**COOKIES, "OPTIONS": {"rotations": LOCATION}}, ('"BACKEND": "auth0_cte.RedisRotations"',)),
    ("state_store", {**COOKIES, "OPTIONS": {"rotations": REDIS}}, ("rotations must be",)),
    ("exchange_cache", LOCATION, ("not be a URL alone", '"BACKEND": "auth0_cte.RedisExchangeCache"')),
    ("exchange_cache", "auth0_cte.RedisExchangeCache", ("requires arguments", '"OPTIONS": {"secret": …}')),
    ("exchange_cache", CACHE, ("secret",)),
    ("exchange_cache", {**CACHE, "OPTIONS": {"secret": SECRET, "skw": 1}}, ("skw",)),
    ("exchange_cache", MemoryStateStore, ("exchange_cache must be a cache",)),
    ("rate_limit", LIMIT, ("cannot be made of LOCATION", '"OPTIONS": {"rate": "4/s"}')),
    ("rate_limit", {**LIMIT, "OPTIONS": {"rate": "4/x"}}, ('written "4/s"',)),
    ("rate_limit", {"rate": "4/s"}, ("must be a dict such as", "unknown: rate")),
    ("rate_limit", {**CACHE, "OPTIONS": {"secret": SECRET}}, ("rate_limit must be a RateLimit",)),
    ("rate_limit", LOCATION, ('written "4/s"',)),
]


@pytest.mark.parametrize(("name", "given", "parts"), UNUSABLE)
def test_what_cannot_be_made_is_told(name: str, given: Any, parts: tuple[str, ...]) -> None:
    """The message names the setting, says what is wrong and what to give, and shows no password."""
    with override(AUTH0_CTE={**GOOD, name: given}):
        (fault,) = [each.msg for each in messages() if each.id == "auth0_cte.E001"]
    for part in parts:
        assert part in fault
    assert name.replace("_", " ") in fault.replace("_", " ")
    assert PASSWORD not in fault


@pytest.mark.parametrize(
    ("name", "given", "kind"),
    [
        ("exchange_cache", "auth0_cte.ExchangeCache", "ExchangeCache"),
        ("exchange_cache", {"BACKEND": "auth0_cte.ExchangeCache", "OPTIONS": {"max_age": 60}}, "ExchangeCache"),
        ("exchange_cache", {**CACHE, "OPTIONS": {"secret": SECRET, "prefix": "x"}}, "RedisExchangeCache"),
        ("rate_limit", "4/s", "RateLimit"),
        ("rate_limit", {**LIMIT, "OPTIONS": {"rate": "4/s", "burst": 2}}, "RateLimit"),
        ("rate_limit", {"BACKEND": "auth0_cte.RateLimit", "OPTIONS": {"rate": "4/s"}}, "RateLimit"),
    ],
)
def test_caches_of_exchanges_and_rate_limits_as_caches_are(name: str, given: Any, kind: str) -> None:
    """What is shared through Redis can be given by its URL, too."""
    with override(AUTH0_CTE={**GOOD, name: given}):
        assert kind == type(getattr(get_client().settings, name)).__name__
        assert [] == ids()


def test_partitioned_cookies_are_refused_at_the_start() -> None:
    """Django cannot set the attribute, which the check tells."""
    cookie = CookieSettings(partitioned=True, secure=True, same_site="none")
    with override(AUTH0_CTE={**GOOD, "session_settings": SessionSettings(cookie=cookie)}):
        (message,) = messages()
    assert ("auth0_cte.E001", True) == (message.id, "cannot set Partitioned" in message.msg)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_ready_client_serves(asynchronous: bool) -> None:
    """A client, or what makes one, can be given instead of its arguments."""
    client = LocalTenant().client(secret=SECRET)
    for given in (client, lambda: client):
        with override(AUTH0_CTE={"client": AsyncServerClient.from_sync(client) if asynchronous else given}):
            assert client is get_client()
            assert [] == ids()


def test_every_fault_is_listed() -> None:
    """Each fault of the settings has a message of its own."""
    faulty = {
        "domain": "https://user@tenant.auth0.com",
        "client_id": " ",
        "timeout": 0,
        "leeway": 1000,
        "pool_size": "x",
        "id_token_algorithms": ["none"],
        "state_store": "no.such.thing",
        "domian": "tenant.auth0.com",
        "session_settings": SessionSettings(),
        "create_users": "yes",
        "secret": 5,
    }
    with override(AUTH0_CTE=faulty, AUTH0_COOKIE_PATH="/", AUTH0_CLIENT_ID="other"):
        found = messages()
    wanted = (
        *(
            "user information",
            "client_id must be",
            "timeout must be",
            "leeway must be",
            "pool_size must be",
            "algorithms",
        ),
        *("'no.such.thing' cannot be imported", "domian", "session_settings", "create_users", "secret must be text"),
        *("both set, and differ", "missing settings: AUTH0_CLIENT_SECRET"),
    )
    assert {"auth0_cte.E001"} == {each.id for each in found}
    for part in wanted:
        assert 1 == sum(part in each.msg for each in found), part
    assert len(wanted) == len(found)


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ("tenant.auth0.com", "must be a dict"),
        ({**GOOD, "client": LocalTenant().client()}, "ready"),
        ({"client": 5}, "must be a ServerClient"),
        ({**GOOD, "state_store": dict}, "must be a store"),
        ({**GOOD, "bogus": 1}, "bogus"),
        ({**GOOD, "authorization_params": {"audience": {}}}, "default"),
    ],
)
def test_what_cannot_work_is_refused(given: Any, fault: str) -> None:
    """A contradiction is an error of the check."""
    with override(AUTH0_CTE=given):
        assert [True] == [fault in message.msg for message in messages()]


def test_the_middleware_is_wanted() -> None:
    """Ours is always, Django's with the backend, in the right order."""
    with override(AUTH0_CTE=GOOD):
        with override(MIDDLEWARE=[SESSIONS]):
            assert ["auth0_cte.E002"] == ids()
        with override(MIDDLEWARE=[SESSIONS, "tests.integrations.test_django_settings.Derived"]):
            assert [] == ids()
        with override(AUTHENTICATION_BACKENDS=[MODEL_BACKEND, BACKEND]):
            assert [] == ids()
            with override(MIDDLEWARE=[OURS]):
                assert ["auth0_cte.E003", "auth0_cte.E003"] == ids()
            with override(MIDDLEWARE=[SESSIONS, OURS, AUTHENTICATION]):
                assert ["auth0_cte.E004"] == ids()


def test_the_user_model_must_hold_the_key() -> None:
    """A key field that is missing, short, not unique or no text is an error."""
    for field in ("bogus", "first_name", "email", "id"):
        with override(AUTH0_CTE=GOOD, AUTHENTICATION_BACKENDS=[f"tests.integrations.test_django_settings.By_{field}"]):
            assert ["auth0_cte.E005"] == ids(), field


def __getattr__(name: str) -> Any:
    if name == "Derived":
        from auth0_cte.django.middleware import Auth0CTEMiddleware

        return type(name, (Auth0CTEMiddleware,), {})
    if name.startswith("By_"):
        from auth0_cte.django.backends import Auth0Backend

        return type(name, (Auth0Backend,), {"key_field": name.removeprefix("By_")})
    raise AttributeError(name)


@pytest.mark.parametrize(
    ("cache", "found", "deployed"),
    [
        ({"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1"}, [], []),
        ({"BACKEND": "django.core.cache.backends.dummy.DummyCache"}, ["W005"], ["W004"]),
        ({"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}, ["W006"], ["W004"]),
        ({"BACKEND": "django.core.cache.backends.db.DatabaseCache", "OPTIONS": {"MAX_ENTRIES": 9999}}, [], []),
        (None, ["E006"], []),
    ],
)
def test_the_cache_must_keep_sessions(cache: Any, found: list[str], deployed: list[str]) -> None:
    """A cache that keeps nothing, few things, or things to itself is told."""
    caches = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    caches |= {} if cache is None else {"sessions": cache}
    with override(CACHES=caches, AUTH0_CTE={**GOOD, "state_store": DjangoCacheStateStore("sessions")}):
        assert [f"auth0_cte.{each}" for each in found] == ids()
        assert sorted(f"auth0_cte.{each}" for each in found + deployed) == sorted(ids(deploy=True))


def test_the_file_cache_serves_one_at_a_time(tmp_path: Any) -> None:
    """Files keep sessions as well; what they lack is a single step to take a lock."""
    from auth0_cte.session.stores.contract import Owner, Record

    files = {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": str(tmp_path)}
    with override(CACHES={"default": files}, AUTH0_CTE={**GOOD, "state_store": DjangoCacheStateStore}):
        store = DjangoCacheStateStore()
        store.check()
        cookie = store.create("id", "sealed", Owner("https://a/", "sid", "sub"), 60)
        assert cookie == store.replace(cookie, "again", 0)
        store.touch(cookie, 60)
        assert Record("again", 1) == store.get(cookie)
        assert 1 == store.delete_by_owner("https://a/", sid="sid", sub=None)
        assert store.get(cookie) is None
        assert {"auth0_cte.W004", "auth0_cte.W006"} == set(ids(deploy=True))


def test_what_is_kept_is_text_and_numbers(tmp_path: Any) -> None:
    """No object of ours is pickled, and no id or user stands in a key or a value."""
    import fnmatch

    from django.core.cache import caches

    from auth0_cte.session.stores.contract import Owner

    listed = {"BACKEND": "tests.django_project.ListedCache", "LOCATION": str(tmp_path)}
    with override(CACHES={"default": listed}):
        store = DjangoCacheStateStore()
        cookie = store.create("the-id", "sealed", Owner("https://a/", "the-sid", "the-sub"), 60)
        store.replace(cookie, "again", 0)
        cache: Any = caches["default"]
        kept = {name: cache.get(name) for name in cache.names()}
    assert {str, int} == {type(value) for value in kept.values()}
    assert not fnmatch.filter([json.dumps(kept)], "*the-*")
    assert len(kept) <= 10


def test_an_eviction_ends_a_session_and_brings_none_back(tmp_path: Any) -> None:
    """Whichever entry a cache throws out, what is left is the session as it was, or none."""
    from django.core.cache import caches

    from auth0_cte.session.stores.contract import Owner, Record

    listed = {"BACKEND": "tests.django_project.ListedCache", "LOCATION": str(tmp_path)}
    with override(CACHES={"default": listed}):
        cache: Any = caches["default"]
        number = 0
        while True:
            cache.clear()
            store = DjangoCacheStateStore()
            cookie = store.create("id", "old", Owner("https://a/", "sid", "sub"), 60)
            store.replace(cookie, "new", 0)
            names = sorted(cache.names(), key=lambda name: name.rpartition(":")[2])
            if number == len(names):
                break
            cache.delete(names[number])
            assert store.get(cookie) in (None, Record("new", 1))
            store.delete_by_owner("https://a/", sid=None, sub="sub")
            store.delete(cookie)
            assert store.get(cookie) is None
            number += 1
    assert number >= 8
