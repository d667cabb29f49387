"""`requires_session`: views for those who are logged in."""

from __future__ import annotations

import asyncio
import inspect
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, TypeVar, overload

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import resolve_url
from django.utils.encoding import iri_to_uri

from auth0_cte.auth_server.integration import accepts_html, is_admitted, login_location
from auth0_cte.django import users
from auth0_cte.django.clients import get_client
from auth0_cte.django.request import auth0_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from django.http import HttpRequest

__all__ = ["requires_session"]

V = TypeVar("V", bound="Callable[..., Any]")


@overload
def requires_session(view: V) -> V: ...


@overload
def requires_session(
    view: None = None,
    *,
    login_url: str | None = None,
    redirect_field_name: str = "next",
    max_age: float | None = None,
) -> Callable[[V], V]: ...


def requires_session(
    view: Any = None,
    *,
    login_url: str | None = None,
    redirect_field_name: str = "next",
    max_age: float | None = None,
) -> Any:
    """Redirect users who are not logged in to the login page, or answer 401 to programs.

    A browser is known by its ``Accept`` header, which names ``text/html``. With ``login_url`` all clients that do not
    rule ``text/html`` out are redirected. With `Auth0Backend` configured, users who were deactivated since their login
    do not pass either.

    For views with and without ``async``, and for class-based ones:
    ``@method_decorator(requires_session, name="dispatch")``.

    Args:
        view: The view.
        login_url: The login page: a path, URL, or name of a URL pattern; ``settings.LOGIN_URL`` when None.
        redirect_field_name: The parameter that tells the login page where to go then.
        max_age: Only admit users who authenticated within the last so many seconds.
    """
    if view is None:
        return partial(requires_session, login_url=login_url, redirect_field_name=redirect_field_name, max_age=max_age)
    answer = partial(_answer, login_url=login_url, field=redirect_field_name)

    async def guard_async(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        session = await auth0_of(request).aget_session()
        if not is_admitted(session, max_age, get_client().clock) or not await users.aadmits(request, session):
            return answer(request)
        response = view(request, *args, **kwargs)
        return await response if inspect.isawaitable(response) else response

    def guard(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if _is_in_event_loop():  # a class-based view's dispatch, which is plain and returns an awaitable
            return guard_async(request, *args, **kwargs)
        session = auth0_of(request).get_session()
        if not is_admitted(session, max_age, get_client().clock) or not users.admits(request, session):
            return answer(request)
        return view(request, *args, **kwargs)

    return wraps(view)(guard_async if iscoroutinefunction(view) else guard)


def _is_in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class _Answer(HttpResponse):  # type: ignore[misc]
    """An answer that may be awaited: by ``dispatch`` of a class-based view nobody can tell which of both is wanted."""

    def __await__(self) -> Generator[None, None, _Answer]:
        yield from ()
        return self


def _answer(request: Any, *, login_url: str | None, field: str) -> _Answer:
    accepted = request.headers.get("Accept", "*/*")
    if accepts_html(accepted) and (login_url is not None or "text/html" in accepted):
        location = login_location(resolve_url(login_url or settings.LOGIN_URL), request.build_absolute_uri(), field)
        return _Answer(status=302, headers={"Location": iri_to_uri(location)})
    headers = {"Cache-Control": "no-store"}
    return _Answer(b"Not logged in.", status=401, content_type="text/plain", headers=headers)
