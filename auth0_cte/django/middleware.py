"""The middleware: ``request.auth0`` on the way in, the session's cookies on the way out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from asgiref.sync import iscoroutinefunction, markcoroutinefunction

from auth0_cte.django import users
from auth0_cte.django.request import RequestAuth0

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from django.http import HttpRequest, HttpResponseBase

__all__ = ["Auth0CTEMiddleware"]


class Auth0CTEMiddleware:
    """Serves synchronous and asynchronous views alike, under WSGI and ASGI, without a thread or a loop of its own.

    Redirects, streams and error pages carry the cookies, too. With `Auth0Backend` it belongs after Django's
    ``AuthenticationMiddleware``.

    Args:
        get_response: What comes behind it.
    """

    sync_capable: Final = True
    async_capable: Final = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Serve a request."""
        auth0 = _begin(request)
        return self._serve(request, auth0) if self._is_async else auth0.finish(self._get_response(request))

    async def _serve(self, request: HttpRequest, auth0: RequestAuth0) -> HttpResponseBase:
        return auth0.finish(await self._get_response(request))


def _begin(request: Any) -> RequestAuth0:
    auth0 = request.auth0 = RequestAuth0(request)
    users.follow(request)
    return auth0
