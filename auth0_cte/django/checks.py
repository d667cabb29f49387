"""System checks: what cannot work, or is not fit for production, is said at start-up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.apps import apps
from django.conf import settings
from django.core.checks import Error, Tags, Warning, register  # noqa: A004 - Django's own name
from django.core.exceptions import FieldDoesNotExist
from django.utils.module_loading import import_string

from auth0_cte.django import users
from auth0_cte.django.cache import DjangoCacheRotations
from auth0_cte.django.clients import get_client
from auth0_cte.django.middleware import Auth0CTEMiddleware
from auth0_cte.django.settings import find_faults
from auth0_cte.django.store import DjangoCacheStateStore
from auth0_cte.error import ConfigurationError
from auth0_cte.foundation.validation import MIN_SECRET_BYTES
from auth0_cte.session.stores.cookie import CookieStateStore
from auth0_cte.session.stores.memory import MemoryStateStore
from auth0_cte.session.stores.rotations import MemoryRotations

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from auth0_cte.auth_server.server_client import ServerClient
    from auth0_cte.session.stores.contract import StateStore

__all__ = ["check_backend", "check_client", "check_deployment", "check_middleware", "check_settings", "register_all"]

MIDDLEWARE: Final = "auth0_cte.django.middleware.Auth0CTEMiddleware"
AUTHENTICATION: Final = "django.contrib.auth.middleware.AuthenticationMiddleware"
BACKEND: Final = "auth0_cte.django.backends.Auth0Backend"
SESSIONS: Final = "django.contrib.sessions.middleware.SessionMiddleware"
BACKENDS: Final = "django.core.cache.backends."
SESSION_ENTRIES: Final = 8
DEFAULT_ENTRIES: Final = 300

Messages = list[Any]


def register_all() -> None:
    """Register the checks with Django."""
    for check in (check_settings, check_middleware, check_backend, check_client):
        register(check, Tags.security)
    register(check_deployment, Tags.security, deploy=True)


def _client() -> ServerClient | None:
    try:
        return None if find_faults() else get_client()
    except (ConfigurationError, TypeError):
        return None  # which check_settings tells


def check_settings(app_configs: Any = None, **_: Any) -> Messages:  # noqa: ARG001 - Django gives it
    """E001: settings are missing, or cannot work; one message for each fault."""
    faults = find_faults()
    if not faults:
        try:
            get_client()
        except (ConfigurationError, TypeError) as error:
            faults = [getattr(error, "message", str(error))]
    hint = 'Set AUTH0_CTE = {"domain": …, "client_id": …, "client_secret": …, "secret": …}, or AUTH0_DOMAIN and so on.'
    return [Error(fault, hint=hint, id="auth0_cte.E001") for fault in faults]


def check_middleware(app_configs: Any = None, **_: Any) -> Messages:  # noqa: ARG001
    """E002: the middleware is missing. E004: it stands before Django's, although the backend needs that."""
    place = _place(MIDDLEWARE)
    if place is None:
        return [
            Error("Auth0CTEMiddleware is not installed", hint=f'Add "{MIDDLEWARE}" to MIDDLEWARE.', id="auth0_cte.E002")
        ]
    before = [_place(name) for name in (SESSIONS, AUTHENTICATION)]
    if users.backend_paths() and any(each is not None and each > place for each in before):
        hint = "request.user is tied to the Auth0 session there: move it behind AuthenticationMiddleware."
        return [Error("Auth0CTEMiddleware stands before Django's", hint=hint, id="auth0_cte.E004")]
    return []


def _place(name: str) -> int | None:
    wanted = import_string(name) if name == MIDDLEWARE else None
    for number, path in enumerate(settings.MIDDLEWARE):
        if path == name or _is_kind(path, wanted):
            return number
    return None


def _is_kind(path: str, wanted: type | None) -> bool:
    if wanted is None:
        return False
    try:
        found = import_string(path)
    except ImportError:
        return False  # Django says so itself
    return isinstance(found, type) and issubclass(found, Auth0CTEMiddleware)


def check_backend(app_configs: Any = None, **_: Any) -> Messages:  # noqa: ARG001
    """E003: the backend lacks Django's users or middleware. E005: the user model cannot hold their key."""
    if BACKEND in settings.AUTHENTICATION_BACKENDS and not apps.is_installed("django.contrib.auth"):
        hint = 'Add "django.contrib.auth" and "django.contrib.contenttypes" to INSTALLED_APPS.'
        return [Error("Auth0Backend needs django.contrib.auth", hint=hint, id="auth0_cte.E003")]
    paths = users.backend_paths()
    missing = [name for name in (SESSIONS, AUTHENTICATION) if paths and not _has(name)]
    found: Messages = [
        Error(f"Auth0Backend needs {name.rpartition('.')[2]}", hint=f'Add "{name}" to MIDDLEWARE.', id="auth0_cte.E003")
        for name in missing
    ]
    for path in paths:
        fault = _key_fault(import_string(path))
        hint = f"Set key_field of a class derived from {path} to a unique CharField of 46 characters or more."
        found += [Error(fault, hint=hint, id="auth0_cte.E005")] if fault else []
    return found


