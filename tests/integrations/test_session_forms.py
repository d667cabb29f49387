"""The short forms of what goes on after a login, in each framework: one program, written three times."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import pytest
import requests
from flask import Flask
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from auth0_cte import (
    AccessTokenError,
    AsyncServerClient,
    Auth0CTEError,
    CustomTokenExchangeError,
    MfaRequiredError,
    RevocationError,
    ServerClient,
    starlette,
)
from auth0_cte.auth_types.option_dicts import (
    AccessTokenKeywords,
    ConnectionTokenKeywords,
    LogoutKeywords,
    ResumeLoginKeywords,
)
from auth0_cte.flask import Auth0CTE
from auth0_cte.testing import Factor, FakeClock, LocalTenant
from tests.django_project import SECRET, TYPE, project
from tests.exchanges import accept_user_ids
from tests.integration.apps import serve_asgi

LOGIN = {"subject_token": "auth0|ada", "subject_token_type": TYPE, "scope": "offline_access"}

Program = Callable[..., Any]
"""An application: each call is a request of a browser, whose view calls the short form of that name."""


@contextmanager
def flask_program(tenant: LocalTenant, **settings: Any) -> Iterator[Program]:
    app = Flask(__name__)
    auth0 = Auth0CTE(app, client=tenant.client(secret=SECRET, **settings))
    browsers: dict[str, Any] = defaultdict(app.test_client)
    asked: list[Any] = []
    answers: list[Any] = []

    @app.post("/")
    def view() -> str:
        step, arguments, options = asked.pop()
        answers.append(getattr(auth0, step)(*arguments, **options))
        return ""

    @app.errorhandler(Auth0CTEError)
    def fail(error: Auth0CTEError) -> tuple[str, int]:
        answers.append(error)
        return "", 400

    def run(step: str, *arguments: Any, browser: str = "usual", **options: Any) -> Any:
        asked.append((step, arguments, options))
        browsers[browser].post("/")
        return _answer(answers.pop())

    yield run


@contextmanager
def starlette_program(tenant: LocalTenant, **settings: Any) -> Iterator[Program]:
    asked: list[Any] = []
    answers: list[Any] = []

    async def view(request: Request) -> JSONResponse:
        step, arguments, options = asked.pop()
        answers.append(await getattr(starlette, step)(request, *arguments, **options))
        return JSONResponse({})

    async def fail(_request: Request, error: Exception) -> JSONResponse:
        answers.append(error)
        return JSONResponse({}, 400)

    mirror = AsyncServerClient.from_sync(tenant.client(secret=SECRET, **settings))
    middleware = [Middleware(starlette.Auth0CTEMiddleware, client=mirror)]
    handlers: Any = {Auth0CTEError: fail}
    app = Starlette(routes=[Route("/", view, methods=["POST"])], middleware=middleware, exception_handlers=handlers)
    with serve_asgi(app) as url, ExitStack() as stack:
        browsers: dict[str, Any] = defaultdict(lambda: stack.enter_context(requests.Session()))

        def run(step: str, *arguments: Any, browser: str = "usual", **options: Any) -> Any:
            asked.append((step, arguments, options))
            browsers[browser].post(url)
            return _answer(answers.pop())

        yield run


@contextmanager
def django_program(tenant: LocalTenant, *, a: str = "", **settings: Any) -> Iterator[Program]:
    with project(tenant, clock=tenant.clock, **settings):
        from asgiref.sync import async_to_sync
        from django.http import HttpResponse
        from django.test import RequestFactory

        from auth0_cte.django.middleware import Auth0CTEMiddleware

        browsers: dict[str, dict[str, str]] = defaultdict(dict)

        def run(step: str, *arguments: Any, browser: str = "usual", **options: Any) -> Any:
            answers: list[Any] = []

            def view(request: Any) -> HttpResponse:
                try:
                    answers.append(getattr(request.auth0, step)(*arguments, **options))
                except Auth0CTEError as error:
                    answers.append(error)
                return HttpResponse()

            async def aview(request: Any) -> HttpResponse:
                try:
                    answers.append(await getattr(request.auth0, f"a{step}")(*arguments, **options))
                except Auth0CTEError as error:
                    answers.append(error)
                return HttpResponse()

            request: Any = RequestFactory().post("/")
            request.COOKIES = dict(browsers[browser])
            serve: Any = Auth0CTEMiddleware(aview if a else view)
            serve = async_to_sync(serve) if a else serve
            for name, morsel in serve(request).cookies.items():
                browsers[browser][name] = morsel.value
                if morsel["max-age"] == 0:
                    del browsers[browser][name]
            return _answer(answers.pop())

        yield run


def _answer(answer: Any) -> Any:
    if isinstance(answer, Auth0CTEError):
        raise answer
    return answer


@contextmanager
def async_django_program(tenant: LocalTenant, **settings: Any) -> Iterator[Program]:
    with django_program(tenant, a="a", **settings) as run:
        yield run


PROGRAMS: dict[str, Callable[..., AbstractContextManager[Program]]] = {
    "flask": flask_program,
    "starlette": starlette_program,
    "django": django_program,
    "django-async": async_django_program,
}


@pytest.fixture
def tenant(clock: FakeClock) -> LocalTenant:
    """A tenant where a subject token is the id of its user."""
    return accept_user_ids(LocalTenant(clock=clock))


@pytest.fixture(params=PROGRAMS)
def make_program(request: pytest.FixtureRequest, tenant: LocalTenant) -> Iterator[Callable[..., Program]]:
    """Make the program of each framework in turn; arguments are those of the client."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(PROGRAMS[request.param](tenant, **settings))


