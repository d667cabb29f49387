"""The integration of Flask: cookies go out with whatever response leaves, without passing request or response.

For example::

    from flask import Flask, redirect, request

    from auth0_cte.flask import Auth0CTE, current_user, requires_session

    app = Flask(__name__)
    auth0 = Auth0CTE(app)  # settings: app.config["AUTH0_DOMAIN"] and so on, or the environment

    @app.post("/login")
    def login():
        auth0.login({"subject_token": request.form["token"], "subject_token_type": "urn:acme:mcp-token"})
        return redirect("/me")

    @app.get("/me")
    @requires_session
    def me():
        return {"sub": current_user["sub"]}
"""

from __future__ import annotations

import os
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Final, TypeVar, Unpack, overload

from auth0_cte.foundation.extras import extra

with extra("flask", "auth0_cte.flask"):
    from flask import (
        Blueprint,
        Flask,
        abort,
        current_app,
        has_request_context,
        redirect,
        request,
        request_started,
        url_for,
    )
    from werkzeug.datastructures import Headers
    from werkzeug.http import dump_cookie
    from werkzeug.local import LocalProxy

from auth0_cte.auth_server.backchannel import answer_logout_request
from auth0_cte.auth_server.integration import accepts_html, answer_of, check_settings, is_admitted, login_location
from auth0_cte.auth_server.server_client import ServerClient
from auth0_cte.auth_server.settings import options_from_names
from auth0_cte.error import ConfigurationError
from auth0_cte.session.web_carrier import StagedCarrier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from auth0_cte.auth_server.async_server_client import AsyncServerClient
    from auth0_cte.auth_types import (
        CustomTokenExchangeOptions,
        LoginWithCustomTokenExchangeResult,
        Session,
        TokenExchangeResponse,
    )
    from auth0_cte.auth_types.option_dicts import (
        AccessTokenKeywords,
        ConnectionTokenKeywords,
        ExchangeOptionsDict,
        LogoutKeywords,
        ResumeLoginKeywords,
    )
    from auth0_cte.error import Auth0CTEError

__all__ = ["Auth0CTE", "current_session", "current_user", "handle_error", "requires_session"]

EXTENSION: Final = "auth0_cte"
BACKCHANNEL_LOGOUT: Final = "auth0_cte.backchannel_logout"

V = TypeVar("V", bound="Callable[..., Any]")


