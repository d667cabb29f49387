"""Users of a legacy system log in to a Flask application: ``python -m auth0_cte.examples.flask_app``.

In production: ``gunicorn 'auth0_cte.examples.flask_app:create_app()'``, with ``AUTH0_DOMAIN``, ``AUTH0_CLIENT_ID``,
``AUTH0_CLIENT_SECRET`` and ``AUTH0_SECRET`` in the environment, and ``REDIS_URL`` or ``ROTATIONS_URL``.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any, Final

from auth0_cte.foundation.extras import extra

with extra("examples", "the example"):
    from flask import Blueprint, Flask, abort, redirect, request

from auth0_cte import MfaRequiredError, SessionError
from auth0_cte.error import Auth0CTEError
from auth0_cte.examples import legacy, tenant
from auth0_cte.examples.page import TOO_LARGE, asset, home_page, too_large_page
from auth0_cte.examples.second_factor import STEPS, Answer, SecondFactor
from auth0_cte.flask import Auth0CTE, current_user, handle_error, requires_session

if TYPE_CHECKING:
    from flask.wrappers import Response
    from werkzeug.wrappers import Response as Redirect

__all__ = ["create_app"]

auth0: Final = Auth0CTE(state_store=tenant.state_store())
pages: Final = Blueprint("pages", __name__)


def create_app() -> Flask:
    """Make the application, of the settings in the environment; the extension adds ``/backchannel-logout``."""
    app = Flask(__name__)
    auth0.init_app(app)
    app.register_blueprint(pages)
    return app


@pages.before_request
def refuse_forms_of_other_sites() -> None:
    """Answer 403 to a form of another site, which could log that site's user in here.

    Browsers send Origin with every POST. Behind a proxy that ends TLS, Flask needs werkzeug's ``ProxyFix`` to know its
    own address.
    """
    own = request.host_url.removesuffix("/")
    if request.method == "POST" and request.headers.get("Origin", own) != own:
        abort(403)


@pages.after_request
def never_cache(response: Response) -> Response:
    """Keep the pages of one user from the next one, and from the back button after a logout."""
    response.headers.setdefault("Cache-Control", "no-store")
    return response


@pages.get("/")
def home() -> str:
    """Show who is logged in."""
    return home_page(auth0.get_user())


@pages.post("/login")
def login() -> Redirect | tuple[str, int]:
    """Log the user in; a real application would check the password, or the legacy session's cookie, first."""
    form = request.form
    try:
        auth0.login(
            subject_token=legacy.mint(
                form["user"], form.get("more", 0, type=int), second_factor="second_factor" in form
            ),
            subject_token_type=legacy.TOKEN_TYPE,
            scope="openid profile offline_access",
        )
    except MfaRequiredError as error:
        return respond(second_factor().begin(error))
    return redirect("/", 303)


@pages.post("/mfa/<any(enroll, challenge, verify):step>")
def go_on(step: str) -> Redirect | tuple[str, int]:
    """Take the login a step further that was interrupted for a second factor."""
    return respond(STEPS[step](second_factor(), request.form))


def second_factor() -> SecondFactor:
    """Return the steps of this request's login."""
    return SecondFactor(auth0.client, auth0.store_options, auth0.resume_login)


def respond(answer: Answer) -> Redirect | tuple[str, int]:
    """Send a page, or redirect."""
    return redirect(answer.location, answer.status) if answer.location else (answer.page, answer.status)


@pages.get("/me")
@requires_session
def me() -> dict[str, Any]:
    """Show what is known of the user: verified claims."""
    return dict(current_user)


@pages.get("/token")
@requires_session
def token() -> dict[str, Any]:
    """Show that there is an access token; the token itself goes to the API, never into a page or a log."""
    access_token = auth0.get_access_token()  # refreshed when it has expired
    return {"characters": len(access_token), "sha256": hashlib.sha256(access_token.encode()).hexdigest()}


@pages.get("/style.css", defaults={"name": "style.css"})
@pages.get("/favicon.svg", defaults={"name": "favicon.svg"})
def static_file(name: str) -> tuple[bytes, dict[str, str]]:
    """Send the style sheet, or the icon."""
    return asset(name)


@pages.post("/logout")
def logout() -> Redirect:
    """End the session here, and send the browser to Auth0, which ends its own and sends it back."""
    return redirect(auth0.logout(return_to=request.host_url), 303)


@pages.errorhandler(401)
def unauthorized(_error: Exception) -> tuple[dict[str, str], int]:
    """Answer what `requires_session` refused."""
    return {"error": "Nobody is logged in."}, 401


@pages.errorhandler(SessionError)
def not_begun(error: SessionError) -> tuple[str, int] | tuple[dict[str, Any], int, dict[str, str]]:
    """Tell a user whose session does not fit into cookies; the rest is as `handle_error` has it."""
    return (too_large_page(), 413) if error.code == TOO_LARGE else handle_error(error)


# When Auth0 refused the token, or cannot be reached, the browser learns the code, and the log the rest.
pages.register_error_handler(Auth0CTEError, handle_error)


if __name__ == "__main__":
    with tenant.provided():
        create_app().run("127.0.0.1", int(os.environ.get("PORT", "8000")))
