"""The application's entry in ``INSTALLED_APPS``: ``"auth0_cte.django"``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from auth0_cte.foundation.untyped import Untyped as AppConfig
else:
    from django.apps import AppConfig

__all__ = ["Auth0CTEConfig"]


class Auth0CTEConfig(AppConfig):
    """Brings the system checks and the command ``auth0_cte_check``."""

    name: Final = "auth0_cte.django"
    label: Final = "auth0_cte"
    verbose_name: str = "Auth0 Custom Token Exchange"

    def ready(self) -> None:
        """Register the checks."""
        from auth0_cte.django.checks import register_all

        register_all()