def _has(name: str) -> bool:
    kind = import_string(name)
    for path in settings.MIDDLEWARE:
        try:
            each = import_string(path)
        except ImportError:
            continue
        if isinstance(each, type) and issubclass(each, kind):
            return True
    return False


def _key_fault(backend: Any) -> str | None:
    from django.contrib.auth import get_user_model
    from django.db import models

    model = get_user_model()
    name = backend.key_field or model.USERNAME_FIELD
    try:
        field = model._meta.get_field(name)  # noqa: SLF001 - Django's documented name
    except FieldDoesNotExist:
        return f"{model.__name__} has no field {name!r} for Auth0Backend"
    length = len(backend.user_key("https://tenant.auth0.com/", "auth0|1"))
    if isinstance(field, models.EmailField) or not isinstance(field, models.CharField | models.TextField):
        return f"{model.__name__}.{name} holds no plain text, as Auth0Backend needs it"
    if not field.unique:
        return f"{model.__name__}.{name} is not unique: two Auth0 users could become one"
    if field.max_length is not None and field.max_length < length:
        return f"{model.__name__}.{name} is shorter than the {length} characters that Auth0Backend writes"
    return None


def check_client(app_configs: Any = None, **_: Any) -> Messages:  # noqa: ARG001
    """W001: a short secret. W002: none. E006, W005, W006: a cache that cannot keep sessions, or not many."""
    client = _client()
    if client is None:
        return []
    found = [*_secret_faults(client.settings.secrets)]
    store = client.settings.state_store
    return [*found, *_cache_faults(store)] if isinstance(store, DjangoCacheStateStore) else found


def _secret_faults(secrets: Sequence[str]) -> Iterator[Any]:
    hint = "Set AUTH0_SECRET to what this prints: openssl rand -hex 32"
    if not secrets:
        yield Warning("sessions need a secret: every login will be refused", hint=hint, id="auth0_cte.W002")
    elif any(len(each.encode()) < MIN_SECRET_BYTES for each in secrets):
        yield Warning(f"the secret is shorter than {MIN_SECRET_BYTES} bytes", hint=hint, id="auth0_cte.W001")


def _cache_faults(store: DjangoCacheStateStore) -> Iterator[Any]:
    cache = settings.CACHES.get(store.alias)
    if cache is None:
        yield Error(f"CACHES has no {store.alias!r}, where sessions would be kept", id="auth0_cte.E006")
        return
    kind = cache["BACKEND"].removeprefix(BACKENDS)
    if kind == "dummy.DummyCache":
        yield Warning("DummyCache keeps no sessions: every login will be refused", id="auth0_cte.W005")
    entries = cache.get("OPTIONS", {}).get("MAX_ENTRIES", cache.get("MAX_ENTRIES", DEFAULT_ENTRIES))
    if kind.startswith(("locmem.", "db.", "filebased.")) and entries <= DEFAULT_ENTRIES:
        message = f"the cache throws out what exceeds {entries} entries: some {entries // SESSION_ENTRIES} sessions"
        yield Warning(message, hint='Set CACHES[…]["OPTIONS"]["MAX_ENTRIES"].', id="auth0_cte.W006")


def check_deployment(app_configs: Any = None, **_: Any) -> Messages:  # noqa: ARG001
    """W003: cookies without Secure. W004: a store that the processes of a server do not share."""
    client = _client()
    if client is None:
        return []
    found: Messages = []
    session_settings = client.settings.session_settings
    if session_settings is not None and session_settings.cookie.secure is False:
        hint = "Leave AUTH0_COOKIE_SECURE away: cookies are Secure then, except on loopback."
        found.append(Warning("session cookies are sent without encryption, too", hint=hint, id="auth0_cte.W003"))
    fault = _sharing_fault(client.settings.state_store)
    if fault is not None:
        hint = (
            "Keep sessions in Redis, in a database or in a shared cache; or in cookies with rotations that are shared: "
            "CookieStateStore(rotations=RedisRotations(...)), SQLRotations(...) or DjangoCacheRotations(...)."
        )
        found.append(Warning(fault, hint=hint, id="auth0_cte.W004"))
    return found


def _sharing_fault(store: StateStore | None) -> str | None:
    if isinstance(store, MemoryStateStore):
        return "MemoryStateStore is not shared: with several processes, users are logged in at one of them"
    kept: object = store
    if store is None or isinstance(store, CookieStateStore):
        kept = MemoryRotations if store is None else store.rotations
        if kept is MemoryRotations or isinstance(kept, MemoryRotations):
            return "MemoryRotations is not shared: with several processes, a refresh at one logs users out at another"
    if not isinstance(kept, DjangoCacheStateStore | DjangoCacheRotations):
        return None
    kind = settings.CACHES.get(kept.alias, {}).get("BACKEND", "").removeprefix(BACKENDS)
    if kind.startswith("locmem."):
        return "LocMemCache is not shared: with several processes, users are logged in at one of them"
    if kind.startswith("dummy."):
        return "DummyCache is not shared: no process knows any session"
    if kind.startswith("filebased."):
        return "FileBasedCache cannot keep two processes from refreshing a session at the same time"
    return None
