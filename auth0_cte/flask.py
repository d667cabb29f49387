"""The door for Flask: no request or response to pass, the cookies go out with whatever response the view returns.

auth0 = Auth0CTE(app)

@app.post("/login")
def login():
auth0.login_with_custom_token_exchange({"subject_token": ..., "subject_token_type": ...})
return redirect("/")

@app.get("/me")
@requires_session
def me():
return {"name": current_user["name"]}
"""

from __future__ import annotations

import os
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from flask import Blueprint, abort, current_app, g, request
from werkzeug.local import LocalProxy

from auth0_cte.auth_server.backchannel import answer_logout_request
from auth0_cte.auth_server.server_client import ServerClient
from auth0_cte.auth_server.settings import options_from_names
from auth0_cte.session.carrier import StagedCarrier

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flask import Flask, Response

    from auth0_cte.auth_types import (
        CustomTokenExchangeOptions,
        LoginWithCustomTokenExchangeResult,
        Session,
        TokenExchangeResponse,
    )

__all__ = ["Auth0CTE", "current_session", "current_user", "requires_session"]

EXTENSION: Final = "auth0_cte"
_CARRIER: Final = "_auth0_cte_carrier"

P = ParamSpec("P")
R = TypeVar("R")


class Auth0CTE:
    """The Flask extension.

    Args:
        app: The application; or call `init_app` later.
        client: A ready client; made of ``app.config["AUTH0_…"]``, and of the environment's variables of these names,
            when None.
        **options: Further arguments of `ServerClient`: ``state_store``, for example.
    """

    def __init__(self, app: Flask | None = None, *, client: ServerClient | None = None, **options: Any) -> None:
        self._client, self._options = client, options
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Set an application up.

        The session's cookies are set after each request. ``/backchannel-logout`` is there unless
        ``AUTH0_BACKCHANNEL_LOGOUT`` is False in the configuration.

        Raises:
            ConfigurationError: Settings are missing or cannot work; all that are missing are listed.
        """
        client = self._client
        if client is None:
            client = ServerClient(**options_from_names(self._options, {**os.environ, **app.config}))
        app.extensions[EXTENSION] = client
        app.after_request(_flush)
        if app.config.get("AUTH0_BACKCHANNEL_LOGOUT", True):
            app.register_blueprint(_make_blueprint())

    @property
    def client(self) -> ServerClient:
        """The client of the current application."""
        client: ServerClient = current_app.extensions[EXTENSION]
        return client

    def custom_token_exchange(
        self, options: CustomTokenExchangeOptions | Mapping[str, Any], *, use_cache: bool = True
    ) -> TokenExchangeResponse:
        """Exchange a token, as `ServerClient.custom_token_exchange` does."""
        return self.client.custom_token_exchange(options, _store_options(), use_cache=use_cache)

    def login_with_custom_token_exchange(
        self, options: CustomTokenExchangeOptions | Mapping[str, Any]
    ) -> LoginWithCustomTokenExchangeResult:
        """Log the user in, as `ServerClient.login_with_custom_token_exchange` does."""
        return self.client.login_with_custom_token_exchange(options, _store_options())

    def get_session(self) -> Session | None:
        """Return the session of the current request, or None."""
        return self.client.get_session(_store_options())

    def get_user(self) -> Mapping[str, Any] | None:
        """Return the verified claims of the current user, or None."""
        return self.client.get_user(_store_options())

    def get_access_token(self, audience: str | None = None, scope: str | None = None) -> str:
        """Return a valid access token of the session, as `ServerClient.get_access_token` does."""
        return self.client.get_access_token(_store_options(), audience, scope)

    def logout(self, return_to: str | None = None) -> str:
        """End the session, and return the URL that ends it at Auth0, to redirect the browser to."""
        return self.client.logout(_store_options(), return_to)


def _store_options() -> dict[str, Any]:
    carrier = g.get(_CARRIER)
    if carrier is None:
        carrier = StagedCarrier(request)
        setattr(g, _CARRIER, carrier)
    return {"request": request, "carrier": carrier}


def _flush(response: Response) -> Response:
    carrier: StagedCarrier | None = g.pop(_CARRIER, None)
    if carrier is not None:
        carrier.flush(response)
    return response


def _find_session() -> Session | None:
    client: ServerClient = current_app.extensions[EXTENSION]
    return client.get_session(_store_options())


def _find_user() -> Mapping[str, Any] | None:
    session = _find_session()
    return None if session is None else session.user


current_session: Session = LocalProxy(_find_session)  # type: ignore[assignment]
"""The session of the current request; false when there is none."""
current_user: Mapping[str, Any] = LocalProxy(_find_user)  # type: ignore[assignment]
"""The verified claims of the current user; false when nobody is logged in."""


def requires_session(view: Callable[P, R]) -> Callable[P, R]:
    """Answer 401 unless somebody is logged in."""

    @wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        if _find_session() is None:
            abort(401)
        return view(*args, **kwargs)

    return guarded


def _make_blueprint() -> Blueprint:
    blueprint = Blueprint("auth0_cte", __name__)

    @blueprint.post("/backchannel-logout")
    def backchannel_logout() -> tuple[str, int, dict[str, str]]:
        client: ServerClient = current_app.extensions[EXTENSION]
        status = answer_logout_request(client, request.form.get("logout_token"), {"request": request})
        return "", status, {"Cache-Control": "no-store"}

    return blueprint
