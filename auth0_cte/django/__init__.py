"""The integration of Django: ``request.auth0`` in every view, with or without ``async``, and no response to pass.

INSTALLED_APPS = [..., "auth0_cte.django"]
MIDDLEWARE = [..., "auth0_cte.django.middleware.Auth0CTEMiddleware"]
AUTH0_CTE = {"domain": "tenant.auth0.com", "client_id": ..., "client_secret": ..., "secret": ...}

def login(request):
request.auth0.login({"subject_token": ..., "subject_token_type": ...})
return redirect("/")

@requires_session
def me(request):
return JsonResponse({"name": request.auth0.user["name"]})
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
