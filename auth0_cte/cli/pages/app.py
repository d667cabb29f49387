"""The playground's pages. They work without JavaScript, load nothing from elsewhere, and answer this machine alone."""

from __future__ import annotations

import hmac
import json
import secrets
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from flask import Flask, abort, make_response, redirect, render_template, request, session

from auth0_cte.cli.pages.bench import API, ORGANIZATION, PERSONAS, Outcome
from auth0_cte.cli.shared.gallery import error_names, provoke
from auth0_cte.cli.shared.words import when
from auth0_cte.error import Auth0CTEError
from auth0_cte.examples.page import ASSETS, asset
from auth0_cte.foundation.urls import is_loopback
from auth0_cte.oauth.id_token import read_time

if TYPE_CHECKING:
    from flask import Response
    from werkzeug.wrappers import Response as BaseResponse

    from auth0_cte.cli.pages.bench import LocalBench, RemoteBench

__all__ = ["create_app"]

POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'"
)
MAX_FORM: Final = 300 * 1024
MAX_ACTION: Final = 100_000
SESSION_SECONDS: Final = 3 * 86400
_TIMES: Final = frozenset({"exp", "iat", "nbf", "auth_time"})


def create_app(bench: LocalBench | RemoteBench) -> Flask:
    """Make the application.

    Args:
        bench: What is played with.
    """
    app = Flask(__name__)
    app.secret_key = secrets.token_bytes(32)
    app.config.update(MAX_CONTENT_LENGTH=MAX_FORM, SESSION_COOKIE_SAMESITE="Strict", SESSION_COOKIE_NAME="playground")
    app.jinja_env.globals["shown"] = _shown
    app.before_request(_guard)
    app.after_request(_protect)
    _Pages(bench).add_to(app)
    return app


def _guard() -> None:
    """Refuse other hosts' names, which DNS may lead here, and forms that are not this page's own."""
    if not is_loopback(request.host.rpartition(":")[0] or request.host):
        abort(400, "the playground answers to localhost and 127.0.0.1 alone")
    if "csrf" not in session:
        session["csrf"] = secrets.token_urlsafe(32)
        if request.method == "POST":
            abort(403, "the form is too old; go back and reload the page")
    if request.method == "POST" and not hmac.compare_digest(request.form.get("csrf", ""), session["csrf"]):
        abort(403, "the form is too old; go back and reload the page")


def _protect(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _shown(name: str, value: object) -> str:
    at = read_time(value) if name in _TIMES else None
    if at is not None:
        return when(at, time.time())
    return value if isinstance(value, str) else json.dumps(value, default=str)


class _Pages:
    """The views.

    Args:
        bench: What is played with.
    """

    def __init__(self, bench: LocalBench | RemoteBench) -> None:
        self._bench = bench

    def add_to(self, app: Flask) -> None:
        """Register the views with the application."""
        app.add_url_rule("/", "home", self.home)
        app.add_url_rule("/log", "log", self.log)
        for name in ASSETS:
            app.add_url_rule(f"/{name}", name.partition(".")[0], partial(asset, name))
        for view in (self.exchange, self.error, self.login, self.logout, self.action):
            app.add_url_rule(f"/{view.__name__}", view.__name__, view, methods=["POST"])

    def _page(self, **more: Any) -> Response:
        bench, response = self._bench, make_response()
        current = bench.client.get_session({"request": request, "response": response})
        cookies = {name: len(name) + 1 + len(each) for name, each in request.cookies.items() if "_a0_session" in name}
        text = render_template(
            "playground.html",
            bench=bench,
            personas=PERSONAS,
            organization=ORGANIZATION,
            api=API,
            csrf=session["csrf"],
            errors=error_names(),
            log=bench.log(),
            user=None if current is None else current.user,
            session_ends=None if current is None else when(current.created_at + SESSION_SECONDS, time.time()),
            cookies=cookies,
            source=None if bench.action is None else bench.action.read_text("utf-8", "replace"),
            form=request.form,
            **{"outcome": None, "error": None, "notice": None, **more},
        )
        response.set_data(text)
        return response

    def home(self) -> Response:
        """Show the page."""
        return self._page()

    def log(self) -> str:
        """Show the tenant log alone, for the script that keeps it fresh."""
        return render_template("log.html", log=self._bench.log())

    def exchange(self) -> Response:
        """Exchange a token."""
        return self._page(outcome=self._bench.exchange(self._bench.options(request.form)))

    def error(self) -> Response:
        """Provoke a documented error."""
        name = request.form.get("name", "")
        if name not in error_names():
            abort(400)
        return self._page(error=(name, provoke(name)))

    def login(self) -> BaseResponse:
        """Log in with a token."""
        response = redirect("/#session", 303)
        try:
            self._bench.client.login_with_custom_token_exchange(
                self._bench.options(request.form), {"request": request, "response": response}
            )
        except Auth0CTEError as failure:
            return self._page(outcome=Outcome(request=None, error=failure))
        return response

    def logout(self) -> BaseResponse:
        """End the session here."""
        response = redirect("/#session", 303)
        try:
            self._bench.client.logout(store_options={"request": request, "response": response})
        except Auth0CTEError as failure:
            return self._page(outcome=Outcome(request=None, error=failure))
        return response

    def action(self) -> Response:
        """Save the Action."""
        source = request.form.get("source", "").replace("\r\n", "\n")
        if self._bench.action is None or len(source.encode()) > MAX_ACTION:
            abort(400)
        self._bench.action.write_text(source, "utf-8")
        return self._page(notice="The Action was saved; the next exchange runs it.")
