"""Starlette and FastAPI: `requires_session` in each of its ways, the short forms and the error handler."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import pytest
import requests
from fastapi import Depends, FastAPI, Request, WebSocket
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from auth0_cte import (
    ConfigurationError,
    CookieSettings,
    MemoryStateStore,
    MfaRequiredError,
    ServerClient,
    Session,
    SessionSettings,
)
from auth0_cte.auth_types import DomainResolverContext
from auth0_cte.error import Auth0CTEError
from auth0_cte.starlette import (
    Auth0CTEMiddleware,
    backchannel_logout_route,
    current_session,
    current_user,
    custom_token_exchange,
    get_access_token,
    handle_error,
    login,
    logout,
    requires_session,
    resume_login,
    store_options,
)
from auth0_cte.testing import FakeClock, LocalTenant
from tests.django_project import SECRET, TYPE
from tests.integration.apps import serve_asgi

OPTIONS = {"subject_token": "ada", "subject_token_type": TYPE, "scope": "offline_access"}
HTML = {"Accept": "text/html,*/*;q=0.8"}
JSON = {"Accept": "application/json"}


def make_app(client: ServerClient) -> FastAPI:
    app = FastAPI()
    app.add_middleware(Auth0CTEMiddleware, client=client)
    app.add_exception_handler(Auth0CTEError, handle_error)  # type: ignore[arg-type]
    app.router.routes.append(backchannel_logout_route())

    @app.post("/login")
    async def log_in(request: Request) -> str:
        return str((await login(request, OPTIONS)).user["sub"])

    return app


class Visitor:
    def __init__(self, url: str) -> None:
        self.url, self.session = url, requests.Session()

    def get(self, path: str, headers: dict[str, str] | None = None) -> requests.Response:
        return self.session.get(f"{self.url}{path}", headers=headers, timeout=20, allow_redirects=False)

    def post(self, path: str, **kwargs: Any) -> requests.Response:
        return self.session.post(f"{self.url}{path}", timeout=20, **kwargs)


@contextmanager
def visiting(app: Any) -> Iterator[Visitor]:
    with serve_asgi(app) as url:
        visitor = Visitor(url)
        with visitor.session:
            yield visitor


Any_session = Annotated[Session, Depends(requires_session)]
To_login = Depends(requires_session(login_url="/login-page?x=1", redirect_field_name="then"))


def test_a_dependency_redirects_browsers_and_tells_programs(short_lived: LocalTenant) -> None:
    """With login_url clients that take HTML are sent there and find back; others, and all without it, get 401."""
    app = make_app(short_lived.client(secret=SECRET))

    @app.get("/plain")
    async def plain(session: Any_session) -> str:
        return str(session.user["sub"])

    @app.get("/page")
    def page(session: Annotated[Session, To_login]) -> str:
        return str(session.user["sub"])

    @app.get("/named", dependencies=[Depends(requires_session(login_url="log_in"))])
    async def named() -> str:
        return "named"

    with visiting(app) as visitor:
        assert 401 == visitor.get("/plain", HTML).status_code
        reply = visitor.get("/page?a=1", HTML)
        assert (302, "/login-page?x=1&then=/page%3Fa%3D1") == (reply.status_code, reply.headers["Location"])
        assert ("Cookie", "private") == (reply.headers["Vary"], reply.headers["Cache-Control"])
        assert f"{visitor.url}/login?next=/named" == visitor.get("/named").headers["Location"]
        assert 401 == visitor.get("/page", JSON).status_code
        visitor.post("/login")
        assert ["ada", "ada", "named"] == [visitor.get(path).json() for path in ("/plain", "/page", "/named")]


def test_a_dependency_reads_no_query_parameters(short_lived: LocalTenant) -> None:
    """Nobody chooses the login page or the age by the URL, and the documentation of the API shows no such parameter."""
    app = make_app(short_lived.client(secret=SECRET))

    @app.get("/plain")
    async def plain(session: Any_session, other: Annotated[Session, To_login]) -> str:
        return "plain"

    with visiting(app) as visitor:
        reply = visitor.get("/plain?login_url=https://evil.example/&max_age=1&request=x", HTML)
        assert (401, None) == (reply.status_code, reply.headers.get("Location"))
        assert "parameters" not in visitor.get("/openapi.json").json()["paths"]["/plain"]["get"]


def test_a_dependency_is_called_wherever_fastapi_calls_it(short_lived: LocalTenant) -> None:
    """In a worker thread, where FastAPI runs plain functions, it returns the session itself."""
    app = make_app(short_lived.client(secret=SECRET))
    threads: list[str] = []

    def in_thread(request: Request) -> Session:
        threads.append(threading.current_thread().name)
        session = requires_session(request)
        assert isinstance(session, Session)
        return session

    dependency = Depends(in_thread)

    @app.get("/plain")
    def plain(session: Session = dependency) -> str:
        return str(session.user["sub"])

    with visiting(app) as visitor:
        assert 401 == visitor.get("/plain").status_code
        visitor.post("/login")
        assert "ada" == visitor.get("/plain").json()
    assert all("AnyIO" in name for name in threads)


def test_endpoints_of_starlette_are_decorated(short_lived: LocalTenant) -> None:
    """With and without arguments, around endpoints with and without async, and as a function to await."""

    @requires_session
    async def plain(request: HTTPConnection) -> PlainTextResponse:
        return PlainTextResponse("plain")

    @requires_session(login_url="/login-page")
    def page(request: HTTPConnection) -> PlainTextResponse:
        return PlainTextResponse("page")

    async def awaited(request: HTTPConnection) -> JSONResponse:
        return JSONResponse((await requires_session(request)).user["sub"])

    async def log_in(request: HTTPConnection) -> PlainTextResponse:
        await login(request, OPTIONS)
        return PlainTextResponse("in")

    app = Starlette(
        routes=[
            *(Route(f"/{each.__name__}", each) for each in (plain, page, awaited)),
            Route("/login", log_in, methods=["POST"]),
        ]
    )
    app.add_middleware(Auth0CTEMiddleware, client=short_lived.client(secret=SECRET))
    with visiting(app) as visitor:
        assert [401, 302, 401] == [visitor.get(f"/{name}").status_code for name in ("plain", "page", "awaited")]
        visitor.post("/login")
        assert ["plain", "page", '"ada"'] == [visitor.get(f"/{name}").text for name in ("plain", "page", "awaited")]


def test_an_endpoint_without_a_request_is_told() -> None:
    """A decorator finds the session by the request alone."""

    @requires_session
    def endpoint(number: int) -> int:
        return number

    with pytest.raises(ConfigurationError, match=r"Depends\(requires_session\)"):
        endpoint(1)


def test_a_websocket_is_closed(short_lived: LocalTenant) -> None:
    """Without a session the connection is refused, by the dependency and by the decorator; with one it is served."""
    app = make_app(short_lived.client(secret=SECRET))

    @app.websocket("/dependency")
    async def dependency(websocket: WebSocket, session: Any_session) -> None:
        await websocket.accept()
        await websocket.send_text(str(session.user["sub"]))

    @requires_session(max_age=60)
    async def decorated(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("decorated")

    app.router.routes.append(WebSocketRoute("/decorated", decorated))
    with visiting(app) as visitor:
        for path, expected in (("/dependency", "ada"), ("/decorated", "decorated")):
            url = f"ws{visitor.url[4:]}{path}"
            visitor.session.cookies.clear()
            with pytest.raises(InvalidStatus), connect(url, proxy=None):
                pass
            visitor.post("/login")
            cookie = "; ".join(f"{each.name}={each.value}" for each in visitor.session.cookies)
            with connect(url, proxy=None, additional_headers={"Cookie": cookie}) as connection:
                assert expected == connection.recv(20)


def test_an_endpoint_may_ask_for_a_recent_login(short_lived: LocalTenant, clock: FakeClock) -> None:
    """After max_age seconds the user is asked to log in again, and is then admitted."""
    app = make_app(short_lived.client(secret=SECRET))

    @app.get("/recent", dependencies=[Depends(requires_session(max_age=60))])
    async def recent() -> str:
        return "recent"

    with visiting(app) as visitor:
        visitor.post("/login")
        clock.advance(60)
        assert 200 == visitor.get("/recent").status_code
        clock.advance(1)
        assert 401 == visitor.get("/recent").status_code
        visitor.post("/login")
        assert 200 == visitor.get("/recent").status_code


def test_a_login_is_resumed(short_lived: LocalTenant) -> None:
    """A second factor finishes the login of the same request's browser; the ready handler tells how to go on."""
    app = make_app(short_lived.client(secret=SECRET))
    short_lived.add_user("ada")
    factor = short_lived.enroll_factor("ada", "otp")

    @app.post("/resume")
    async def resume(request: Request) -> str:
        with pytest.raises(MfaRequiredError) as caught:
            await login(request, OPTIONS)
        await resume_login(request, str(caught.value.pending_login), otp=factor.code())
        user = await current_user(request)
        return str(user and user["sub"])

    with visiting(app) as visitor:
        interrupted = visitor.post("/login")
        assert (403, {"error", "pending_login"}) == (interrupted.status_code, set(interrupted.json()))
        assert "ada" == visitor.post("/resume").json()


