"""Users of a legacy system log in to a Django application: ``python -m auth0_cte.examples.django_app``.

In production: ``gunicorn auth0_cte.examples.django_app:application``, with ``AUTH0_DOMAIN``, ``AUTH0_CLIENT_ID``,
``AUTH0_CLIENT_SECRET`` and ``AUTH0_SECRET`` in the environment, the site's host names in ``ALLOWED_HOSTS`` (with commas
between them), and ``REDIS_URL`` or ``ROTATIONS_URL``.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any, Final

from auth0_cte.foundation.extras import extra

with extra("examples", "the example"):
    from django.conf import settings
    from django.core.management import call_command
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpResponse, HttpResponseBadRequest, JsonResponse
    from django.middleware.csrf import get_token
    from django.urls import include, path
    from django.views.decorators.http import require_GET, require_POST

from auth0_cte import MfaRequiredError, SessionError
from auth0_cte.django import get_client, requires_session
from auth0_cte.examples import legacy, tenant
from auth0_cte.examples.page import ASSETS, TOO_LARGE, asset, home_page, too_large_page
from auth0_cte.examples.second_factor import STEPS, Answer, SecondFactor

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest

__all__ = ["application", "urlpatterns"]

# What would be settings.py in a project. The rest of the client's settings is in the environment.
settings.configure(
    ALLOWED_HOSTS=os.environ.get("ALLOWED_HOSTS", "127.0.0.1,localhost").split(","),
    AUTH0_CTE={"state_store": tenant.state_store()},
    INSTALLED_APPS=["auth0_cte.django"],
    # Without it Django mails errors to nobody, and writes none.
    LOGGING={
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"console": {"class": "logging.StreamHandler"}},
        "root": {"handlers": ["console"], "level": "WARNING"},
    },
    LOGIN_URL="/",
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        f"{__name__}.never_cache",
        "auth0_cte.django.middleware.Auth0CTEMiddleware",
        # When Auth0 refused the token, or cannot be reached, the browser learns the code, and the log the rest.
        "auth0_cte.django.errors.Auth0CTEErrorMiddleware",
    ],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
)


def never_cache(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Keep the pages of one user from the next one, and from the back button after a logout."""

    def serve(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if not response.headers.get("Cache-Control", "").startswith("public"):
            response.headers["Cache-Control"] = "no-store"
        return response

    return serve


def home(request: Any) -> HttpResponse:
    """Show who is logged in."""
    return HttpResponse(home_page(request.auth0.user, hidden_token(request)).encode())


def hidden_token(request: HttpRequest) -> str:
    """Return the field that Django wants in each form."""
    return f'<input type="hidden" name="csrfmiddlewaretoken" value="{get_token(request)}">'


def login(request: Any) -> HttpResponse:
    """Log the user in; a real application would check the password, or the legacy session's cookie, first."""
    user, more = request.POST.get("user"), request.POST.get("more", "0")
    if not user or not more.isdecimal():
        return HttpResponseBadRequest()
    try:
        request.auth0.login(
            subject_token=legacy.mint(user, int(more[:9]), second_factor="second_factor" in request.POST),
            subject_token_type=legacy.TOKEN_TYPE,
            scope="openid profile offline_access",
        )
    except MfaRequiredError as error:
        return respond(second_factor(request).begin(error))
    except SessionError as error:
        if error.code != TOO_LARGE:
            raise
        return HttpResponse(too_large_page().encode(), status=413)
    return HttpResponse(status=303, headers={"Location": "/"})


def go_on(request: Any, step: str) -> HttpResponse:
    """Take the login a step further that was interrupted for a second factor."""
    if step not in STEPS:
        return HttpResponse(status=404)
    return respond(STEPS[step](second_factor(request), request.POST.dict()))


def second_factor(request: Any) -> SecondFactor:
    """Return the steps of this request's login."""
    auth0 = request.auth0
    return SecondFactor(auth0.client, auth0.store_options, auth0.resume_login, hidden_token(request))


def respond(answer: Answer) -> HttpResponse:
    """Send a page, or redirect."""
    if answer.location:
        return HttpResponse(status=answer.status, headers={"Location": answer.location})
    return HttpResponse(answer.page.encode(), status=answer.status)


def me(request: Any) -> HttpResponse:
    """Show what is known of the user: verified claims. It is for programs, so browsers are told 401, too."""
    user = request.auth0.user
    return JsonResponse({"error": "Nobody is logged in."}, status=401) if user is None else JsonResponse(dict(user))


def token(request: Any) -> HttpResponse:
    """Show that there is an access token; the token itself goes to the API, never into a page or a log."""
    access_token = request.auth0.get_access_token()  # refreshed when it has expired
    digest = hashlib.sha256(access_token.encode()).hexdigest()
    return JsonResponse({"characters": len(access_token), "sha256": digest})


def static_file(_request: Any, name: str) -> HttpResponse:
    """Send the style sheet, or the icon."""
    content, headers = asset(name)
    return HttpResponse(content, headers=headers)


def logout(request: Any) -> HttpResponse:
    """End the session here, and send the browser to Auth0, which ends its own and sends it back."""
    location = request.auth0.logout(return_to=request.build_absolute_uri("/"))
    return HttpResponse(status=303, headers={"Location": location})


urlpatterns: Final[list[Any]] = [
    path("", require_GET(home)),
    path("login", require_POST(login)),
    path("mfa/<str:step>", require_POST(go_on)),
    path("me", require_GET(me)),
    path("token", requires_session(token)),
    path("logout", require_POST(logout)),
    *(path(name, require_GET(static_file), {"name": name}) for name in ASSETS),
    path("", include("auth0_cte.django.urls")),
]
application: Final[Callable[..., Any]] = get_wsgi_application()


if __name__ == "__main__":
    with tenant.provided():
        get_client()  # so that a missing setting is told now
        call_command("runserver", f"127.0.0.1:{os.environ.get('PORT', '8000')}", "--noreload")
