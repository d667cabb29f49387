"""Flask: cookies arrive with the response, or what would set them is refused before anything is spent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask, Response, copy_current_request_context, make_response, request, stream_with_context

from auth0_cte import MemoryStateStore, SessionError
from auth0_cte.flask import Auth0CTE, current_session, current_user, requires_session
from auth0_cte.testing import FakeClock, LocalTenant
from tests.django_project import SECRET, TYPE

OFFLINE = {"subject_token": "ada", "subject_token_type": TYPE, "scope": "offline_access"}


class CountingStore(MemoryStateStore):
    """Counts how often it is read."""

    reads = 0

    def get(self, cookie: str) -> Any:
        self.reads += 1
        return super().get(cookie)


def make_app(tenant: LocalTenant, *, hook: Callable[[Response], Response] | None = None, **options: Any) -> Flask:
    app = Flask(__name__)
    if hook is not None:
        app.after_request(hook)  # registered before the extension, so it runs after the extension's own hooks
    auth0 = Auth0CTE(app, client=tenant.client(secret=SECRET, **options))

    @app.post("/login/<user>")
    def login(user: str) -> str:
        return str(auth0.login({**OFFLINE, "subject_token": user}).user["sub"])

    @app.get("/who")
    def who() -> str:
        return str(current_user["sub"]) if current_user else "nobody"

    @app.get("/plain")
    def plain() -> str:
        return "plain"

    return app


def auth0_of(app: Flask) -> Auth0CTE:
    return Auth0CTE(client=app.extensions["auth0_cte"])


def end_from_outside(app: Flask, tenant: LocalTenant) -> None:
    app.extensions["auth0_cte"].handle_backchannel_logout(tenant.logout_token(sub="ada"))


def stream(app: Flask, work: Callable[[], object]) -> None:
    """Give the application a page that does the work when its body is under way."""

    @app.get("/stream")
    def page() -> Response:
        def parts() -> Iterator[str]:
            yield "begun "
            try:
                yield str(work())
            except SessionError as error:
                yield error.code

        return Response(stream_with_context(parts()))


def test_nobody_has_the_session_of_the_one_before(short_lived: LocalTenant) -> None:
    """Under an outer application context, a stranger is a stranger, and each of two applications knows its own user."""
    app, other = make_app(short_lived), make_app(short_lived)
    with app.app_context():
        assert "ada" == app.test_client().post("/login/ada").text
        assert "nobody" == app.test_client().get("/who").text
        with other.app_context():
            browser, second = app.test_client(), other.test_client()
            browser.post("/login/ada")
            second.post("/login/eve")
            assert ("ada", "eve", "nobody") == (
                browser.get("/who").text,
                second.get("/who").text,
                app.test_client().get("/who").text,
            )


def test_requests_within_a_request_have_sessions_of_their_own(short_lived: LocalTenant) -> None:
    """An application that calls another one, or itself, does not lend it the user."""
    app = make_app(short_lived)

    @app.get("/nested")
    def nested() -> str:
        return f"{current_user['sub']} {app.test_client().get('/who').text} {current_user['sub']}"

    browser = app.test_client()
    browser.post("/login/ada")
    assert "ada nobody ada" == browser.get("/nested").text


@pytest.mark.parametrize("looks_before", [False, True])
def test_a_stream_that_has_begun_cannot_change_the_session(looks_before: bool, short_lived: LocalTenant) -> None:
    """In a streamed body login and logout are refused and spend no token, even if the view never used the session."""
    app = make_app(short_lived)
    auth0 = auth0_of(app)

    def look() -> None:
        assert request.path != "/stream" or current_user

    if looks_before:
        app.before_request(look)
    work: list[Callable[[], object]] = [lambda: auth0.login({**OFFLINE, "subject_token": "eve"}), auth0.logout]
    stream(app, lambda: work.pop(0)())
    browser = app.test_client()
    browser.post("/login/ada")
    spent = len(short_lived.token_requests)
    assert ["begun RESPONSE_SENT"] * 2 == [browser.get("/stream").text, browser.get("/stream").text]
    assert spent == len(short_lived.token_requests)
    assert "ada" == browser.get("/who").text


def test_a_stream_refreshes_only_what_needs_no_cookie(short_lived: LocalTenant, clock: FakeClock) -> None:
    """A refresh in a streamed body is refused with sessions in cookies, and works with a server-side store."""
    for store, expected in ((None, "begun RESPONSE_SENT"), (MemoryStateStore(), "begun ey")):
        app = make_app(short_lived, state_store=store)
        stream(app, lambda app=app: auth0_of(app).get_access_token()[:2])  # type: ignore[misc]
        browser = app.test_client()
        browser.post("/login/ada")
        clock.advance(700)
        sent = len(short_lived.token_requests)
        assert expected == browser.get("/stream").text
        assert sent + (store is not None) == len(short_lived.token_requests)
        assert "ada" == browser.get("/who").text


def test_a_hook_that_runs_last_logs_in(short_lived: LocalTenant) -> None:
    """The cookies of an after_request that was registered before the extension arrive."""
    apps: list[Flask] = []

    def hook(response: Response) -> Response:
        auth0_of(apps[0]).login(OFFLINE)
        return response

    apps.append(make_app(short_lived, hook=hook))
    browser = apps[0].test_client()
    assert "plain" == browser.get("/plain").text
    apps[0].after_request_funcs.clear()
    assert "ada" == browser.get("/who").text


@pytest.mark.parametrize("failing", ["view", "hook"])
def test_an_error_page_carries_the_end_of_the_session(failing: str, short_lived: LocalTenant) -> None:
    """When the view fails after the logout, or a hook of the application does, the user is logged out all the same."""

    def hook(response: Response) -> Response:
        if failing == "hook" and response.get_data() == b"out":
            raise RuntimeError("the hook fails")
        return response

    app = make_app(short_lived, hook=hook)

    @app.post("/out")
    def out() -> str:
        auth0_of(app).logout()
        if failing == "view":
            raise RuntimeError("the view fails")
        return "out"

    browser = app.test_client()
    browser.post("/login/ada")
    reply = browser.post("/out")
    assert 500 == reply.status_code
    (line,) = reply.headers.getlist("Set-Cookie")
    assert {"_a0_session_0=", "Max-Age=0", "Expires=Thu, 01 Jan 1970 00:00:00 GMT"} <= set(line.split("; "))
    assert "nobody" == browser.get("/who").text


@pytest.mark.parametrize("waits", [True, False])
def test_a_copied_context_shares_the_request(waits: bool, short_lived: LocalTenant) -> None:
    """A thread with the request's context logs in while the view waits for it, and is refused when it does not."""
    app = make_app(short_lived)
    outcomes: list[object] = []
    threads: list[threading.Thread] = []
    responded = threading.Event()

    @app.get("/thread")
    def page() -> str:
        @copy_current_request_context
        def work() -> None:
            assert waits or responded.wait(20)
            try:
                outcomes.append(auth0_of(app).login(OFFLINE).user["sub"])
            except SessionError as error:
                outcomes.append(error.code)

        threads.append(threading.Thread(target=work))
        threads[0].start()
        if waits:
            threads[0].join(20)
        return "page"

    browser = app.test_client()
    assert "page" == browser.get("/thread").text
    responded.set()
    threads[0].join(20)
    assert ["ada" if waits else "RESPONSE_SENT"] == outcomes
    assert (1 if waits else 0) == len(short_lived.token_requests)
    assert ("ada" if waits else "nobody") == browser.get("/who").text


