"""Ready responses: to errors, and to Auth0's back-channel logout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.websockets import WebSocket

from auth0_cte.auth_server.backchannel import answer_logout_request
from auth0_cte.auth_server.integration import answer_of
from auth0_cte.foundation.extras import extra
from auth0_cte.starlette.request import client_of

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection, Request

    from auth0_cte.error import Auth0CTEError

__all__ = ["backchannel_logout_route", "handle_error"]


async def handle_error(request: HTTPConnection, error: Auth0CTEError) -> Response:
    """Answer a failed call with its code as JSON: ``app.add_exception_handler(Auth0CTEError, handle_error)``.

    401 when nobody is logged in any more, 403 when Auth0 refused, 429, and 502 to 504 when Auth0 or the store cannot be
    reached; the message goes to the log. What is a fault of the application itself stays an exception. Websockets are
    closed, with 1008 or 1011.
    """
    answer = answer_of(error)
    if answer is None:
        raise error
    if isinstance(request, WebSocket):
        await request.close(1008 if answer.status < 500 else 1011, error.code)
    return JSONResponse(dict(answer.body), answer.status, dict(answer.headers))


def backchannel_logout_route(path: str = "/backchannel-logout") -> Route:
    """Return the route that takes Auth0's back-channel logout requests."""
    with extra("starlette", "backchannel_logout_route()"):
        import python_multipart  # noqa: F401 - Starlette reads forms by it

    async def backchannel_logout(request: Request) -> Response:
        async with request.form() as form:
            token = form.get("logout_token")
        client = client_of(request)
        status = await client.offload(answer_logout_request, client.sync, token, {"request": request})
        return Response(status_code=status, headers={"Cache-Control": "no-store"})

    return Route(path, backchannel_logout, methods=["POST"])
