"""Users of a legacy system log in to a FastAPI application: ``python -m auth0_cte.examples.fastapi_app``.

In production: ``uvicorn --factory auth0_cte.examples.fastapi_app:create_app``, with ``AUTH0_DOMAIN``,
``AUTH0_CLIENT_ID``, ``AUTH0_CLIENT_SECRET`` and ``AUTH0_SECRET`` in the environment, and ``REDIS_URL`` or
``ROTATIONS_URL``.
"""

import hashlib
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any, Final, Literal

from auth0_cte.foundation.extras import extra

with extra("examples", "the example"):
    import python_multipart  # noqa: F401 - FastAPI reads forms by it
    import uvicorn
    from fastapi import APIRouter, Depends, FastAPI, Form, HTTPException, Request, Response
    from fastapi.responses import HTMLResponse, RedirectResponse

from auth0_cte import AsyncServerClient, MfaRequiredError, Session, SessionError
from auth0_cte.error import Auth0CTEError
from auth0_cte.examples import legacy, tenant
from auth0_cte.examples.page import ASSETS, TOO_LARGE, asset, home_page, too_large_page
from auth0_cte.examples.second_factor import STEPS, Answer, SecondFactor
from auth0_cte.starlette import (
    Auth0CTEMiddleware,
    backchannel_logout_route,
    current_user,
    get_access_token,
    handle_error,
    login,
    logout,
    requires_session,
)

__all__ = ["create_app"]


def refuse_forms_of_other_sites(request: Request) -> None:
    """Answer 403 to a form of another site, which could log that site's user in here.

    Browsers send Origin with every POST. Behind a proxy that ends TLS, uvicorn needs ``--forwarded-allow-ips`` to know
    its own address.
    """
    own = str(request.base_url).removesuffix("/")
    if request.method == "POST" and request.headers.get("Origin", own) != own:
        raise HTTPException(403)


def never_cache(response: Response) -> None:
    """Keep the pages of one user from the next one, and from the back button after a logout."""
    response.headers["Cache-Control"] = "no-store"


pages: Final = APIRouter(dependencies=[Depends(refuse_forms_of_other_sites), Depends(never_cache)])


def create_app() -> FastAPI:
    """Make the application, of the settings in the environment."""
    app = FastAPI(lifespan=close_client)
    app.state.auth0 = AsyncServerClient.from_env(state_store=tenant.state_store())
    # It sets the session's cookies on whatever response leaves; FastAPI would drop those of an injected Response.
    app.add_middleware(Auth0CTEMiddleware, client=app.state.auth0)
    app.router.routes.append(backchannel_logout_route())
    app.include_router(pages)
    for name in ASSETS:
        app.router.add_route(f"/{name}", static_file)
    # When Auth0 refused the token, or cannot be reached, the browser learns the code, and the log the rest.
    app.exception_handler(Auth0CTEError)(handle_error)
    app.exception_handler(SessionError)(not_begun)
    return app


@asynccontextmanager
async def close_client(app: FastAPI) -> AsyncIterator[None]:
    """Close the client's connections at the end."""
    async with app.state.auth0:
        yield


@pages.get("/", response_class=HTMLResponse)
async def home(user: Annotated[Mapping[str, Any] | None, Depends(current_user)]) -> str:
    """Show who is logged in."""
    return home_page(user)


@pages.post("/login")
async def log_in(
    request: Request,
    user: Annotated[str, Form()],
    more: Annotated[int, Form(ge=0)] = 0,
    second_factor: Annotated[bool, Form()] = False,
) -> Response:
    """Log the user in; a real application would check the password, or the legacy session's cookie, first."""
    try:
        await login(
            request,
            subject_token=legacy.mint(user, more, second_factor=second_factor),
            subject_token_type=legacy.TOKEN_TYPE,
            scope="openid profile offline_access",
        )
    except MfaRequiredError as error:
        return await respond(request, SecondFactor.begin, error)
    return RedirectResponse("/", 303)


@pages.post("/mfa/{step}")
async def go_on(request: Request, step: Literal["enroll", "challenge", "verify"]) -> Response:
    """Take the login a step further that was interrupted for a second factor."""
    async with request.form() as form:
        return await respond(request, STEPS[step], {name: str(value) for name, value in form.items()})


async def respond(request: Request, step: Callable[[SecondFactor, Any], Answer], given: Any) -> Response:
    """Send the page of a step, or redirect; it runs in a worker thread, as the mirror's own methods do."""
    client: AsyncServerClient = request.app.state.auth0
    store_options = {"request": request}
    resume = partial(client.sync.resume_login, store_options=store_options)
    answer = await client.offload(step, SecondFactor(client.sync, store_options, resume), given)
    if answer.location:
        return RedirectResponse(answer.location, answer.status)
    return HTMLResponse(answer.page, answer.status)


@pages.get("/me")
async def me(session: Annotated[Session, Depends(requires_session)]) -> dict[str, Any]:
    """Show what is known of the user: verified claims."""
    return dict(session.user)


@pages.get("/token", dependencies=[Depends(requires_session)])
async def token(request: Request) -> dict[str, Any]:
    """Show that there is an access token; the token itself goes to the API, never into a page or a log."""
    access_token = await get_access_token(request)  # refreshed when it has expired
    return {"characters": len(access_token), "sha256": hashlib.sha256(access_token.encode()).hexdigest()}


async def static_file(request: Request) -> Response:
    """Send the style sheet, or the icon."""
    content, headers = asset(request.url.path.rpartition("/")[2])
    return Response(content, headers=headers)


@pages.post("/logout")
async def log_out(request: Request) -> RedirectResponse:
    """End the session here, and send the browser to Auth0, which ends its own and sends it back."""
    return RedirectResponse(await logout(request, return_to=str(request.base_url)), 303)


async def not_begun(request: Request, error: SessionError) -> Response:
    """Tell a user whose session does not fit into cookies; the rest is as `handle_error` has it."""
    return HTMLResponse(too_large_page(), 413) if error.code == TOO_LARGE else await handle_error(request, error)


if __name__ == "__main__":
    with tenant.provided():
        uvicorn.run(create_app(), host="127.0.0.1", port=int(os.environ.get("PORT", "8000")))
