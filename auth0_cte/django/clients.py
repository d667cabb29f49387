"""The one client of the project's settings, and its mirror for asynchronous views."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from django.core.signals import setting_changed
from django.db import close_old_connections
from django.http import HttpResponse

from auth0_cte.auth_server.async_server_client import AsyncServerClient
from auth0_cte.auth_server.server_client import ServerClient
from auth0_cte.django import settings
from auth0_cte.error import ConfigurationError
from auth0_cte.foundation.concurrency import reset_in_child
from auth0_cte.session.web_carrier import check_partitioned

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["get_async_client", "get_client"]

P = ParamSpec("P")
R = TypeVar("R")


class _Mirror(AsyncServerClient):
    """Runs calls in threads that Django does not know of, and would not close the database connections of."""

    async def offload(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        def run() -> R:
            try:
                return function(*args, **kwargs)
            finally:
                close_old_connections()

        return await super().offload(run)


class _Clients:
    def __init__(self) -> None:
        self._mutex = threading.RLock()
        self._client: ServerClient | None = None
        self._mirror: AsyncServerClient | None = None
        self._is_own = False
        reset_in_child(self)

    def _after_fork_in_child(self) -> None:
        self._mutex = threading.RLock()

    def get(self) -> ServerClient:
        client = self._client
        if client is None:
            with self._mutex:
                client = self._client or self._make()
        return client

    def get_mirror(self) -> AsyncServerClient:
        client = self.get()
        mirror = self._mirror
        if mirror is None or mirror.sync is not client:
            mirror = self._mirror = _Mirror.from_sync(client)
        return mirror

    def forget(self) -> None:
        with self._mutex:
            client, self._client, self._mirror = self._client, None, None
            if client is not None and self._is_own:
                client.close()

    def _make(self) -> ServerClient:
        try:
            return self._make_of_settings()
        except ConfigurationError as error:
            fault = settings.SettingsError(error.message)
        raise fault

    def _make_of_settings(self) -> ServerClient:
        given = settings.given_client()
        self._is_own = given is None
        client = ServerClient(**settings.client_options()) if given is None else given
        made: ServerClient = client.sync if isinstance(client, AsyncServerClient) else client
        if made.settings.session_settings is not None:
            check_partitioned(made.settings.session_settings.cookie, HttpResponse)
        self._client = made
        return made


_clients: Final = _Clients()


def get_client() -> ServerClient:
    """Return the project's client, which is made when it is first asked for.

    Raises:
        ConfigurationError: Settings are missing or cannot work; all that are missing are listed. Django's
            `ImproperlyConfigured`, too.
    """
    return _clients.get()


def get_async_client() -> AsyncServerClient:
    """Return the mirror of `get_client`, for asynchronous views.

    Raises:
        ConfigurationError: As for `get_client`.
    """
    return _clients.get_mirror()


def _on_setting_changed(*, setting: str, **_: Any) -> None:
    # Only tests change settings, by override_settings.
    if setting.startswith("AUTH0_"):
        _clients.forget()


setting_changed.connect(_on_setting_changed, dispatch_uid="auth0_cte")