def test_the_short_forms_pass_on_what_they_are_given(short_lived: LocalTenant) -> None:
    """Scopes and audience reach the token request; the logout's URL has its return_to."""
    app = make_app(short_lived.client(secret=SECRET))
    short_lived.add_api("https://other.example.com", scopes=["read"])

    @app.get("/use")
    async def use(request: Request) -> dict[str, Any]:
        await get_access_token(request, "https://other.example.com", "read")
        return {"url": await logout(request, "https://app.example/")}

    with visiting(app) as visitor:
        visitor.post("/login")
        assert "returnTo=https%3A%2F%2Fapp.example%2F" in visitor.get("/use").json()["url"]
    form = short_lived.token_requests[-1].form
    assert ("https://other.example.com", "read") == (form["audience"], form["scope"])


def test_failed_calls_are_answered_by_their_code(short_lived: LocalTenant) -> None:
    """The ready handler answers JSON; a fault of the application is a 500 of the framework; websockets are closed."""
    client = short_lived.client(secret=SECRET)
    app = make_app(client)

    @app.get("/token")
    async def token(request: Request) -> str:
        return await get_access_token(request)

    @app.post("/reject")
    async def reject(request: Request) -> None:
        await login(request, {**OPTIONS, "subject_token_type": "urn:acme:unknown"})

    @app.get("/fault")
    def fault(request: Request) -> None:
        client.login_with_custom_token_exchange(OPTIONS, {})

    @app.websocket("/ws")
    async def ws(websocket: WebSocket) -> None:
        await get_access_token(websocket)

    with visiting(app) as visitor:
        missing, rejected = visitor.get("/token"), visitor.post("/reject")
        assert (401, {"error": "MISSING_SESSION"}) == (missing.status_code, missing.json())
        assert (403, {"error": "invalid_request"}) == (rejected.status_code, rejected.json())
        assert 500 == visitor.get("/fault", {"Connection": "close"}).status_code
        with pytest.raises(InvalidStatus) as caught, connect(f"ws{visitor.url[4:]}/ws", proxy=None):
            pass
        assert 403 == caught.value.response.status_code


