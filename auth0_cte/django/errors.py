"""Answers to failed calls, as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import JsonResponse

from auth0_cte.auth_server.integration import answer_of
from auth0_cte.error import Auth0CTEError

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest

__all__ = ["Auth0CTEErrorMiddleware", "handle_error"]


def handle_error(request: HttpRequest, error: Auth0CTEError) -> JsonResponse:  # noqa: ARG001 - Django's shape
    """Answer a failed call with its code as JSON; `Auth0CTEErrorMiddleware` calls it for every view.

    401 when nobody is logged in any more, 403 when Auth0 refused, 429, and 502 to 504 when Auth0 or the store cannot be
    reached; the message goes to the log. What is a fault of the application itself is raised again.
    """
    response = _response_to(error)
    if response is None:
        raise error
    return response


def _response_to(error: Auth0CTEError) -> JsonResponse | None:
    answer = answer_of(error)
    if answer is None:
        return None
    return JsonResponse(dict(answer.body), status=answer.status, headers=dict(answer.headers))


class Auth0CTEErrorMiddleware:
    """Answers what views let through of this library's errors, as `handle_error` does.

    Args:
        get_response: What comes behind it.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        """Serve a request; what the view raises goes to `process_exception`."""
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> JsonResponse | None:  # noqa: ARG002
        """Answer an error of this library; leave any other one to Django."""
        return _response_to(exception) if isinstance(exception, Auth0CTEError) else None