def test_a_login_that_the_response_overtakes_is_told(short_lived: LocalTenant) -> None:
    """When the response begins while the exchange is under way, the caller learns that the token is spent."""
    app = make_app(short_lived)
    errors: list[SessionError] = []
    threads: list[threading.Thread] = []
    under_way, responded = threading.Event(), threading.Event()

    @short_lived.action("urn:acme:slow")
    def slow(event: Any, api: Any) -> None:
        under_way.set()
        assert responded.wait(20)
        short_lived.add_user("ada")
        api.authentication.set_user_by_id("ada")

    @app.get("/thread")
    def page() -> str:
        @copy_current_request_context
        def work() -> None:
            with pytest.raises(SessionError) as caught:
                auth0_of(app).login({**OFFLINE, "subject_token_type": "urn:acme:slow"})
            errors.append(caught.value)

        threads.append(threading.Thread(target=work))
        threads[0].start()
        assert under_way.wait(20)
        return "page"

    browser = app.test_client()
    browser.get("/thread")
    responded.set()
    threads[0].join(20)
    assert ("RESPONSE_SENT", True) == (errors[0].code, "spent" in errors[0].hint)
    assert "nobody" == browser.get("/who").text


def test_the_store_is_read_once_a_request(short_lived: LocalTenant) -> None:
    """However often a request asks who is logged in, and for a valid token: one read, so that all answers agree."""
    store = CountingStore()
    app = make_app(short_lived, state_store=store)

    @app.get("/often")
    @requires_session
    def often() -> str:
        seen = {current_user["sub"], current_session.user["sub"], auth0_of(app).get_user()["sub"]}  # type: ignore[index]
        auth0_of(app).get_access_token()
        end_from_outside(app, short_lived)
        return f"{seen} {current_user['sub']}"

    browser = app.test_client()
    browser.post("/login/ada")
    store.reads = 0
    assert "{'ada'} ada" == browser.get("/often").text
    assert 2 == store.reads  # the other one is the back-channel logout's own
    assert 401 == browser.get("/often").status_code


