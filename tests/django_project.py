"""A Django project as its users write one: settings, views with and without ``async``, and URLs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.cache.backends.locmem import LocMemCache
from django.core.management import call_command
from django.db import connections
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import include, path
from django.utils.decorators import method_decorator
from django.views import View

from auth0_cte import MemoryStateStore, SessionError
from auth0_cte.django import requires_session
from auth0_cte.testing import LocalTenant
from tests.exchanges import accept_user_ids
from tests.integration.apps import configure_django

SECRET = "a-secret-of-more-than-thirty-two-bytes"
TYPE = "urn:acme:mcp-token"
SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
OURS = "auth0_cte.django.middleware.Auth0CTEMiddleware"
BACKEND = "auth0_cte.django.backends.Auth0Backend"
MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"


class ListedCache(LocMemCache):  # type: ignore[misc]
    """A cache in memory that tells what it holds, which no public method of Django's does."""

    def names(self) -> list[str]:
        return [key.split(":", 2)[2] for key in self._cache]


def options(user: str) -> dict[str, str]:
    return {"subject_token": user, "subject_token_type": TYPE, "scope": "profile email"}


def make_tenant() -> LocalTenant:
    """Return a tenant where a subject token is the id of the user it stands for."""
    return accept_user_ids(LocalTenant())


def settings_of(tenant: LocalTenant, **more: Any) -> dict[str, Any]:
    return {
        "domain": tenant.domain,
        "client_id": tenant.client_id,
        "client_secret": tenant.client_secret,
        "secret": SECRET,
        "session": tenant.session(),
        **more,
    }


@contextmanager
def project(tenant: LocalTenant, *, backends: tuple[str, ...] = (MODEL_BACKEND,), **more: Any) -> Iterator[None]:
    """Have Django run this project on a tenant; ``more`` goes into ``AUTH0_CTE``."""
    configure_django()
    changed = {
        "AUTH0_CTE": settings_of(tenant, **more),
        "AUTHENTICATION_BACKENDS": list(backends),
        "MIDDLEWARE": [SESSIONS, AUTHENTICATION, OURS],
        "ROOT_URLCONF": __name__,
        "LOGIN_URL": "/login-page",
    }
    with override_settings(**changed):
        yield


@contextmanager
def database() -> Iterator[None]:
    """Have Django's tables, and nobody in them."""
    from django.contrib.auth import get_user_model
    from django.contrib.sessions.models import Session

    configure_django()
    call_command("migrate", verbosity=0)
    try:
        yield
    finally:
        get_user_model().objects.all().delete()
        Session.objects.all().delete()
        connections.close_all()


def memory() -> MemoryStateStore:
    return MemoryStateStore()


def show(request: Any) -> dict[str, Any]:
    user, session = request.auth0.user, request.auth0.session
    return {"sub": user and user["sub"], "sid": session and session.sid}


def login(request: Any, user: str) -> HttpResponse:
    request.auth0.login(options(user))
    return HttpResponseRedirect("/me")


async def alogin(request: Any, user: str) -> HttpResponse:
    await request.auth0.alogin(options(user))
    return HttpResponseRedirect("/me")


def login_twice(request: Any) -> HttpResponse:
    seen = [request.auth0.user]
    for user in ("first", "second"):
        request.auth0.login(options(user))
        seen.append(request.auth0.user["sub"])
    return JsonResponse({"seen": seen})


def login_streaming(request: Any) -> StreamingHttpResponse:
    request.auth0.login(options("big"))

    def parts() -> Iterator[str]:
        yield "begun"
        for work in (lambda: request.auth0.login(options("eve")), request.auth0.logout):
            try:
                work()
            except SessionError as error:
                yield f" {error.code}"

    return StreamingHttpResponse(parts())


def login_failing(request: Any) -> HttpResponse:
    request.auth0.login(options("ada"))
    raise RuntimeError("the view fails after the login")


def login_by_client(request: Any) -> HttpResponse:
    """Pass the request alone."""
    request.auth0.client.login_with_custom_token_exchange(options("ada"), {"request": request})
    return JsonResponse(show(request))


@requires_session
def me(request: Any) -> HttpResponse:
    return JsonResponse({**show(request), "token": request.auth0.get_access_token()[:2]})


