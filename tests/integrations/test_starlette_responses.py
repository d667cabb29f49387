"""Starlette and FastAPI: cookies arrive with the response, or their change is refused before anything is spent."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
import requests
from fastapi import BackgroundTasks, FastAPI, Request, Response, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from auth0_cte import MemoryStateStore, ServerClient, SessionError
from auth0_cte.starlette import (
    Auth0CTEMiddleware,
    current_session,
    current_user,
    get_access_token,
    login,
    logout,
    store_options,
)
from auth0_cte.testing import FakeClock, LocalTenant
from tests.django_project import SECRET, TYPE
from tests.integration.apps import serve_asgi

OFFLINE = {"subject_token": "ada", "subject_token_type": TYPE, "scope": "offline_access"}
Work = Callable[[Any], Awaitable[object]]


class Site:
    """An application behind uvicorn, with the pages that all tests use, and one browser."""

    def __init__(self, client: ServerClient) -> None:
        self.app = FastAPI()
        self.app.add_middleware(Auth0CTEMiddleware, client=client)
        self.url = ""
        self.browser = requests.Session()

        @self.app.post("/login/{user}")
        async def log_in(request: Request, user: str) -> str:
            return str((await login(request, {**OFFLINE, "subject_token": user})).user["sub"])

        @self.app.get("/who")
        async def who(request: Request) -> str:
            user = await current_user(request)
            return user["sub"] if user else "nobody"

        @self.app.get("/plain")
        async def plain() -> str:
            return "plain"

    @contextmanager
    def serving(self) -> Iterator[Site]:
        with serve_asgi(self.app) as self.url, self.browser:
            yield self

    def get(self, path: str, **kwargs: Any) -> requests.Response:
        return self.browser.get(f"{self.url}{path}", timeout=20, **kwargs)

    def post(self, path: str) -> requests.Response:
        return self.browser.post(f"{self.url}{path}", timeout=20)

    def who(self) -> str:
        return str(self.get("/who").json())

    def websocket(self, path: str = "/ws") -> AbstractContextManager[ClientConnection]:
        cookie = "; ".join(f"{each.name}={each.value}" for each in self.browser.cookies)
        return connect(f"ws{self.url[4:]}{path}", additional_headers={"Cookie": cookie}, proxy=None)

    def keep(self, headers: Any) -> None:
        """Keep the cookies of a websocket's answer, as a browser does."""
        for line in headers.get_all("Set-Cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            self.browser.cookies.set(name, value, domain="127.0.0.1", path="/")


async def outcome(work: Work, request: Any) -> str:
    try:
        return str(await work(request))
    except SessionError as error:
        return error.code


async def log_in_as_eve(request: Any) -> str:
    return str((await login(request, {**OFFLINE, "subject_token": "eve"})).user["sub"])


async def renew(request: Any) -> str:
    return (await get_access_token(request))[:2]


LATE: dict[str, Work] = {"login": log_in_as_eve, "logout": logout}


@pytest.mark.parametrize("work", LATE.values(), ids=LATE)
@pytest.mark.parametrize("place", ["stream", "background"])
def test_a_response_that_has_begun_cannot_change_the_session(place: str, work: Work, short_lived: LocalTenant) -> None:
    """In a stream and in a background task login and logout are refused, and no token is spent."""
    site = Site(short_lived.client(secret=SECRET))
    outcomes: list[str] = []

    async def run(request: Request) -> None:
        outcomes.append(await outcome(work, request))

    @site.app.get("/stream")
    async def stream(request: Request) -> StreamingResponse:
        async def parts() -> AsyncIterator[str]:
            yield "begun"
            await run(request)

        return StreamingResponse(parts())

    @site.app.get("/background")
    async def background(request: Request, tasks: BackgroundTasks) -> str:
        tasks.add_task(run, request)
        return "done"

    with site.serving():
        site.post("/login/ada")
        spent = len(short_lived.token_requests)
        assert 200 == site.get(f"/{place}").status_code
        assert "ada" == site.who()
    assert (["RESPONSE_SENT"], spent) == (outcomes, len(short_lived.token_requests))


def test_a_stream_refreshes_only_what_needs_no_cookie(short_lived: LocalTenant, clock: FakeClock) -> None:
    """A refresh in a stream is refused with sessions in cookies, and works with a server-side store."""
    for store, expected in ((None, "RESPONSE_SENT"), (MemoryStateStore(), "ey")):
        site = Site(short_lived.client(secret=SECRET, state_store=store))

        @site.app.get("/stream")
        async def stream(request: Request) -> StreamingResponse:
            async def parts() -> AsyncIterator[str]:
                yield await outcome(renew, request)

            return StreamingResponse(parts())

        with site.serving():
            site.post("/login/ada")
            clock.advance(700)
            sent = len(short_lived.token_requests)
            assert expected == site.get("/stream").text
            assert sent + (store is not None) == len(short_lived.token_requests)
            assert "ada" == site.who()


def test_a_websocket_logs_in_and_out_with_its_accept(short_lived: LocalTenant) -> None:
    """Before accept the cookies go with it; afterwards login and logout are refused, and no token is spent."""
    site = Site(short_lived.client(secret=SECRET))

    @site.app.websocket("/ws/{first}/{second}")
    async def page(websocket: WebSocket, first: str, second: str) -> None:
        await outcome(LATE[first], websocket)
        await websocket.accept(headers=[(b"x-own", b"1")])
        await websocket.send_text(await outcome(LATE[second], websocket))

    with site.serving():
        site.post("/login/ada")
        for first, second, expected in (("login", "logout", "eve"), ("logout", "login", "nobody")):
            with site.websocket(f"/ws/{first}/{second}") as connection:
                assert "RESPONSE_SENT" == connection.recv(20)
                assert connection.response is not None
                assert "1" == connection.response.headers["X-Own"]
                site.keep(connection.response.headers)
            assert expected == site.who()
    assert 2 == len(short_lived.token_requests)


@pytest.mark.parametrize("ending", ["close", "raise"])
def test_a_websocket_that_is_refused_ends_the_session(ending: str, short_lived: LocalTenant) -> None:
    """Closed or failing before accept, it carries the end of the session on its refusal."""
    site = Site(short_lived.client(secret=SECRET))

    @site.app.websocket("/ws")
    async def page(websocket: WebSocket) -> None:
        await logout(websocket)
        if ending == "raise":
            raise RuntimeError("the endpoint fails")
        await websocket.close()

    with site.serving():
        site.post("/login/ada")
        with pytest.raises(InvalidStatus) as caught:
            with site.websocket():
                pass
        assert {"close": 403, "raise": 500}[ending] == caught.value.response.status_code
        assert "_a0_session_0=" in caught.value.response.headers["Set-Cookie"].split("; ")[0]


def test_a_websocket_that_only_looks_is_refused_as_ever(short_lived: LocalTenant) -> None:
    """Without a change of the session nothing is put in the place of the plain refusal; open, it sees a late logout."""
    client = short_lived.client(secret=SECRET, state_store=MemoryStateStore())
    site = Site(client)

    @site.app.websocket("/ws")
    async def page(websocket: WebSocket) -> None:
        if await current_session(websocket) is None:
            await websocket.close()
            return
        await websocket.accept()
        while True:
            await websocket.receive_text()
            await websocket.send_text("somebody" if await current_session(websocket) else "nobody")

    with site.serving():
        with pytest.raises(InvalidStatus):
            with site.websocket():
                pass
        site.post("/login/ada")
        with site.websocket() as connection:
            connection.send("who")
            assert "somebody" == connection.recv(20)
            client.handle_backchannel_logout(short_lived.logout_token(sub="ada"))
            connection.send("who")
            assert "nobody" == connection.recv(20)


def test_a_websocket_closes_with_its_own_code(short_lived: LocalTenant) -> None:
    """The end of an open connection is the endpoint's, whatever was set with its accept."""
    site = Site(short_lived.client(secret=SECRET))

    @site.app.websocket("/ws/{first}")
    async def page(websocket: WebSocket, first: str) -> None:
        await outcome(LATE[first], websocket)
        await websocket.accept()
        await websocket.close(4001, "enough")

    with site.serving():
        for first in ("login", "logout"):
            with site.websocket(f"/ws/{first}") as connection, pytest.raises(ConnectionClosedError) as caught:
                connection.recv(20)
            assert caught.value.rcvd is not None
            assert (4001, "enough") == (caught.value.rcvd.code, caught.value.rcvd.reason)


@pytest.mark.parametrize("page", ["plain", "own", "debug"])
def test_an_error_page_carries_the_end_of_the_session(page: str, short_lived: LocalTenant) -> None:
    """When the endpoint fails after the logout, the page carries it: Starlette's, the application's, the debugger's."""
    site = Site(short_lived.client(secret=SECRET))
    site.app.debug = page == "debug"
    if page == "own":

        @site.app.exception_handler(500)
        async def answer(request: Request, error: Exception) -> JSONResponse:
            return JSONResponse({"own": str(error)}, 500)

    @site.app.get("/out")
    async def out(request: Request) -> None:
        await logout(request)
        raise RuntimeError("the endpoint fails")

    with site.serving():
        site.post("/login/ada")
        reply = site.get("/out", headers={"Connection": "close"})  # uvicorn closes it anyway when an endpoint fails
        assert 500 == reply.status_code
        assert {"plain": "Internal Server Error", "own": '{"own":"the endpoint fails"}'}.get(page, "") in reply.text
        assert {} == site.browser.cookies.get_dict()
        assert "nobody" == site.who()


def test_an_exception_passes_other_middleware_as_ever(short_lived: LocalTenant) -> None:
    """Where no cookie is to be set, an exception goes on to whatever the application has for it."""
    site = Site(short_lived.client(secret=SECRET))

    @site.app.get("/fail")
    async def fail(request: Request) -> None:
        await current_user(request)
        raise KeyError("the endpoint fails")

    class Catching:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            try:
                await self.app(scope, receive, send)
            except KeyError as error:
                await JSONResponse({"caught": str(error)}, 418)(scope, receive, send)

    site.app.add_middleware(Catching)
    with site.serving():
        assert 418 == site.get("/fail").status_code


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], ("Cookie", "private")),
        ([("vary", "Accept-Encoding"), ("vary", "Origin")], ("Accept-Encoding, Origin, Cookie", "private")),
        ([("vary", "X-Cookie-Consent")], ("X-Cookie-Consent, Cookie", "private")),
        ([("vary", "COOKIE")], ("COOKIE", "private")),
        ([("vary", "*")], ("*", "private")),
        ([("cache-control", "public, max-age=60")], ("Cookie", "public, max-age=60")),
    ],
)
def test_a_page_that_reads_the_session_is_that_users(
    given: list[tuple[str, str]], expected: tuple[str, str], short_lived: LocalTenant
) -> None:
    """Vary: Cookie always, and Cache-Control: private where nothing else is said; what was there stays."""
    site = Site(short_lived.client(secret=SECRET))

    @site.app.get("/page")
    async def page(request: Request) -> Response:
        response = Response(json.dumps(await current_user(request)))
        response.raw_headers.extend((name.encode(), value.encode()) for name, value in given)
        return response

    with site.serving():
        headers = site.get("/page").headers
        assert expected == (headers["Vary"], headers["Cache-Control"])
        assert not {"Vary", "Cache-Control"} & set(site.get("/plain").headers)


def test_the_store_is_read_once_a_request(short_lived: LocalTenant) -> None:
    """However often a request asks who is logged in, and for a valid token: one read, so that all answers agree."""
    reads: list[str] = []

    class CountingStore(MemoryStateStore):
        def get(self, cookie: str) -> Any:
            reads.append(cookie)
            return super().get(cookie)

    client = short_lived.client(secret=SECRET, state_store=CountingStore())
    site = Site(client)

    @site.app.get("/often")
    async def often(request: Request) -> str:
        await current_session(request)
        await get_access_token(request)
        client.handle_backchannel_logout(short_lived.logout_token(sub="ada"))
        user = client.get_user(store_options(request))
        return str(user and user["sub"])

    with site.serving():
        site.post("/login/ada")
        reads.clear()
        assert "ada" == site.get("/often").json()
        assert 2 == len(reads)  # the other one is the back-channel logout's own
        assert "nobody" == site.who()