def test_options_by_keywords(make_program: Callable[..., Program], tenant: LocalTenant) -> None:
    """A login and an exchange take the options by name, as the client does."""
    program = make_program()
    named = {"subject_token": "auth0|ada", "subject_token_type": TYPE, "audience": "https://api.example.com"}
    assert "auth0|ada" == program("login", **named, scope=["openid", "email"]).user["sub"]
    assert program("custom_token_exchange", **named, use_cache=False).access_token
    assert ["https://api.example.com"] * 2 == [each.form["audience"] for each in tenant.token_requests]


@pytest.mark.parametrize("step", ["login", "custom_token_exchange"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((LOGIN,), {"audience": "a"}), "not both"),
        (((), {"subject_tokn": "t"}), r"did you mean subject_token\?"),
        (((), {}), "options must be"),
    ],
    ids=["twice", "misspelt", "none"],
)
def test_wrong_keywords(
    step: str, arguments: Any, message: str, make_program: Callable[..., Program], tenant: LocalTenant
) -> None:
    """Options that are given twice, misspelt or missing are told before anything is sent."""
    program = make_program()
    with pytest.raises(CustomTokenExchangeError, match=message) as caught:
        program(step, *arguments[0], **arguments[1])
    assert "INVALID_OPTIONS" == caught.value.code
    assert 0 == len(tenant.token_requests)


@pytest.mark.parametrize(
    ("method", "kind", "positional"),
    [
        ("resume_login", ResumeLoginKeywords, {"pending_login"}),
        ("get_access_token", AccessTokenKeywords, {"audience", "scope"}),
        ("get_access_token_for_connection", ConnectionTokenKeywords, {"options"}),
        ("logout", LogoutKeywords, {"return_to"}),
    ],
)
def test_checked_keywords_are_those_of_the_client(method: str, kind: Any, positional: set[str]) -> None:
    """What type checkers let pass at a short form is what the client takes, and nothing is missing."""
    taken = set(inspect.signature(getattr(ServerClient, method)).parameters) - {"self", "store_options"}
    assert taken - positional == set(kind.__annotations__)


@pytest.mark.parametrize("is_down", [False, True])
def test_logout_that_revokes(is_down: bool, make_program: Callable[..., Program], tenant: LocalTenant) -> None:
    """The refresh token is dead, or an error says that it is not; the cookie is gone in either case."""
    program = make_program()
    program("login", LOGIN)
    if is_down:
        tenant.fail_next(fault="close", path="/oauth/revoke", times=10)
    if is_down:
        with pytest.raises(RevocationError) as failed:
            program("logout", revoke=True)
        assert "/v2/logout" in str(failed.value.logout_url)
    else:
        assert "/v2/logout" in program("logout", revoke=True)
    assert (1 if is_down else 0) == len(tenant.state.refresh_tokens)
    with pytest.raises(AccessTokenError) as caught:
        program("get_access_token")
    assert "MISSING_SESSION" == caught.value.code


def test_refresh_token_is_revoked_by_itself(make_program: Callable[..., Program], tenant: LocalTenant) -> None:
    """The user stays logged in, without a refresh token."""
    program = make_program()
    program("login", LOGIN)
    program("revoke_refresh_token")
    assert 0 == len(tenant.state.refresh_tokens)
    assert program("get_access_token")


