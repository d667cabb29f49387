"""The integration of Django: ``request.auth0`` in every view, with or without ``async``, without passing a response.

In ``settings.py``::

    INSTALLED_APPS = ["auth0_cte.django"]  # and yours
    MIDDLEWARE = ["auth0_cte.django.middleware.Auth0CTEMiddleware"]  # after those of Django
    AUTH0_CTE = {"domain": "tenant.auth0.com", "client_id": "...", "client_secret": "...", "secret": "..."}

In ``views.py``::

    from django.http import JsonResponse
    from django.shortcuts import redirect

    from auth0_cte.django import requires_session

    def login(request):
        request.auth0.login({"subject_token": request.POST["token"], "subject_token_type": "urn:acme:mcp-token"})
        return redirect("/me")

    @requires_session
    def me(request):
        return JsonResponse({"sub": request.auth0.user["sub"]})
"""

from __future__ import annotations

from auth0_cte.foundation.extras import extra

with extra("django", "auth0_cte.django"):
    import django  # noqa: F401 - looked for before everything that needs it

from auth0_cte.django.cache import DjangoCacheRotations
from auth0_cte.django.clients import get_async_client, get_client
from auth0_cte.django.decorators import requires_session
from auth0_cte.django.errors import handle_error
from auth0_cte.django.request import RequestAuth0, auth0_of
from auth0_cte.django.store import DjangoCacheStateStore

__all__ = [
    "DjangoCacheRotations",
    "DjangoCacheStateStore",
    "RequestAuth0",
    "auth0_of",
    "get_async_client",
    "get_client",
    "handle_error",
    "requires_session",
]