def test_a_domain_that_depends_on_the_request(short_lived: LocalTenant) -> None:
    """A function for the domain sees the request in each short form and in the back-channel route, in a thread."""
    seen: list[str | None] = []
    loops: list[str] = []

    def domain(context: DomainResolverContext) -> str:
        seen.append(context.request_url)
        loops.append(threading.current_thread().name)
        return short_lived.domain

    app = make_app(short_lived.client(secret=SECRET, domain=domain, state_store=MemoryStateStore()))

    @app.get("/use")
    async def use(request: Request) -> str:
        await current_session(request)
        await custom_token_exchange(request, OPTIONS)
        await get_access_token(request)
        await logout(request)
        assert store_options(request)["request"] is request
        return "used"

    with visiting(app) as visitor:
        assert "ada" == visitor.post("/login").json()
        assert "used" == visitor.get("/use").json()
        token = {"logout_token": short_lived.logout_token(sub="ada")}
        assert 200 == visitor.post("/backchannel-logout", data=token).status_code
        assert {f"{visitor.url}/{path}" for path in ("login", "use", "backchannel-logout")} == set(seen)
    assert not [name for name in loops if name == "application"]  # where the event loop runs


def test_what_cannot_work_is_told_at_the_start(short_lived: LocalTenant) -> None:
    """A client without a secret, or with cookies that Starlette cannot set, is refused by the middleware."""
    with pytest.raises(ConfigurationError, match="AUTH0_SECRET"):
        Auth0CTEMiddleware(FastAPI(), short_lived.client())
    cookie = CookieSettings(partitioned=True, secure=True, same_site="none")
    client = short_lived.client(secret=SECRET, session_settings=SessionSettings(cookie=cookie))
    if sys.version_info >= (3, 14):
        Auth0CTEMiddleware(FastAPI(), client)
        return
    with pytest.raises(ConfigurationError, match=r"from Python 3\.14 on"):
        Auth0CTEMiddleware(FastAPI(), client)


@pytest.mark.parametrize("client", [None, ServerClient, "tenant.auth0.com"])
def test_a_middleware_needs_a_client(client: Any) -> None:
    """Something else is refused when the application is put together."""
    with pytest.raises(ConfigurationError, match="AsyncServerClient or ServerClient"):
        Auth0CTEMiddleware(FastAPI(), client)
