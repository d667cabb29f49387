"""``path("", include("auth0_cte.django.urls"))`` serves back-channel logout at ``/backchannel-logout``."""

from __future__ import annotations

from typing import Any, Final

from django.urls import path

from auth0_cte.django.views import backchannel_logout

__all__ = ["app_name", "urlpatterns"]

app_name: Final = "auth0_cte"
urlpatterns: Final[list[Any]] = [path("backchannel-logout", backchannel_logout, name="backchannel-logout")]