@requires_session
async def ame(request: Any) -> HttpResponse:
    session, user = await request.auth0.aget_session(), await request.auth0.aget_user()
    token = await request.auth0.aget_access_token()
    return JsonResponse({"sub": user["sub"], "sid": session.sid, "token": token[:2]})


def token(request: Any) -> HttpResponse:
    return HttpResponse(request.auth0.get_access_token()[:2])


async def atoken(request: Any) -> HttpResponse:
    return HttpResponse((await request.auth0.aget_access_token())[:2])


def login_without_request(request: Any) -> HttpResponse:
    """Forget the request."""
    return HttpResponse(str(request.auth0.client.login_with_custom_token_exchange(options("ada"), {})).encode())


@requires_session(max_age=60)
def recent(request: Any) -> HttpResponse:
    return HttpResponse(b"recent")


@requires_session(max_age=60)
async def arecent(request: Any) -> HttpResponse:
    return HttpResponse(b"recent")


@requires_session(login_url="/custom?x=1", redirect_field_name="then")
def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"page")


@method_decorator(requires_session, name="dispatch")
class Page(View):  # type: ignore[misc]
    def get(self, request: Any) -> HttpResponse:
        return JsonResponse(show(request))


@method_decorator(requires_session, name="dispatch")
class AsyncPage(View):  # type: ignore[misc]
    async def get(self, request: Any) -> HttpResponse:
        return JsonResponse({"sub": (await request.auth0.aget_user())["sub"]})


async def blocking(request: Any) -> HttpResponse:
    """Use what is for synchronous views."""
    return JsonResponse(show(request))


def plain(request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"plain")


def anonymous(request: Any) -> HttpResponse:
    return HttpResponse(b"somebody" if request.auth0.user else b"nobody")


def exchange(request: Any) -> HttpResponse:
    return HttpResponse(request.auth0.custom_token_exchange(options("ada")).token_type)


async def aexchange(request: Any) -> HttpResponse:
    return HttpResponse((await request.auth0.acustom_token_exchange(options("ada"))).token_type)


def logout(request: Any) -> HttpResponse:
    return HttpResponseRedirect(request.auth0.logout("https://app.example/"))


async def alogout(request: Any) -> HttpResponse:
    return HttpResponseRedirect(await request.auth0.alogout("https://app.example/"))


def who(request: Any) -> HttpResponse:
    """Show Django's user."""
    return JsonResponse({"user": request.user.get_username(), "is_authenticated": request.user.is_authenticated})


async def awho(request: Any) -> HttpResponse:
    user = await request.auser()
    return JsonResponse({"user": user.get_username(), "is_authenticated": user.is_authenticated})


def login_and_logout(request: Any) -> HttpResponse:
    """Show Django's user at each step of one request."""
    seen = [request.user.is_authenticated]
    request.auth0.login(options("ada"))
    seen.append(request.user.is_authenticated)
    request.auth0.logout()
    seen.append(request.user.is_authenticated)
    return JsonResponse({"seen": seen})


async def alogin_and_logout(request: Any) -> HttpResponse:
    seen = [(await request.auser()).is_authenticated]
    await request.auth0.alogin(options("ada"))
    seen.append((await request.auser()).is_authenticated)
    await request.auth0.alogout()
    seen.append((await request.auser()).is_authenticated)
    return JsonResponse({"seen": seen})


def password_login(request: Any) -> HttpResponse:
    """Log in as a project does that has users with passwords, too."""
    from django.contrib import auth

    user = auth.authenticate(request, username="staff", password="password")
    auth.login(request, user)
    return HttpResponse(status=204)


VIEWS = [
    *(login_twice, login_streaming, login_failing, login_by_client, me, ame, page, blocking, plain, anonymous),
    *(token, atoken, login_without_request, recent, arecent),
    *(exchange, aexchange, logout, alogout, who, awho, login_and_logout, alogin_and_logout, password_login),
]
urlpatterns = [
    path("login/<user>", login),
    path("alogin/<user>", alogin),
    *(path(view.__name__, view) for view in VIEWS),
    path("class", Page.as_view()),
    path("async-class", AsyncPage.as_view()),
    path("", include("auth0_cte.django.urls")),
]
