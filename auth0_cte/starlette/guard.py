"""`requires_session`: endpoints for users who are logged in."""

from __future__ import annotations

import asyncio
import inspect
import sys
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from anyio.lowlevel import current_token
from starlette.exceptions import HTTPException, WebSocketException
from starlette.requests import HTTPConnection

from auth0_cte.auth_server.integration import accepts_html, is_admitted, login_location
from auth0_cte.error import ConfigurationError
from auth0_cte.starlette.request import client_of, current_session, store_options

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from auth0_cte.auth_types import Session

__all__ = ["requires_session"]

NOT_LOGGED_IN: Final = "Not logged in."

V = TypeVar("V", bound="Callable[..., Any]")


@overload
def requires_session(request: HTTPConnection) -> Awaitable[Session]: ...


@overload
def requires_session(request: V) -> V: ...


@overload
def requires_session(
    request: None = None,
    *,
    login_url: str | None = None,
    redirect_field_name: str = "next",
    max_age: float | None = None,
) -> Callable[..., Any]: ...


def requires_session(
    request: Any = None,
    *,
    login_url: str | None = None,
    redirect_field_name: str = "next",
    max_age: float | None = None,
) -> Any:
    """Answer 401 unless somebody is logged in, or redirect browsers to the login page.

    As a dependency of FastAPI, which gives the session: ``Depends(requires_session)``, or with arguments
    ``Depends(requires_session(login_url="/login"))``. As a decorator of Starlette's endpoints: ``@requires_session``.
    As a function: ``session = await requires_session(request)``. Websockets are closed with 1008.

    Args:
        request: The request, a websocket, or the endpoint.
        login_url: The login page: a path, URL or name of a route. All clients whose ``Accept`` header does not rule
            ``text/html`` out are redirected there.
        redirect_field_name: The parameter that tells the login page where to go then.
        max_age: Only admit users who authenticated within the last so many seconds.
    """
    guard = _Guard(login_url, redirect_field_name, max_age)
    return guard.as_dependency() if request is None else guard.apply(request)


class _Guard:
    """What `requires_session` was asked for, in each of the ways to ask."""

    def __init__(self, login_url: str | None, field: str, max_age: float | None) -> None:
        self._login_url, self._field, self._max_age = login_url, field, max_age

    def as_dependency(self) -> Callable[..., Any]:
        def requires_session(request: Any) -> Any:
            return self.apply(request)

        return _as_dependency(requires_session)

    def apply(self, request: Any) -> Any:
        if isinstance(request, HTTPConnection):
            # FastAPI calls what it does not take for a coroutine function in a worker thread.
            return self.check(request) if _is_in_event_loop() else self.check_now(request)
        return self._around_async(request) if inspect.iscoroutinefunction(request) else self._around(request)

    async def check(self, request: HTTPConnection) -> Session:
        return self._admit(request, await current_session(request))

    def check_now(self, request: HTTPConnection) -> Session:
        return self._admit(request, client_of(request).sync.get_session(store_options(request)))

    def _admit(self, request: HTTPConnection, session: Session | None) -> Session:
        if session is not None and is_admitted(session, self._max_age, client_of(request).clock):
            return session
        if request.scope["type"] == "websocket":
            raise WebSocketException(1008, NOT_LOGGED_IN)
        if self._login_url is None or not accepts_html(request.headers.get("Accept")):
            raise HTTPException(401, NOT_LOGGED_IN)
        page = self._login_url if "/" in self._login_url else str(request.url_for(self._login_url))
        location = login_location(page, str(request.url), self._field)
        raise HTTPException(302, headers={"Location": location})

    def _around_async(self, endpoint: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @wraps(endpoint)
        async def guarded(*args: Any, **kwargs: Any) -> Any:
            await self.check(_request_among(args, kwargs))
            return await endpoint(*args, **kwargs)

        return guarded

    def _around(self, endpoint: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(endpoint)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            self.check_now(_request_among(args, kwargs))
            return endpoint(*args, **kwargs)

        return guarded


def _as_dependency(function: V) -> V:
    """Have FastAPI give the function the request, await what it returns, and read no query parameters for it."""
    parameter = inspect.Parameter("request", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=HTTPConnection)
    function.__signature__ = inspect.Signature([parameter])  # type: ignore[attr-defined]
    if sys.version_info >= (3, 12):
        inspect.markcoroutinefunction(function)
    else:
        function._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined] # noqa: SLF001 - as asgiref does
    return function


_as_dependency(requires_session)


def _request_among(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> HTTPConnection:
    for each in (*args, *kwargs.values()):
        if isinstance(each, HTTPConnection):
            return each
    raise ConfigurationError(
        "@requires_session: the endpoint has no request among its arguments; in FastAPI use Depends(requires_session)"
    )


def _is_in_event_loop() -> bool:
    try:
        current_token()
    except RuntimeError:
        return False
    return True
