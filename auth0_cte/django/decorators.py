"""`requires_session`: views for those who are logged in."""

from __future__ import annotations

import asyncio
import inspect
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, TypeVar, overload
from urllib.parse import urlsplit, urlunsplit

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.http import HttpResponse, QueryDict
from django.shortcuts import resolve_url
from django.utils.encoding import iri_to_uri

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
    view: None = None, *, login_url: str | None = None, redirect_field_name: str = "next"
) -> Callable[[V], V]: ...


def requires_session(view: Any = None, *, login_url: str | None = None, redirect_field_name: str = "next") -> Any:
    """Send whoever is not logged in to the login page, or answer 401 to programs.

    A browser is known by its ``Accept`` header, which names ``text/html``. With ``login_url`` everybody is redirected
    who does not rule ``text/html`` out.

    For views with and without ``async``, and for class-based ones:
    ``@method_decorator(requires_session, name="dispatch")``.

    Args:
        view: The view.
        login_url: The login page: a path, URL, or name of a URL pattern; ``settings.LOGIN_URL`` when None.
        redirect_field_name: The parameter that tells the login page where to go then.
    """
    if view is None:
        return partial(requires_session, login_url=login_url, redirect_field_name=redirect_field_name)
    answer = partial(_answer, login_url=login_url, field=redirect_field_name)

    async def guard_async(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if await auth0_of(request).aget_session() is None:
            return answer(request)
        response = view(request, *args, **kwargs)
        return await response if inspect.isawaitable(response) else response

    def guard(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if _is_in_event_loop():  # a class-based view's dispatch, which is plain and returns an awaitable
            return guard_async(request, *args, **kwargs)
        if auth0_of(request).get_session() is None:
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
    is_redirected = "text/html" in accepted if login_url is None else request.accepts("text/html")
    if is_redirected:
        location = _login_page(request, resolve_url(login_url or settings.LOGIN_URL), field)
        return _Answer(status=302, headers={"Location": iri_to_uri(location)})
    headers = {"Cache-Control": "no-store"}
    return _Answer(b"Not logged in.", status=401, content_type="text/plain", headers=headers)


def _login_page(request: Any, login_url: str, field: str) -> str:
    parts, here = urlsplit(login_url), urlsplit(request.build_absolute_uri())
    # A login page elsewhere needs the whole URL to find back.
    is_here = parts.scheme in ("", here.scheme) and parts.netloc in ("", here.netloc)
    query = QueryDict(parts.query, mutable=True)
    query[field] = request.get_full_path() if is_here else request.build_absolute_uri()
    return urlunsplit(parts._replace(query=query.urlencode(safe="/")))
