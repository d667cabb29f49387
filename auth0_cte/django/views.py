"""The view for Auth0's back-channel logout; `auth0_cte.django.urls` has its URL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpResponse, HttpResponseNotAllowed

from auth0_cte.auth_server.backchannel import answer_logout_request
from auth0_cte.django.clients import get_client

if TYPE_CHECKING:
    from django.http import HttpRequest

__all__ = ["backchannel_logout"]


def backchannel_logout(request: HttpRequest) -> HttpResponse:
    """End the sessions that Auth0's logout token is about.

    Answers 200 when that was done, 400 when the token is not acceptable, 501 when the store cannot find sessions, and
    503 when it or Auth0 cannot be reached.
    """
    headers = {"Cache-Control": "no-store"}
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"], headers=headers)
    status = answer_logout_request(get_client(), request.POST.get("logout_token"), {"request": request})
    return HttpResponse(status=status, headers=headers)


# As csrf_exempt and login_not_required do: Auth0's server has neither a form of ours nor a session.
backchannel_logout.csrf_exempt = True  # type: ignore[attr-defined]
backchannel_logout.login_required = False  # type: ignore[attr-defined]
