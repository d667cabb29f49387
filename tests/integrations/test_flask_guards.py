"""Flask: `requires_session`, the short forms, the error handler, and what is told at the start."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask, Response
from flask_wtf import CSRFProtect  # type: ignore[import-untyped]

from auth0_cte import (
    AsyncServerClient,
    ConfigurationError,
    CookieSettings,
    MemoryStateStore,
    MfaRequiredError,
    SessionError,
    SessionSettings,
)
from auth0_cte.auth_types import DomainResolverContext
from auth0_cte.error import Auth0CTEError
from auth0_cte.flask import Auth0CTE, current_user, handle_error, requires_session
from auth0_cte.testing import FakeClock, LocalTenant
from tests.django_project import SECRET, TYPE

OPTIONS = {"subject_token": "ada", "subject_token_type": TYPE, "scope": "offline_access"}
BROWSER = {"Accept": "text/html,*/*;q=0.8"}


def make_app(tenant: LocalTenant, **options: Any) -> tuple[Flask, Auth0CTE]:
    app = Flask(__name__)
    auth0 = Auth0CTE(app, client=tenant.client(secret=SECRET, **options))

    @app.post("/login")
    def log_in() -> str:
        auth0.login(OPTIONS)
        return "in"

    return app, auth0


def test_browsers_are_redirected_and_programs_told(short_lived: LocalTenant) -> None:
    """With login_url clients that take HTML are sent there and find back; others, and all without it, get 401."""
    app, _ = make_app(short_lived)

    @app.get("/plain")
    @requires_session
    async def plain() -> str:
        return "plain"

    @app.get("/page")
    @requires_session(login_url="/login-page?x=1", redirect_field_name="then")
    def page() -> str:
        return "page"

    @app.get("/named")
    @requires_session(login_url="log_in")
    def named() -> str:
        return "named"

    browser = app.test_client()
    assert 401 == browser.get("/plain", headers=BROWSER).status_code
    reply = browser.get("/page?a=1", headers=BROWSER)
    assert (302, "/login-page?x=1&then=/page%3Fa%3D1") == (reply.status_code, reply.location)
    assert ("Cookie", "private") == (reply.headers["Vary"], reply.headers["Cache-Control"])
    assert "/login?next=/named" == browser.get("/named").location
    assert 401 == browser.get("/page", headers={"Accept": "application/json"}).status_code
    browser.post("/login")
    assert ["plain", "page", "named"] == [browser.get(path).text for path in ("/plain", "/page", "/named")]


def test_a_view_may_ask_for_a_recent_login(short_lived: LocalTenant, clock: FakeClock) -> None:
    """After max_age seconds the user is asked to log in again, and is then admitted."""
    app, _ = make_app(short_lived)

    @app.get("/recent")
    @requires_session(max_age=60, login_url="/again")
    def recent() -> str:
        return "recent"

    browser = app.test_client()
    browser.post("/login")
    clock.advance(60)
    assert "recent" == browser.get("/recent").text
    clock.advance(1)
    assert "/again?next=/recent" == browser.get("/recent").location
    browser.post("/login")
    assert "recent" == browser.get("/recent").text


def test_a_login_is_resumed(short_lived: LocalTenant) -> None:
    """A second factor finishes the login of the same request's browser."""
    app, auth0 = make_app(short_lived)
    short_lived.add_user("ada")
    factor = short_lived.enroll_factor("ada", "otp")

    @app.post("/resume")
    def resume() -> str:
        with pytest.raises(MfaRequiredError) as caught:
            auth0.login(OPTIONS)
        auth0.resume_login(str(caught.value.pending_login), otp=factor.code())
        return str(current_user["sub"])

    browser = app.test_client()
    assert "ada" == browser.post("/resume").text
    with app.test_request_context(headers={"Cookie": "; ".join(f"{c.key}={c.value}" for c in [cookie(browser)])}):
        assert auth0.get_user()


def cookie(browser: Any) -> Any:
    return browser.get_cookie("_a0_session_0")


def test_the_short_forms_pass_on_what_they_are_given(short_lived: LocalTenant) -> None:
    """Scopes and audience reach the token request, the logout's URL has its return_to, and so on."""
    app, auth0 = make_app(short_lived)
    short_lived.add_api("https://other.example.com", scopes=["read"])

    @app.get("/use")
    def use() -> dict[str, Any]:
        auth0.get_access_token("https://other.example.com", "read")
        return {"sub": auth0.client.get_user(auth0.store_options), "url": auth0.logout("https://app.example/")}

    browser = app.test_client()
    browser.post("/login")
    found = browser.get("/use").json
    assert found is not None
    form = short_lived.token_requests[-1].form
    assert ("https://other.example.com", "read") == (form["audience"], form["scope"])
    assert ("ada", True) == (found["sub"]["sub"], "returnTo=https%3A%2F%2Fapp.example%2F" in found["url"])


def test_failed_calls_are_answered_by_their_code(short_lived: LocalTenant, clock: FakeClock) -> None:
    """The ready handler answers JSON; a fault of the application stays an exception."""
    app, auth0 = make_app(short_lived)
    app.testing = True
    app.register_error_handler(Auth0CTEError, handle_error)

    @app.get("/token")
    def token() -> str:
        return auth0.get_access_token()

    @app.post("/reject")
    def reject() -> str:
        return str(auth0.login({**OPTIONS, "subject_token_type": "urn:acme:unknown"}))

    @app.get("/fault")
    def fault() -> str:
        return str(auth0.client.login_with_custom_token_exchange(OPTIONS, {}))

    browser = app.test_client()
    assert (401, {"error": "MISSING_SESSION"}) == (browser.get("/token").status_code, browser.get("/token").json)
    assert (403, {"error": "invalid_request"}) == (browser.post("/reject").status_code, browser.post("/reject").json)
    with pytest.raises(SessionError, match="no request"):
        browser.get("/fault")


