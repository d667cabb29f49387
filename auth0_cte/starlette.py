"""The door for Starlette and FastAPI: cookies go out with whatever response leaves, redirects and streams included.

app = FastAPI()
auth0 = AsyncServerClient(...)
app.add_middleware(Auth0CTEMiddleware, client=auth0)
app.router.routes.append(backchannel_logout_route())

@app.post("/login")
async def login(request: Request, token: str = Form()):
options = {"subject_token": token, "subject_token_type": "urn:acme:mcp-token"}
await auth0.login_with_custom_token_exchange(options, store_options(request))
return RedirectResponse("/me", 303)

@app.get("/me")
async def me(session: Session = Depends(requires_session)):
return session.user
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route

from auth0_cte.auth_server.async_server_client import AsyncServerClient
from auth0_cte.auth_server.backchannel import answer_logout_request
from auth0_cte.auth_types import Session  # noqa: TC001 - FastAPI reads the annotations of dependencies
from auth0_cte.error import ConfigurationError
from auth0_cte.session.carrier import SCOPE_STATE, StagedCarrier

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from auth0_cte.auth_server.server_client import ServerClient

__all__ = [
    "Auth0CTEMiddleware",
    "backchannel_logout_route",
    "current_session",
    "requires_session",
    "store_options",
]


class _State:
    """What the middleware keeps of a request."""

    def __init__(self, client: AsyncServerClient, scope: Scope) -> None:
        self.client = client
        self.carrier = StagedCarrier(HTTPConnection(scope))


class Auth0CTEMiddleware:
    """ASGI middleware that sets the session's cookies on the response, whoever made it.

    That holds for ``{"request": …, "response": …}``, too: the response is then not needed, and nothing is lost when
    FastAPI drops the one that it injected.

    Args:
        app: The application behind.
        client: The client, asynchronous or synchronous.
    """

    def __init__(self, app: ASGIApp, client: AsyncServerClient | ServerClient) -> None:
        self._app = app
        self._client = client if isinstance(client, AsyncServerClient) else AsyncServerClient.from_sync(client)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        state = _State(self._client, scope)
        scope.setdefault("state", {})[SCOPE_STATE] = state

        async def send_with_cookies(message: Message) -> None:
            if message["type"] == "http.response.start":
                _flush(state.carrier, message)
            await send(message)

        await self._app(scope, receive, send_with_cookies)


def _flush(carrier: StagedCarrier, message: Message) -> None:
    # A response of Starlette's renders the cookies; what it has beside them is not wanted.
    response = Response()
    response.raw_headers = list(message.get("headers", []))
    carrier.flush(response)
    message["headers"] = response.raw_headers


def store_options(request: HTTPConnection) -> dict[str, Any]:
    """Return the ``store_options`` of a request, for any method of the client; no response is needed.

    Raises:
        ConfigurationError: `Auth0CTEMiddleware` is not installed: nothing would set the cookies.
    """
    return {"request": request, "carrier": _state_of(request).carrier}


def _state_of(request: HTTPConnection) -> _State:
    state: _State | None = request.scope.get("state", {}).get(SCOPE_STATE)
    if state is None:
        raise ConfigurationError(
            "Auth0CTEMiddleware is not installed: app.add_middleware(Auth0CTEMiddleware, client=…)"
        )
    return state


async def current_session(request: Request) -> Session | None:
    """Return the session of a request, or None: a dependency of FastAPI, or a function to await."""
    return await _state_of(request).client.get_session(store_options(request))


async def requires_session(request: Request) -> Session:
    """Return the session of a request, or answer 401: a dependency of FastAPI, or a function to await."""
    session = await current_session(request)
    if session is None:
        raise HTTPException(401, "Not logged in.")
    return session


def backchannel_logout_route(path: str = "/backchannel-logout") -> Route:
    """Return the route that takes Auth0's back-channel logout requests."""

    async def backchannel_logout(request: Request) -> Response:
        async with request.form() as form:
            token = form.get("logout_token")
        client = _state_of(request).client
        status = await client.offload(answer_logout_request, client.sync, token, {"request": request})
        return Response(status_code=status, headers={"Cache-Control": "no-store"})

    return Route(path, backchannel_logout, methods=["POST"])
