"""The integration of Starlette and FastAPI: cookies go out with whatever response leaves.

For example::

    from fastapi import Depends, FastAPI, Form, Request
    from fastapi.responses import RedirectResponse

    from auth0_cte import AsyncServerClient, Auth0CTEError, Session
    from auth0_cte.starlette import Auth0CTEMiddleware, backchannel_logout_route, handle_error, login, requires_session

    app = FastAPI()
    app.add_middleware(Auth0CTEMiddleware, client=AsyncServerClient.from_env())
    app.add_exception_handler(Auth0CTEError, handle_error)
    app.router.routes.append(backchannel_logout_route())

    @app.post("/login")
    async def log_in(request: Request, token: str = Form()):
        await login(request, {"subject_token": token, "subject_token_type": "urn:acme:mcp-token"})
        return RedirectResponse("/me", 303)

    @app.get("/me")
    async def me(session: Session = Depends(requires_session)):
        return {"sub": session.user["sub"]}
"""

from __future__ import annotations

from auth0_cte.foundation.extras import extra

with extra("starlette", "auth0_cte.starlette"):
    import starlette  # noqa: F401 - looked for before everything that needs it

from auth0_cte.starlette.guard import requires_session
from auth0_cte.starlette.middleware import Auth0CTEMiddleware
from auth0_cte.starlette.request import (
    current_session,
    current_user,
    custom_token_exchange,
    get_access_token,
    get_access_token_for_connection,
    login,
    logout,
    resume_login,
    revoke_refresh_token,
    store_options,
)
from auth0_cte.starlette.responses import backchannel_logout_route, handle_error

__all__ = [
    "Auth0CTEMiddleware",
    "backchannel_logout_route",
    "current_session",
    "current_user",
    "custom_token_exchange",
    "get_access_token",
    "get_access_token_for_connection",
    "handle_error",
    "login",
    "logout",
    "requires_session",
    "resume_login",
    "revoke_refresh_token",
    "store_options",
]
