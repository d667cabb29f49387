"""The door for Django, over a project as its users write them, by WSGI and by ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from auth0_cte import ConfigurationError
from auth0_cte.django import auth0_of, get_async_client, get_client
from auth0_cte.testing import FakeClock, LocalTenant
from tests.django_project import make_tenant, memory, project


class Browser:
    """Django's test client: the one for WSGI, or the one for ASGI."""

    def __init__(self, kind: str) -> None:
        from django.test import AsyncClient, Client

        self.is_async = kind == "asgi"
        self.client: Any = (AsyncClient if self.is_async else Client)(raise_request_exception=False)

    def get(self, url: str, **headers: str) -> Any:
        return self._ask(self.client.get, url, headers=headers)

    def post(self, url: str, data: Any = None, **headers: str) -> Any:
        return self._ask(self.client.post, url, data, headers=headers)

    @property
    def cookies(self) -> dict[str, str]:
        return {name: morsel.value for name, morsel in self.client.cookies.items() if morsel.value}

    def _ask(self, send: Any, *args: Any, **kwargs: Any) -> Any:
        # By way of this thread, where Django's database connections are closed afterwards.
        return async_to_sync(send)(*args, **kwargs) if self.is_async else send(*args, **kwargs)


@pytest.fixture
def tenant() -> LocalTenant:
    return make_tenant()


@pytest.fixture(autouse=True)
def _project(tenant: LocalTenant, request: pytest.FixtureRequest) -> Iterator[None]:
    """The project, with sessions in cookies, or in memory for tests that are marked by a parameter."""
    more: Any = {"state_store": memory} if "stored" in request.fixturenames else {}
    with project(tenant, **more):
        yield


@pytest.fixture
def stored() -> None:
    """Sessions are kept by the server."""


@pytest.fixture(params=["wsgi", "asgi"])
def browser(request: pytest.FixtureRequest) -> Browser:
    return Browser(request.param)


@pytest.mark.parametrize("a", ["", "a"])
def test_a_user_logs_in_is_there_and_logs_out(a: str, browser: Browser, tenant: LocalTenant) -> None:
    """With and without async, by WSGI and ASGI, redirects carry the session, and end it."""
    assert 401 == browser.get(f"/{a}me").status_code
    reply = browser.post(f"/{a}login/ada")
    assert (302, "/me") == (reply.status_code, reply.headers["Location"])
    assert ("no-store, private", "Cookie") == (reply.headers["Cache-Control"], reply.headers["Vary"])
    found = browser.get(f"/{a}me").json()
    assert ("ada", "ey") == (found["sub"], found["token"])
    location = browser.post(f"/{a}logout").headers["Location"]
    assert location.startswith(f"https://{tenant.domain}/v2/logout?client_id=")
    assert 401 == browser.get(f"/{a}me").status_code
    assert {} == browser.cookies


def test_cookies_are_set_once_whatever_is_returned(browser: Browser) -> None:
    """Two logins in a request leave the second user; a stream and an error page carry cookies, too."""
    reply = browser.post("/login_twice")
    assert {"seen": [None, "first", "second"]} == reply.json()
    assert ["_a0_session_0"] == list(reply.cookies)
    assert "second" == browser.get("/me").json()["sub"]
    stream = browser.post("/login_streaming")
    assert ["_a0_session_0", "_a0_session_1"] == sorted(stream.cookies)
    assert "big" == browser.get("/me").json()["sub"]
    failed = browser.post("/login_failing")
    assert (500, "") == (failed.status_code, failed.cookies["_a0_session_1"].value)
    assert "ada" == browser.get("/me").json()["sub"]


def test_a_stream_that_has_begun_cannot_change_the_session(tenant: LocalTenant) -> None:
    """When the response has left, login and logout are refused, and no token is spent."""
    browser = Browser("wsgi")
    reply = browser.post("/login_streaming")
    assert b"begun RESPONSE_SENT RESPONSE_SENT" == b"".join(reply.streaming_content)
    assert 1 == len(tenant.token_requests)
    assert "big" == browser.get("/me").json()["sub"]


def test_a_call_with_the_request_alone_is_not_lost(browser: Browser) -> None:
    """The client finds the middleware's carrier, and what was remembered of the request is forgotten."""
    browser.post("/login/eve")
    assert "ada" == browser.post("/login_by_client").json()["sub"]
    assert "ada" == browser.get("/me").json()["sub"]


def test_a_response_without_session_is_left_alone(browser: Browser) -> None:
    """A view that has nothing to do with sessions gets no header; one that looks may not be cached for others."""
    assert not {"Set-Cookie", "Vary", "Cache-Control"} & set(browser.get("/plain").headers)
    reply = browser.get("/anonymous")
    assert (b"nobody", "Cookie") == (reply.content, reply.headers["Vary"])
    assert "private" == reply.headers["Cache-Control"]