def test_delegated_session_goes_on(make_program: Callable[..., Program], tenant: LocalTenant, clock: FakeClock) -> None:
    """The function that is given to the client is asked when the access token has expired."""
    tenant.accept("urn:acme:case", "auth0|ada", actor={"sub": "agent|7"})
    case = {"subject_token": "case", "subject_token_type": "urn:acme:case"}
    program = make_program(reexchange=lambda session: {**case, "authorization_params": {"agent": session.act.sub}})
    program("login", case)
    first = program("get_access_token")
    clock.advance(80_000)
    program("get_access_token")
    clock.advance(6_400)
    assert first != program("get_access_token")
    assert "agent|7" == tenant.token_requests[-1].form["agent"]


def test_token_of_a_connection(make_program: Callable[..., Program], tenant: LocalTenant) -> None:
    """The provider's token is fetched once, kept in the session, and had by options or by keywords."""
    tenant.sessions.rotate_refresh_tokens = False
    tenant.add_user("auth0|ada")
    tenant.connect_account("auth0|ada", "google-oauth2", access_token="ya29.first")
    program = make_program()
    program("login", LOGIN)
    assert "ya29.first" == program("get_access_token_for_connection", {"connection": "google-oauth2"})
    assert "ya29.first" == program("get_access_token_for_connection", connection="google-oauth2")
    assert 2 == len(tenant.token_requests)


def test_access_token_by_its_options(
    make_program: Callable[..., Program], tenant: LocalTenant, clock: FakeClock
) -> None:
    """The short form forces a refresh, with leeway and for the address of the request's user."""
    program = make_program()
    program("login", {**LOGIN, "forwarded_for": True})
    assert "127.0.0.1" == tenant.token_requests[-1].headers["auth0-forwarded-for"]
    first = program("get_access_token", leeway=600)
    clock.advance(1)
    assert first != program("get_access_token", force_refresh=True, forwarded_for=True)
    assert "127.0.0.1" == tenant.token_requests[-1].headers["auth0-forwarded-for"]
    program("get_access_token", "https://other.example.com", forwarded_for="203.0.113.7")
    assert "203.0.113.7" == tenant.token_requests[-1].headers["auth0-forwarded-for"]
    assert ["refresh_token", "refresh_token"] == [each.form["grant_type"] for each in tenant.token_requests[1:]]


@pytest.fixture
def interrupted(make_program: Callable[..., Program], tenant: LocalTenant) -> tuple[Program, str, Factor]:
    """A program, whose usual browser has begun a login that wants a second factor; the login, and the factor."""
    tenant.add_user("auth0|ada")
    factor = tenant.enroll_factor("auth0|ada", "otp")
    program = make_program()
    with pytest.raises(MfaRequiredError) as caught:
        program("login", LOGIN)
    return program, str(caught.value.pending_login), factor


def test_a_login_goes_on_in_its_browser_alone(
    interrupted: tuple[Program, str, Factor], tenant: LocalTenant, clock: FakeClock
) -> None:
    """Another browser is refused before the code is sent; its own one finishes the login, once."""
    program, pending, factor = interrupted
    sent = len(tenant.requests)
    with pytest.raises(CustomTokenExchangeError, match="another browser") as caught:
        program("resume_login", pending, browser="stranger's", otp=factor.code())
    assert ("INVALID_PENDING_LOGIN", sent) == (caught.value.code, len(tenant.requests))
    with pytest.raises(CustomTokenExchangeError, match="invalid_grant"):
        program("resume_login", pending, otp="000000")
    assert "auth0|ada" == program("resume_login", pending, otp=factor.code()).user["sub"]
    clock.advance(60)
    with pytest.raises(CustomTokenExchangeError, match="another browser"):
        program("resume_login", pending, otp=factor.code())


def test_two_windows_of_a_browser(interrupted: tuple[Program, str, Factor]) -> None:
    """A second login in the same browser leaves the first one as it is."""
    program, pending, factor = interrupted
    with pytest.raises(MfaRequiredError):
        program("login", LOGIN)
    assert "auth0|ada" == program("resume_login", pending, otp=factor.code()).user["sub"]


def test_a_stranger_plants_no_login(interrupted: tuple[Program, str, Factor]) -> None:
    """A browser that has begun a login of its own cannot be made to finish another browser's."""
    program, pending, factor = interrupted
    with pytest.raises(MfaRequiredError):
        program("login", LOGIN, browser="victim's")
    with pytest.raises(CustomTokenExchangeError, match="another browser"):
        program("resume_login", pending, browser="victim's", otp=factor.code())
