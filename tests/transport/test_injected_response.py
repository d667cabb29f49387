"""The response that FastAPI injects into a view: its cookies arrive, or their loss is told."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
import requests
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from auth0_cte import ServerClient
from auth0_cte.starlette import Auth0CTEMiddleware
from auth0_cte.testing import LocalTenant
from tests.auth_server.test_port import section
from tests.integration.apps import serve_asgi

SECRET = "a-secret-of-more-than-thirty-two-bytes"


class OddError(Exception):
    """What a view raises, and a handler answers."""


@pytest.fixture
def client() -> Iterator[ServerClient]:
    tenant = LocalTenant()
    tenant.accept("urn:acme:mcp-token", "auth0|ada")
    with tenant.client(secret=SECRET) as made:
        yield made


def log_in(request: Request, response: Response) -> None:
    options = {"subject_token": "token", "subject_token_type": "urn:acme:mcp-token"}
    store_options = {"request": request, "response": response}
    request.app.state.client.login_with_custom_token_exchange(options, store_options)


def redirect(request: Request, response: Response) -> Any:
    log_in(request, response)
    return RedirectResponse("/", 303)


def own_header(request: Request, response: Response) -> Any:
    log_in(request, response)
    response.headers["X-Language"] = "de"
    response.set_cookie("language", "de")
    return JSONResponse({"language": response.headers["X-Language"]})


def http_exception(request: Request, response: Response) -> Any:
    log_in(request, response)
    raise HTTPException(409)


def handled_exception(request: Request, response: Response) -> Any:
    log_in(request, response)
    raise OddError


def plain(request: Request, response: Response) -> Any:
    log_in(request, response)
    return {"user": request.app.state.client.get_user({"request": request})["sub"]}


def itself(request: Request, response: Response) -> Any:
    response.status_code = 200
    log_in(request, response)
    return response


def its_own(request: Request) -> Any:
    response = Response()
    log_in(request, response)
    return response


def logged_out(request: Request, response: Response) -> Any:
    request.app.state.client.logout(None, {"request": request, "response": response})
    log_in(request, response)
    return {}


def odd(_request: Request, _error: Exception) -> Response:
    return Response("odd", 409)


View = Callable[..., Any]
LOSING: list[View] = [redirect, own_header, http_exception, handled_exception]
KEEPING: list[View] = [plain, itself, its_own, logged_out]


def serve(client: ServerClient, view: View, *, middleware: bool = False) -> AbstractContextManager[str]:
    app = FastAPI()
    app.state.client = client
    app.post("/login", response_model=None)(view)
    app.exception_handler(OddError)(odd)
    if middleware:
        app.add_middleware(Auth0CTEMiddleware, client=client)
    return serve_asgi(app)


def losses(caplog: pytest.LogCaptureFixture) -> list[str]:
    gc.collect()  # an exception's frames may hold the response for a while
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("view", LOSING)
def test_a_lost_login_is_an_error_in_the_log(
    view: View, client: ServerClient, caplog: pytest.LogCaptureFixture
) -> None:
    """When FastAPI drops the injected response, the log says so, and names the middleware that prevents it."""
    with serve(client, view) as url:
        reply = requests.post(f"{url}/login", allow_redirects=False, timeout=20)
        assert "Set-Cookie" not in reply.headers
    (loss,) = losses(caplog)
    assert "app.add_middleware(Auth0CTEMiddleware, client=…)" in loss


@pytest.mark.parametrize("view", KEEPING)
def test_a_login_that_arrives_is_no_error(view: View, client: ServerClient, caplog: pytest.LogCaptureFixture) -> None:
    """The injected response, merged or returned as it is, and a response of the view's own bring the cookie."""
    with serve(client, view) as url:
        reply = requests.post(f"{url}/login", timeout=20)
        assert (200, ["_a0_session_0"]) == (reply.status_code, list(reply.cookies.keys()))
        assert ("no-store, private", "Cookie") == (reply.headers["Cache-Control"], reply.headers["Vary"])
    assert [] == losses(caplog)


@pytest.mark.parametrize("view", LOSING + KEEPING)
def test_with_the_middleware_nothing_is_lost(
    view: View, client: ServerClient, caplog: pytest.LogCaptureFixture
) -> None:
    """The middleware sets the cookies that go onto an injected response, too, and sets them once."""
    with serve(client, view, middleware=True) as url:
        reply = requests.post(f"{url}/login", allow_redirects=False, timeout=20)
        cookies = [each for each in reply.raw.headers.getlist("Set-Cookie") if each.startswith("_a0_session")]
        assert 1 == len(cookies)
    if view is plain:
        assert {"user": "auth0|ada"} == reply.json()
    assert [] == losses(caplog)


@pytest.mark.parametrize("middleware", [False, True])
def test_the_documented_login_works_as_it_stands(
    middleware: bool, client: ServerClient, caplog: pytest.LogCaptureFixture
) -> None:
    """The document's section 2, in a synchronous FastAPI view with an injected response, logs the user in."""

    def login(request: Request, response: Response) -> str:
        names: dict[str, Any] = {"auth0": client, "request": request, "response": response}
        exec(section(2).replace("auth0_server_python", "auth0_cte").replace("await ", ""), names)
        return str(names["user"]["sub"])

    with serve(client, login, middleware=middleware) as url:
        reply = requests.post(f"{url}/login", timeout=20)
    assert ("auth0|ada", ["_a0_session_0"]) == (reply.json(), list(reply.cookies.keys()))
    assert [] == losses(caplog)