def test_an_exchange_needs_no_session(browser: Browser) -> None:
    """Tokens alone can be had as well."""
    assert b"Bearer" == browser.post("/exchange").content
    assert b"Bearer" == browser.post("/aexchange").content


@pytest.mark.parametrize(("accept", "status"), [("text/html,*/*;q=0.8", 302), ("application/json", 401), ("*/*", 401)])
@pytest.mark.parametrize("url", ["/me", "/ame", "/class", "/async-class"])
def test_browsers_are_sent_to_the_login_page_and_programs_told(
    url: str, accept: str, status: int, browser: Browser
) -> None:
    """LOGIN_URL is for whoever asks for HTML; others get 401. Once logged in, all get the page."""
    reply = browser.get(f"{url}?a=1", accept=accept)
    assert status == reply.status_code
    assert (f"/login-page?next={url}%3Fa%3D1" if status == 302 else None) == reply.headers.get("Location")
    browser.post("/login/ada")
    assert "ada" == browser.get(url, accept=accept).json()["sub"]


def test_the_login_page_can_be_named(browser: Browser) -> None:
    """With login_url all are redirected that do not rule HTML out; its own query is kept."""
    assert "/custom?x=1&then=/page" == browser.get("/page").headers["Location"]
    assert 401 == browser.get("/page", accept="application/json").status_code


def test_a_login_page_elsewhere_finds_back(browser: Browser) -> None:
    """Another host is told the whole URL."""
    from django.test import override_settings

    with override_settings(LOGIN_URL="https://login.example/"):
        location = browser.get("/me", accept="text/html").headers["Location"]
    assert "https://login.example/?next=http%3A//testserver/me" == location


def test_an_event_loop_is_not_blocked() -> None:
    """What would block is refused in async views, with the name of what does not."""
    from django.core.exceptions import SynchronousOnlyOperation

    browser = Browser("asgi")
    browser.client.raise_request_exception = True
    with pytest.raises(SynchronousOnlyOperation, match="aget_session"):
        browser.get("/blocking")


def test_async_views_leave_the_loop_to_others(tenant: LocalTenant) -> None:
    """While one login waits for Auth0 another request is served by the same loop."""
    from django.test import AsyncClient

    order: list[str] = []

    async def main() -> None:
        waiting, released = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        @tenant.action("urn:acme:slow")
        def slow(event: Any, api: Any) -> None:
            loop.call_soon_threadsafe(waiting.set)
            asyncio.run_coroutine_threadsafe(released.wait(), loop).result(20)
            order.append("login")
            api.authentication.set_user_by_id("ada")

        tenant.add_user("ada")
        client = get_async_client()
        login = asyncio.create_task(
            client.custom_token_exchange({"subject_token": "x", "subject_token_type": "urn:acme:slow"})
        )
        await waiting.wait()
        assert 401 == (await AsyncClient().get("/ame")).status_code
        order.append("page")
        released.set()
        await login

    async_to_sync(main)()
    assert ["page", "login"] == order


def test_backchannel_logout_has_its_url(stored: None, browser: Browser, tenant: LocalTenant) -> None:
    """The view ends sessions and refuses bad tokens, other methods, and used tokens."""
    browser.post("/login/ada")
    for data in ({"logout_token": "x"}, {}):
        refused = browser.post("/backchannel-logout", data)
        assert (400, "no-store") == (refused.status_code, refused.headers["Cache-Control"])
    assert 405 == browser.get("/backchannel-logout").status_code
    assert 200 == browser.get("/me").status_code
    token = tenant.logout_token(sub="ada")
    assert 200 == browser.post("/backchannel-logout", {"logout_token": token}).status_code
    assert 401 == browser.get("/me").status_code
    assert 400 == browser.post("/backchannel-logout", {"logout_token": token}).status_code


def test_backchannel_logout_needs_a_store(browser: Browser, tenant: LocalTenant) -> None:
    """Sessions in cookies cannot be ended from outside, which 501 says."""
    data = {"logout_token": tenant.logout_token(sub="ada")}
    assert 501 == browser.post("/backchannel-logout", data).status_code