class Auth0CTE:
    """The Flask extension.

    Args:
        app: The application; or call `init_app` later.
        client: A ready client, or its mirror; made of ``app.config["AUTH0_…"]``, and of the environment's variables of
            these names, when None.
        **options: Further arguments of `ServerClient`: ``state_store``, for example.

    Raises:
        ConfigurationError: ``client`` is something else, or it is given beside further arguments.
    """

    def __init__(
        self, app: Flask | None = None, *, client: ServerClient | AsyncServerClient | None = None, **options: Any
    ) -> None:
        made: Any = getattr(client, "sync", client)
        self._client: ServerClient | None = made
        self._options = options
        if not isinstance(made, ServerClient | None):
            raise ConfigurationError(f"client must be a ServerClient or AsyncServerClient, not {client!r}")
        if client is not None and options:
            raise ConfigurationError(f"client is given, beside which these say nothing: {', '.join(sorted(options))}")
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Set an application up.

        The session's cookies are set on every response, error pages included. ``/backchannel-logout`` is there unless
        ``AUTH0_BACKCHANNEL_LOGOUT`` is False in the configuration; Flask-WTF does not ask it for a CSRF token.

        Raises:
            ConfigurationError: Settings are missing or cannot work; all that are missing are listed. Or the application
                is something else, or is set up already.
        """
        if not isinstance(app, Flask):
            raise ConfigurationError(f"app must be a Flask application, not {app!r}; a client is given as client=…")
        if EXTENSION in app.extensions:
            raise ConfigurationError("Auth0CTE is set up for this application already")
        client = self._client
        if client is None:
            source = {**os.environ, **app.config}
            client = ServerClient(**options_from_names(self._options, source, has_sessions=True))
        check_settings(client.settings, app.response_class)
        app.extensions[EXTENSION] = client
        request_started.connect(_begin, app)
        app.wsgi_app = partial(_serve, app.wsgi_app)  # type: ignore[method-assign]  # as Flask documents it
        if app.config.get("AUTH0_BACKCHANNEL_LOGOUT", True):
            app.register_blueprint(_make_blueprint())

    @property
    def client(self) -> ServerClient:
        """The client of the current application."""
        return _client()

    @property
    def store_options(self) -> dict[str, Any]:
        """The ``store_options`` of the current request, for any method of the client."""
        return _store_options()

    def custom_token_exchange(
        self,
        options: CustomTokenExchangeOptions | Mapping[str, Any] | None = None,
        *,
        use_cache: bool = True,
        **named: Unpack[ExchangeOptionsDict],
    ) -> TokenExchangeResponse:
        """Exchange a token, as `ServerClient.custom_token_exchange` does."""
        return self.client.custom_token_exchange(options, _store_options(), use_cache=use_cache, **named)

    def login(
        self,
        options: CustomTokenExchangeOptions | Mapping[str, Any] | None = None,
        **named: Unpack[ExchangeOptionsDict],
    ) -> LoginWithCustomTokenExchangeResult:
        """Log the user in, as `ServerClient.login_with_custom_token_exchange` does."""
        return self.client.login_with_custom_token_exchange(options, _store_options(), **named)

    def login_with_custom_token_exchange(
        self,
        options: CustomTokenExchangeOptions | Mapping[str, Any] | None = None,
        **named: Unpack[ExchangeOptionsDict],
    ) -> LoginWithCustomTokenExchangeResult:
        """Log the user in: `login` by the client's own name for it."""
        return self.login(options, **named)

    def resume_login(
        self, pending_login: str, **answer: Unpack[ResumeLoginKeywords]
    ) -> LoginWithCustomTokenExchangeResult:
        """Finish a login that required a second factor, as `ServerClient.resume_login` does.

        Args:
            pending_login: From the `MfaRequiredError`.
            **answer: ``otp``, ``oob_code`` and ``binding_code``, or ``recovery_code``.
        """
        return self.client.resume_login(pending_login, _store_options(), **answer)

    def get_session(self) -> Session | None:
        """Return the session of the current request, or None."""
        return self.client.get_session(_store_options())

    def get_user(self) -> Mapping[str, Any] | None:
        """Return the verified claims of the current user, or None."""
        return self.client.get_user(_store_options())

    def get_access_token(
        self, audience: str | None = None, scope: str | None = None, **options: Unpack[AccessTokenKeywords]
    ) -> str:
        """Return a valid access token of the session, as `ServerClient.get_access_token` does."""
        return self.client.get_access_token(store_options=_store_options(), audience=audience, scope=scope, **options)

    def get_access_token_for_connection(
        self, options: Mapping[str, Any] | None = None, **more: Unpack[ConnectionTokenKeywords]
    ) -> str:
        """Return a valid access token of another provider, as `ServerClient.get_access_token_for_connection` does."""
        return self.client.get_access_token_for_connection(options, _store_options(), **more)

    def revoke_refresh_token(self, refresh_token: str | None = None) -> None:
        """Revoke the session's refresh token, or another one, as `ServerClient.revoke_refresh_token` does."""
        self.client.revoke_refresh_token(refresh_token, _store_options())

    def logout(self, return_to: str | None = None, **options: Unpack[LogoutKeywords]) -> str:
        """End the session, and return the URL that ends it at Auth0, to redirect the browser to.

        Args:
            return_to: Where Auth0 sends the browser then; an absolute URL that the application allows.
            **options: Further arguments of `ServerClient.logout`.
        """
        return self.client.logout(store_options=_store_options(), return_to=return_to, **options)


def _client() -> ServerClient:
    client: ServerClient | None = current_app.extensions.get(EXTENSION)
    if client is None:
        raise ConfigurationError("Auth0CTE is not set up for this application: call Auth0CTE(app), or init_app(app)")
    return client


