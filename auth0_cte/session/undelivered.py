"""Notices that a response with session cookies is never sent, which FastAPI does without a word.

FastAPI copies the headers of an injected ``Response`` to the one that it makes of a view's return value. When the view
returns a response itself, or an exception handler answers, it drops them, and with them the session that was just
begun. While the view runs nobody can know whether it will.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from starlette.datastructures import MutableHeaders
from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

__all__ = ["watch"]

logger: Final = logging.getLogger("auth0_cte")


def watch(response: object) -> None:
    """Have an error logged unless a response is sent with what it carries at this moment.

    Args:
        response: The response that cookies were just set on. What FastAPI injects is a plain `Response`; subclasses
            were made by the view itself, and are left as they are.
    """
    if type(response) is Response:
        response.__class__ = _WatchedResponse
    if isinstance(response, _WatchedResponse):
        response.is_pending = True


class _WatchedResponse(Response):
    """Sees both ways to send it: itself, and by a copy of its headers."""

    is_pending = False

    @property
    def headers(self) -> MutableHeaders:
        return _WatchedHeaders(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.is_pending = False
        await super().__call__(scope, receive, send)

    def __del__(self) -> None:
        if self.is_pending:
            logger.error(
                "session cookies were set on a Response that was never sent, so the browser did not get them: FastAPI "
                "drops what the injected Response carries when the view returns a response itself, or when an "
                "exception handler answers. Install auth0_cte.starlette: app.add_middleware(Auth0CTEMiddleware, "
                "client=…); or pass the response that the view returns"
            )


class _WatchedHeaders(MutableHeaders):
    """Code that copies all headers asks for ``raw``; views that set or read one do not."""

    def __init__(self, response: _WatchedResponse) -> None:
        super().__init__(raw=response.raw_headers)
        self._response = response

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        self._response.is_pending = False
        return super().raw
