"""The door for Starlette and FastAPI, over an application as its users write them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import pytest
import requests
from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from auth0_cte import AsyncServerClient, ConfigurationError, MemoryStateStore, Session
from auth0_cte.starlette import (
    Auth0CTEMiddleware,
    backchannel_logout_route,
    current_session,
    requires_session,
    store_options,
)
from auth0_cte.testing import LocalTenant
from tests.exchanges import accept_user_ids
from tests.integration.apps import serve_asgi

SECRET = "a-secret-of-more-than-thirty-two-bytes"
TYPE = "urn:acme:mcp-token"


@pytest.fixture
def tenant() -> LocalTenant:
    return accept_user_ids(LocalTenant())


def make_app(client: Any) -> FastAPI:
    app = FastAPI()
    app.add_middleware(Auth0CTEMiddleware, client=client)
    app.router.routes.append(backchannel_logout_route())
    mirror = client if isinstance(client, AsyncServerClient) else AsyncServerClient.from_sync(client)

    async def log_in(request: Request, user: str) -> None:
        options = {"subject_token": user, "subject_token_type": TYPE, "scope": "profile"}
        await mirror.login_with_custom_token_exchange(options, store_options(request))

    @app.post("/login/{user}")
    async def login(request: Request, user: str) -> RedirectResponse:
        await log_in(request, user)
        return RedirectResponse("/me", 303)

    @app.post("/login-streaming/{user}")
    async def login_streaming(request: Request, user: str) -> StreamingResponse:
        await log_in(request, user)

        async def parts() -> AsyncIterator[bytes]:
            yield b"a"
            yield b"b"

        return StreamingResponse(parts())

    @app.post("/login-twice")
    async def login_twice(request: Request) -> str:
        await log_in(request, "first")
        await log_in(request, "second")
        session = await current_session(request)
        return session.user["sub"] if session else ""

    @app.get("/me")
    async def me(request: Request, session: Annotated[Session, Depends(requires_session)]) -> dict[str, Any]:
        return {"sub": session.user["sub"], "token": (await mirror.get_access_token(store_options(request)))[:2]}

    @app.get("/anonymous")
    async def anonymous(session: Annotated[Session | None, Depends(current_session)]) -> str:
        return "somebody" if session else "nobody"

    @app.get("/plain")
    def plain() -> Response:
        return Response("plain")

    @app.post("/logout")
    async def logout(request: Request) -> RedirectResponse:
        return RedirectResponse(await mirror.logout(None, store_options(request)), 303)

    return app


@pytest.fixture
def browser() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_user_logs_in_is_there_and_logs_out(
    asynchronous: bool, tenant: LocalTenant, browser: requests.Session
) -> None:
    """Redirects that the views return carry the session's cookies, which FastAPI itself would drop."""
    client = tenant.client(secret=SECRET)
    with serve_asgi(make_app(AsyncServerClient.from_sync(client) if asynchronous else client)) as url:
        assert 401 == browser.get(f"{url}/me").status_code
        assert "nobody" == browser.get(f"{url}/anonymous").json()
        reply = browser.post(f"{url}/login/ada", allow_redirects=False)
        assert 303 == reply.status_code
        assert ("no-store, private", "Cookie") == (reply.headers["Cache-Control"], reply.headers["Vary"])
        assert {"sub": "ada", "token": "ey"} == browser.get(f"{url}/me").json()
        location = browser.post(f"{url}/logout", allow_redirects=False).headers["Location"]
        assert location.startswith(f"https://{tenant.domain}/v2/logout?client_id=")
        assert 401 == browser.get(f"{url}/me").status_code


def test_cookies_are_set_once_whatever_is_returned(tenant: LocalTenant, browser: requests.Session) -> None:
    """Two logins in a request leave one cookie of each name; streams carry them; chunks come and go."""
    with serve_asgi(make_app(tenant.client(secret=SECRET))) as url:
        reply = browser.post(f"{url}/login-twice")
        assert "second" == reply.json()
        assert 1 == len(reply.raw.headers.getlist("Set-Cookie"))
        assert "second" == browser.get(f"{url}/me").json()["sub"]
        assert "ab" == browser.post(f"{url}/login-streaming/big").text
        assert "_a0_session_1" in browser.cookies
        assert "big" == browser.get(f"{url}/me").json()["sub"]
        browser.post(f"{url}/login/ada")
        assert "_a0_session_1" not in browser.cookies
        assert not {"Set-Cookie", "Vary"} & set(browser.get(f"{url}/plain").headers)


def test_backchannel_logout_has_its_route(tenant: LocalTenant, browser: requests.Session) -> None:
    """The route ends sessions, refuses bad tokens, and says when the store cannot do it."""
    with serve_asgi(make_app(tenant.client(secret=SECRET, state_store=MemoryStateStore()))) as url:
        browser.post(f"{url}/login/ada")
        refused = requests.post(f"{url}/backchannel-logout", data={"logout_token": "x"}, timeout=10)
        assert (400, "no-store") == (refused.status_code, refused.headers["Cache-Control"])
        assert 200 == tenant.send_backchannel_logout(f"{url}/backchannel-logout", sub="ada").status_code
        assert 401 == browser.get(f"{url}/me").status_code
    with serve_asgi(make_app(tenant.client(secret=SECRET))) as url:
        assert 501 == tenant.send_backchannel_logout(f"{url}/backchannel-logout", sub="ada").status_code


def test_a_missing_middleware_is_said() -> None:
    """Without the middleware no cookie would ever be set, so there are no store options."""
    with pytest.raises(ConfigurationError, match="Auth0CTEMiddleware"):
        store_options(Request({"type": "http", "headers": []}))