def _store_options() -> dict[str, Any]:
    return {"request": request, "carrier": StagedCarrier.of(request)}


def _begin(app: Flask, **_: Any) -> None:
    """Give a request its carrier before any view or hook runs, for calls of the client with the request alone."""
    StagedCarrier.of(request)
    csrf = app.extensions.get("csrf")
    if csrf is not None and request.endpoint == BACKCHANNEL_LOGOUT and hasattr(csrf, "exempt"):
        csrf.exempt(app.view_functions[BACKCHANNEL_LOGOUT])  # Auth0's server has no form of ours


def _serve(wsgi_app: WSGIApplication, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Set the cookies where the response leaves: behind all hooks, also of error pages, and not later."""

    def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
        if has_request_context():
            outgoing = _Outgoing(headers)
            StagedCarrier.of(request).flush(outgoing)
            headers = outgoing.headers.to_wsgi_list()
        return start_response(status, headers, *error)

    return wsgi_app(environ, start)


class _Outgoing:
    """The headers of a response that leaves."""

    def __init__(self, headers: list[tuple[str, str]]) -> None:
        self.headers = Headers(headers)

    def set_cookie(self, name: str, **arguments: Any) -> None:
        self.headers.add("Set-Cookie", dump_cookie(name, **arguments))


def _find_session() -> Session | None:
    return _client().get_session(_store_options())


def _find_user() -> Mapping[str, Any] | None:
    session = _find_session()
    return None if session is None else session.user


current_session: Session = LocalProxy(_find_session)  # type: ignore[assignment]
"""The session of the current request; false when there is none."""
current_user: Mapping[str, Any] = LocalProxy(_find_user)  # type: ignore[assignment]
"""The verified claims of the current user; false when nobody is logged in."""


def handle_error(error: Auth0CTEError) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Answer a failed call with its code as JSON: ``app.register_error_handler(Auth0CTEError, handle_error)``.

    401 when nobody is logged in any more, 403 when Auth0 refused, 429, and 502 to 504 when Auth0 or the store cannot be
    reached; the message goes to the log. What is a fault of the application itself stays an exception.
    """
    answer = answer_of(error)
    if answer is None:
        raise error
    return dict(answer.body), answer.status, dict(answer.headers)


@overload
def requires_session(view: V) -> V: ...


@overload
def requires_session(
    view: None = None,
    *,
    login_url: str | None = None,
    redirect_field_name: str = "next",
    max_age: float | None = None,
) -> Callable[[V], V]: ...


def requires_session(
    view: Any = None,
    *,
    login_url: str | None = None,
    redirect_field_name: str = "next",
    max_age: float | None = None,
) -> Any:
    """Answer 401 unless somebody is logged in, or redirect browsers to the login page.

    Args:
        view: The view, with or without ``async``.
        login_url: The login page: a path, URL or name of an endpoint. All clients whose ``Accept`` header does not
            rule ``text/html`` out are redirected there.
        redirect_field_name: The parameter that tells the login page where to go then.
        max_age: Only admit users who authenticated within the last so many seconds.
    """
    if view is None:
        return partial(requires_session, login_url=login_url, redirect_field_name=redirect_field_name, max_age=max_age)

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if is_admitted(_find_session(), max_age, _client().clock):
            return current_app.ensure_sync(view)(*args, **kwargs)
        if login_url is None or not accepts_html(request.headers.get("Accept")):
            abort(401)
        page = login_url if "/" in login_url else url_for(login_url)
        return redirect(login_location(page, request.url, redirect_field_name))

    return guarded


def _make_blueprint() -> Blueprint:
    blueprint = Blueprint("auth0_cte", __name__)

    @blueprint.post("/backchannel-logout")
    def backchannel_logout() -> tuple[str, int, dict[str, str]]:
        status = answer_logout_request(_client(), request.form.get("logout_token"), {"request": request})
        return "", status, {"Cache-Control": "no-store"}

    return blueprint