def test_what_a_request_changes_it_sees(short_lived: LocalTenant, clock: FakeClock) -> None:
    """After a refresh, another login and the logout the same request sees the new state."""
    app = make_app(short_lived, state_store=MemoryStateStore())
    auth0 = auth0_of(app)

    @app.post("/change")
    def change() -> dict[str, Any]:
        before = current_session.token_sets[-1].access_token
        after = auth0.get_access_token()
        stored = current_session.token_sets[-1].access_token
        auth0.login({**OFFLINE, "subject_token": "eve"})
        second = current_user["sub"]
        auth0.logout()
        return {"renewed": before != after == stored, "second": second, "out": not current_user}

    browser = app.test_client()
    browser.post("/login/ada")
    clock.advance(700)
    assert {"renewed": True, "second": "eve", "out": True} == browser.post("/change").json


def test_a_stream_sees_the_end_of_the_session(short_lived: LocalTenant) -> None:
    """A response that goes on for hours notices a logout from outside."""
    app = make_app(short_lived, state_store=MemoryStateStore())

    def work() -> str:
        before = current_user["sub"]
        end_from_outside(app, short_lived)
        return f"{before} {'somebody' if current_user else 'nobody'}"

    stream(app, work)
    browser = app.test_client()
    browser.post("/login/ada")
    assert "begun ada nobody" == browser.get("/stream").text


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ("Cookie", "private")),
        ({"Vary": "Accept-Encoding"}, ("Accept-Encoding, Cookie", "private")),
        ({"Vary": "X-Cookie-Consent"}, ("X-Cookie-Consent, Cookie", "private")),
        ({"Vary": "accept, COOKIE"}, ("accept, COOKIE", "private")),
        ({"Vary": "*"}, ("*", "private")),
        ({"Cache-Control": "public, max-age=60"}, ("Cookie", "public, max-age=60")),
    ],
)
def test_a_page_that_reads_the_session_is_that_users(
    given: dict[str, str], expected: tuple[str, str], short_lived: LocalTenant
) -> None:
    """Vary: Cookie always, and Cache-Control: private where nothing else is said; what was there stays."""
    app = make_app(short_lived)

    @app.get("/page")
    def page() -> Response:
        response = make_response("somebody" if current_user else "nobody")
        response.headers.update(given)
        return response

    reply = app.test_client().get("/page")
    assert expected == (reply.headers["Vary"], reply.headers["Cache-Control"])
    untouched = app.test_client().get("/plain").headers
    assert not {"Vary", "Cache-Control"} & set(untouched.keys())