@pytest.mark.parametrize("first", ["csrf", "auth0"])
def test_flask_wtf_lets_auth0_in(first: str, short_lived: LocalTenant) -> None:
    """The back-channel route needs no CSRF token, in whichever order the extensions are set up; other routes do."""
    app = Flask(__name__)
    app.secret_key = "s" * 32
    client = short_lived.client(secret=SECRET, state_store=MemoryStateStore())
    setups = [lambda: CSRFProtect(app), lambda: Auth0CTE(app, client=client)]
    for setup in setups if first == "csrf" else reversed(setups):
        setup()
    app.add_url_rule("/form", "form", lambda: "sent", methods=["POST"])
    token = {"logout_token": short_lived.logout_token(sub="ada")}
    assert 200 == app.test_client().post("/backchannel-logout", data=token).status_code
    assert 400 == app.test_client().post("/form").status_code


def test_a_domain_that_depends_on_the_request(short_lived: LocalTenant) -> None:
    """A function for the domain sees the request in each short form, and in the back-channel route."""
    seen: list[str | None] = []

    def domain(context: DomainResolverContext) -> str:
        seen.append(context.request_url)
        return short_lived.domain

    app, auth0 = make_app(short_lived, domain=domain, state_store=MemoryStateStore())

    @app.get("/use")
    def use() -> str:
        auth0.get_user()
        auth0.get_session()
        auth0.get_access_token()
        auth0.custom_token_exchange(OPTIONS)
        auth0.logout()
        return "used"

    browser = app.test_client()
    browser.post("/login", base_url="https://acme.example")
    browser.get("/use", base_url="https://acme.example")
    token = {"logout_token": short_lived.logout_token(sub="ada")}
    assert 200 == browser.post("/backchannel-logout", base_url="https://acme.example", data=token).status_code
    assert {f"https://acme.example/{path}" for path in ("login", "use", "backchannel-logout")} == set(seen)


def test_what_cannot_work_is_told_at_the_start(short_lived: LocalTenant) -> None:
    """A client without a secret, or with cookies that this Werkzeug cannot set, is refused by init_app."""
    with pytest.raises(ConfigurationError, match="AUTH0_SECRET"):
        Auth0CTE(Flask(__name__), client=short_lived.client())

    class OldResponse(Response):
        def set_cookie(self, key: str, value: str = "", secure: bool = False) -> None:  # type: ignore[override]
            raise NotImplementedError

    app = Flask(__name__)
    cookie = CookieSettings(partitioned=True, secure=True, same_site="none")
    client = short_lived.client(secret=SECRET, session_settings=SessionSettings(cookie=cookie))
    Auth0CTE(app, client=client)
    app = Flask(__name__)
    app.response_class = OldResponse
    with pytest.raises(ConfigurationError, match="OldResponse cannot set Partitioned"):
        Auth0CTE(app, client=client)


def test_partitioned_cookies_go_out(short_lived: LocalTenant) -> None:
    """Flask sets the attribute where the response leaves, and deletes the cookie by it."""
    cookie = CookieSettings(partitioned=True, secure=True, same_site="none")
    app, auth0 = make_app(short_lived, session_settings=SessionSettings(cookie=cookie))
    app.add_url_rule("/logout", "logout", lambda: auth0.logout(), methods=["POST"])
    browser = app.test_client()
    for page in ("/login", "/logout"):
        assert "Partitioned" in browser.post(page).headers["Set-Cookie"].split("; ")


def test_an_extension_that_is_not_set_up_says_so() -> None:
    """Without init_app each use names it."""
    app, auth0 = Flask(__name__), Auth0CTE()
    with app.test_request_context():
        for use in (auth0.get_user, lambda: bool(current_user), requires_session(lambda: "")):
            with pytest.raises(ConfigurationError, match="init_app"):
                use()


Extension: Any = Auth0CTE


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda app, client: Extension(client), "app must be a Flask application"),
        (lambda app, client: Extension("app"), "app must be a Flask application"),
        (lambda app, client: Extension(app, client=type(client)), "client must be a ServerClient"),
        (lambda app, client: Extension(client=app), "client must be a ServerClient"),
        (lambda app, client: Auth0CTE(app, client=client, secret=SECRET), "beside which these say nothing: secret"),
        (lambda app, client: (Auth0CTE(app, client=client), Auth0CTE(app, client=client)), "set up .* already"),
    ],
)
def test_wrong_pieces_are_refused_at_the_start(make: Any, fault: str) -> None:
    """What cannot work is told where the extension is made, not by the first request."""
    with pytest.raises(ConfigurationError, match=fault):
        make(Flask(__name__), LocalTenant().client(secret=SECRET))


def test_the_mirror_of_a_client_serves() -> None:
    """An application that has an AsyncServerClient for other things gives it to Flask as well."""
    mirror = AsyncServerClient.from_sync(LocalTenant().client(secret=SECRET))
    app = Flask(__name__)
    auth0 = Auth0CTE(app, client=mirror)
    with app.app_context():
        assert mirror.sync is auth0.client
