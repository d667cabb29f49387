"""The door for Flask, in an application as its users write them."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask, Response, make_response, redirect, request, stream_with_context

from auth0_cte import Auth0CTEError, ConfigurationError, MemoryStateStore, MfaRequiredError
from auth0_cte.flask import Auth0CTE, current_session, current_user, handle_error, requires_session
from auth0_cte.testing import LocalTenant
from tests.exchanges import accept_user_ids

SECRET = "a-secret-of-more-than-thirty-two-bytes"


@pytest.fixture
def tenant() -> LocalTenant:
    return accept_user_ids(LocalTenant())


def make_app(tenant: LocalTenant, **config: Any) -> Flask:
    app = Flask(__name__)
    app.testing = True
    app.config.update(
        AUTH0_DOMAIN=tenant.domain,
        AUTH0_CLIENT_ID=tenant.client_id,
        AUTH0_CLIENT_SECRET=tenant.client_secret,
        AUTH0_SECRET=SECRET,
        AUTH0_SCOPE="profile",
    )
    app.config.update(config)
    auth0 = Auth0CTE(session=tenant.session(), state_store=config.get("STORE"))
    auth0.init_app(app)
    _add_views(app, auth0)
    return app


def _add_views(app: Flask, auth0: Auth0CTE) -> None:
    def log_in(user: str) -> None:
        auth0.login_with_custom_token_exchange({"subject_token": user, "subject_token_type": "urn:acme:mcp-token"})

    @app.post("/login/<user>")
    def login(user: str) -> Response:
        log_in(user)
        return redirect("/me")  # type: ignore[return-value]

    @app.post("/login-twice")
    def login_twice() -> str:
        log_in("first")
        log_in("second")
        return str(current_user["sub"])

    @app.post("/login-streaming")
    def login_streaming() -> Response:
        log_in("ada")
        return Response(stream_with_context(iter(["a", "b"])))

    @app.get("/me")
    @requires_session
    def me() -> dict[str, Any]:
        return {"sub": current_user["sub"], "sid": current_session.sid, "token": auth0.get_access_token()[:2]}

    @app.get("/anonymous")
    def anonymous() -> str:
        return "somebody" if current_user else "nobody"

    @app.get("/plain")
    def plain() -> Response:
        return make_response("plain")

    @app.post("/logout")
    def logout() -> Response:
        return redirect(auth0.logout("https://app.example/"))  # type: ignore[return-value]


def me(browser: Any) -> dict[str, Any]:
    found: dict[str, Any] = browser.get("/me").json
    return found


def test_a_user_logs_in_is_there_and_logs_out(tenant: LocalTenant) -> None:
    """Without any response object the session goes out with a redirect, and ends with one."""
    browser = make_app(tenant).test_client()
    assert 401 == browser.get("/me").status_code
    assert "nobody" == browser.get("/anonymous").text
    assert 302 == browser.post("/login/ada").status_code
    assert ("ada", "ey") == (me(browser)["sub"], me(browser)["token"])
    assert "somebody" == browser.get("/anonymous").text
    location = browser.post("/logout").location
    assert location.startswith(f"https://{tenant.domain}/v2/logout?client_id=")
    assert 401 == browser.get("/me").status_code


def test_cookies_are_set_once_whatever_is_returned(tenant: LocalTenant) -> None:
    """Two logins in a request leave one cookie of each name, and the second user; a stream carries them, too."""
    browser = make_app(tenant).test_client()
    reply = browser.post("/login-twice")
    assert "second" == reply.text
    names = [line.partition("=")[0] for line in reply.headers.getlist("Set-Cookie")]
    assert sorted(set(names)) == sorted(names)
    assert "second" == me(browser)["sub"]
    assert "no-store, private" == reply.headers["Cache-Control"]
    assert "Cookie" in reply.headers["Vary"]
    other = make_app(tenant).test_client()
    assert "ab" == other.post("/login-streaming").text
    assert "ada" == me(other)["sub"]


def test_a_response_without_session_is_left_alone(tenant: LocalTenant) -> None:
    """A view that has nothing to do with sessions gets no cookie and no header."""
    reply = make_app(tenant).test_client().get("/plain")
    assert not {"Set-Cookie", "Vary"} & set(reply.headers.keys())


def test_attributes_follow_the_configuration(tenant: LocalTenant) -> None:
    """AUTH0_COOKIE_* sets the attributes."""
    app = make_app(tenant, AUTH0_COOKIE_SECURE=True, AUTH0_COOKIE_SAME_SITE="strict", AUTH0_COOKIE_PATH="/app")
    (line,) = app.test_client().post("/login/ada").headers.getlist("Set-Cookie")
    assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/app"} <= set(line.split("; "))


def test_chunks_that_are_not_needed_any_more_are_removed(tenant: LocalTenant) -> None:
    """After a large session a small one leaves no chunk behind."""
    browser = make_app(tenant).test_client()
    browser.post("/login/big")
    assert browser.get_cookie("_a0_session_1")
    browser.post("/login/ada")
    assert browser.get_cookie("_a0_session_1") is None
    assert "ada" == me(browser)["sub"]


def test_backchannel_logout_has_its_route(tenant: LocalTenant) -> None:
    """The blueprint ends sessions, refuses bad tokens, and says when the store cannot do it."""
    app = make_app(tenant, STORE=MemoryStateStore())
    browser, auth0 = app.test_client(), app.test_client()
    browser.post("/login/ada")
    refused = auth0.post("/backchannel-logout", data={"logout_token": "nonsense"})
    assert (400, "no-store") == (refused.status_code, refused.headers["Cache-Control"])
    assert 400 == auth0.post("/backchannel-logout").status_code
    assert 200 == browser.get("/me").status_code
    token = tenant.logout_token(sub="ada")
    assert 200 == auth0.post("/backchannel-logout", data={"logout_token": token}).status_code
    assert 401 == browser.get("/me").status_code
    assert 400 == auth0.post("/backchannel-logout", data={"logout_token": token}).status_code
    stateless = make_app(tenant).test_client()
    assert 501 == stateless.post("/backchannel-logout", data={"logout_token": tenant.logout_token(sub="a")}).status_code
    without = make_app(tenant, AUTH0_BACKCHANNEL_LOGOUT=False).test_client()
    assert 404 == without.post("/backchannel-logout").status_code


def test_missing_settings_are_listed() -> None:
    """One error at start-up names everything that is missing."""
    with pytest.raises(ConfigurationError, match="AUTH0_DOMAIN, AUTH0_CLIENT_ID, AUTH0_CLIENT_SECRET, AUTH0_SECRET"):
        Auth0CTE(Flask(__name__))


def test_a_ready_client_serves(tenant: LocalTenant) -> None:
    """Instead of settings a client can be given."""
    app = Flask(__name__)
    client = tenant.client(secret=SECRET)
    auth0 = Auth0CTE(app, client=client)
    with app.test_request_context():
        assert client is auth0.client
        assert auth0.get_user() is None
        assert auth0.get_session() is None
        options = {"subject_token": "ada", "subject_token_type": "urn:acme:mcp-token"}
        assert auth0.custom_token_exchange(options).access_token


@pytest.mark.parametrize("path", ["/.well-known/jwks.json", "/.well-known/openid-configuration"])
@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 200, "body": "{"}, {"fault": "close"}])
def test_backchannel_logout_while_auth0_is_down(path: str, fault: dict[str, Any], tenant: LocalTenant) -> None:
    """Auth0 is to try again: 503, and the session goes on until it did."""
    app = make_app(tenant, STORE=MemoryStateStore())
    tenant.fail_next(path=path, times=20, **fault)
    token = tenant.logout_token(sub="ada")
    assert 503 == app.test_client().post("/backchannel-logout", data={"logout_token": token}).status_code


def test_backchannel_logout_without_a_domain(tenant: LocalTenant) -> None:
    """A domain that cannot be found is told as 503, too."""

    def resolve(_context: Any) -> str:
        raise LookupError("the database of tenants is away")

    app = make_app(tenant, STORE=MemoryStateStore(), AUTH0_DOMAIN=resolve)
    token = tenant.logout_token(sub="ada")
    assert 503 == app.test_client().post("/backchannel-logout", data={"logout_token": token}).status_code


@pytest.mark.parametrize("planted", ["chosen-by-somebody-else", "x" * 4000, "\u00e9" * 43])
def test_a_planted_mark_is_replaced(planted: str, tenant: LocalTenant) -> None:
    """What marks the browser of a login that waits for a factor is ours, whatever the cookie held; no other passes."""
    tenant.add_user("ada")
    factor = tenant.enroll_factor("ada", "otp")
    app = Flask(__name__)
    auth0 = Auth0CTE(app, client=tenant.client(secret=SECRET))

    @app.post("/login")
    def login() -> str:
        with pytest.raises(MfaRequiredError) as caught:
            auth0.login(subject_token="ada", subject_token_type="urn:acme:mcp-token")
        return str(caught.value.pending_login)

    @app.post("/resume")
    def resume() -> str:
        return str(auth0.resume_login(request.form["pending"], otp=factor.code()).user["sub"])

    app.register_error_handler(Auth0CTEError, handle_error)
    browser = app.test_client()
    browser.set_cookie("_a0_session_mfa", planted)
    pending = browser.post("/login").text
    mark = browser.get_cookie("_a0_session_mfa")
    assert mark is not None
    assert planted != mark.value
    browser.set_cookie("_a0_session_mfa", planted)
    assert "INVALID_PENDING_LOGIN" == browser.post("/resume", data={"pending": pending}).json["error"]  # type: ignore[index]
    browser.set_cookie("_a0_session_mfa", mark.value)
    assert "ada" == browser.post("/resume", data={"pending": pending}).text