def test_backchannel_logout_passes_other_middleware(stored: None, tenant: LocalTenant) -> None:
    """Neither the CSRF check nor LoginRequiredMiddleware keeps Auth0 out."""
    from django.conf import settings
    from django.test import Client, override_settings

    more = ["django.middleware.csrf.CsrfViewMiddleware", "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    with override_settings(MIDDLEWARE=[*settings.MIDDLEWARE, *more]):
        client: Any = Client(enforce_csrf_checks=True)
        reply = client.post("/backchannel-logout", {"logout_token": tenant.logout_token(sub="ada")})
    assert 200 == reply.status_code


def test_a_missing_middleware_is_said() -> None:
    """Without the middleware no cookie would ever be set."""
    from django.test import RequestFactory

    with pytest.raises(ConfigurationError, match="Auth0CTEMiddleware"):
        auth0_of(RequestFactory().get("/"))


def test_a_resumed_login_is_one_of_the_request(tenant: LocalTenant) -> None:
    """A second factor finishes the login, synchronously and asynchronously."""
    from django.test import RequestFactory

    from auth0_cte import MfaRequiredError
    from auth0_cte.django import RequestAuth0
    from tests.django_project import options

    for user, is_async in (("eve", False), ("eva", True)):
        tenant.add_user(user)
        factor = tenant.enroll_factor(user, "otp")
        request = RequestFactory().post("/")
        auth0 = RequestAuth0(request)
        with pytest.raises(MfaRequiredError) as caught:
            auth0.login(options(user))
        pending = caught.value.pending_login
        assert pending is not None
        if is_async:
            result = async_to_sync(auth0.aresume_login)(pending, otp=factor.code())
        else:
            result = auth0.resume_login(pending, otp=factor.code())
        assert user == result.user["sub"]
        assert auth0.user is not None


def test_the_client_is_one() -> None:
    """All requests share a client, and its mirror."""
    assert get_client() is get_client()
    assert get_async_client() is get_async_client()
    assert get_async_client().sync is get_client()


def test_failed_calls_are_answered_by_their_code(browser: Browser) -> None:
    """With Auth0CTEErrorMiddleware views need not catch anything; a fault of the application stays an exception."""
    from django.conf import settings
    from django.test import override_settings

    errors = "auth0_cte.django.errors.Auth0CTEErrorMiddleware"
    with override_settings(MIDDLEWARE=[*settings.MIDDLEWARE, errors]):
        for a in ("", "a"):
            missing = browser.get(f"/{a}token")
            assert (401, {"error": "MISSING_SESSION"}) == (missing.status_code, missing.json())
            assert "no-store" == missing.headers["Cache-Control"]
            rejected = browser.post(f"/{a}login/{'x' * 300}")
            assert 400 <= rejected.status_code <= 502
            assert {"error"} == set(rejected.json())
        assert 500 == browser.post("/login_without_request").status_code
        assert 500 == browser.get("/login_failing").status_code


def test_errors_are_answered_by_hand(browser: Browser) -> None:
    """handle_error answers one view's failure, and raises a fault of the application again."""
    from django.test import RequestFactory

    from auth0_cte import AccessTokenError, SessionError
    from auth0_cte.django import handle_error

    request = RequestFactory().get("/")
    assert 401 == handle_error(request, AccessTokenError("x", code="MISSING_SESSION")).status_code
    fault = SessionError("x", code="REQUEST_MISSING")
    with pytest.raises(SessionError) as caught:
        handle_error(request, fault)
    assert fault is caught.value


@pytest.mark.parametrize("a", ["", "a"])
def test_a_view_may_ask_for_a_recent_login(
    a: str, browser: Browser, short_lived: LocalTenant, clock: FakeClock
) -> None:
    """After max_age seconds the user is asked to log in again, and is then admitted."""
    with project(short_lived, clock=clock):
        browser.post(f"/{a}login/ada")
        clock.advance(60)
        assert 200 == browser.get(f"/{a}recent").status_code
        clock.advance(1)
        assert 401 == browser.get(f"/{a}recent").status_code
        browser.post(f"/{a}login/ada")
        assert 200 == browser.get(f"/{a}recent").status_code


@pytest.mark.parametrize("a", ["", "a"])
def test_a_domain_that_depends_on_the_request(a: str, browser: Browser, tenant: LocalTenant) -> None:
    """A function for the domain sees the request in each short form, and in the back-channel view."""
    seen: list[str] = []

    def domain(context: Any) -> str:
        seen.append(context.request_url)
        return tenant.domain

    with project(tenant, domain=domain, state_store=memory):
        browser.post(f"/{a}login/ada")
        assert 200 == browser.get(f"/{a}me").status_code
        browser.post(f"/{a}exchange")
        browser.post(f"/{a}logout")
        token = {"logout_token": tenant.logout_token(sub="ada")}
        assert 200 == browser.post("/backchannel-logout", token).status_code
    paths = (f"{a}login/ada", f"{a}me", f"{a}exchange", f"{a}logout", "backchannel-logout")
    assert {f"http://testserver/{path}" for path in paths} == set(seen)


def test_no_plain_method_blocks_an_event_loop(tenant: LocalTenant) -> None:
    """Login, resumed login, logout, exchange and token are refused in a coroutine before anything is sent."""
    from django.core.exceptions import SynchronousOnlyOperation
    from django.test import RequestFactory

    from auth0_cte.django import RequestAuth0
    from tests.django_project import options

    async def main() -> None:
        auth0 = RequestAuth0(RequestFactory().post("/"))
        for call in (
            lambda: auth0.login(options("ada")),
            lambda: auth0.resume_login("x", otp="1"),
            lambda: auth0.custom_token_exchange(options("ada")),
            auth0.get_access_token,
            auth0.get_session,
            auth0.logout,
        ):
            with pytest.raises(SynchronousOnlyOperation):
                call()

    async_to_sync(main)()
    assert [] == tenant.token_requests
