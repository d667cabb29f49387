"""ASGI middleware that sets the session's cookies on whatever begins the response."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import Response

from auth0_cte.auth_server.async_server_client import AsyncServerClient
from auth0_cte.auth_server.integration import check_settings
from auth0_cte.auth_server.server_client import ServerClient
from auth0_cte.error import ConfigurationError
from auth0_cte.session.web_carrier import SCOPE_STATE, StagedCarrier

if TYPE_CHECKING:
    from types import TracebackType

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Auth0CTEMiddleware", "State", "state_of"]

_STARTS: Final = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})


class State:
    """What the middleware keeps of a request."""

    def __init__(self, client: AsyncServerClient, scope: Scope) -> None:
        self.client: AsyncServerClient = client
        self.carrier: StagedCarrier = StagedCarrier(HTTPConnection(scope))


class Auth0CTEMiddleware:
    """ASGI middleware that sets the session's cookies on every response.

    That holds for ``{"request": …, "response": …}``, too: the response is then not needed, and nothing is lost when
    FastAPI drops the one that it injected. The cookies of a websocket go with its ``accept``. Add it last, so that the
    responses of other middleware carry the cookies as well.

    Args:
        app: The application behind.
        client: The client, asynchronous or synchronous.

    Raises:
        ConfigurationError: ``client`` is something else, has no ``secret``, or cookies that Starlette cannot set.
    """

    def __init__(self, app: ASGIApp, client: AsyncServerClient | ServerClient) -> None:
        if not isinstance(client, AsyncServerClient | ServerClient):
            raise ConfigurationError(f"client must be an AsyncServerClient or ServerClient, not {client!r}")
        check_settings(client.settings, Response)
        self._app = app
        self._client = client if isinstance(client, AsyncServerClient) else AsyncServerClient.from_sync(client)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        state = State(self._client, scope)
        scope.setdefault("state", {})[SCOPE_STATE] = state
        sender = _Sender(scope, send, state.carrier)
        async with AsyncExitStack() as stack:
            stack.push_async_exit(partial(_answer_crash, scope, receive, sender))
            await self._app(scope, receive, sender)


class _Sender:
    """Sets the cookies on the message that begins the response."""

    def __init__(self, scope: Scope, send: Send, carrier: StagedCarrier) -> None:
        self._scope, self._send, self.carrier = scope, send, carrier

    async def __call__(self, message: Message) -> None:
        if message["type"] in _STARTS:
            _flush(self.carrier, message)
        elif message["type"] == "websocket.close" and self.carrier.has_pending:
            await self.deny(403)
            return
        await self._send(message)

    async def deny(self, status: int) -> None:
        """Refuse a websocket by a response that has cookies, which a plain refusal has not."""
        if "websocket.http.response" not in self._scope.get("extensions", {}):
            await self._send({"type": "websocket.close", "code": 1008})
            return
        start: Message = {"type": "websocket.http.response.start", "status": status, "headers": []}
        _flush(self.carrier, start)
        await self._send(start)
        await self._send({"type": "websocket.http.response.body", "body": b""})


async def _answer_crash(
    scope: Scope,
    receive: Receive,
    send: _Sender,
    _kind: type[BaseException] | None,
    error: BaseException | None,
    _trace: TracebackType | None,
) -> None:
    """Have the error page carry the cookies of a request that failed: Starlette makes it outside of all middleware."""
    if not isinstance(error, Exception) or not send.carrier.has_pending:
        return
    if scope["type"] == "websocket":
        await send.deny(500)
        return

    async def fail(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise error

    app = scope.get("app")
    handlers = getattr(app, "exception_handlers", {})
    handler = next((found for key, found in handlers.items() if key in (500, Exception)), None)
    # It sends the page and raises the error again, so that Starlette's own finds a response that has begun.
    await ServerErrorMiddleware(fail, handler, getattr(app, "debug", False))(scope, receive, send)


def _flush(carrier: StagedCarrier, message: Message) -> None:
    # A response of Starlette's renders the cookies; what it has beside them is not wanted.
    response = Response()
    response.raw_headers = list(message.get("headers", []))
    carrier.flush(response)
    message["headers"] = response.raw_headers


def state_of(request: HTTPConnection) -> State:
    """Return what the middleware keeps of a request.

    Raises:
        ConfigurationError: It is not installed: nothing would set the cookies.
    """
    state: State | None = request.scope.get("state", {}).get(SCOPE_STATE)
    if state is None:
        raise ConfigurationError(
            "Auth0CTEMiddleware is not installed: app.add_middleware(Auth0CTEMiddleware, client=…)"
        )
    return state
