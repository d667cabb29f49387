"""The options of a logout; importable from ``auth0_cte.auth_types``, too."""

from __future__ import annotations

from attrs import frozen

__all__ = ["LogoutOptions"]


@frozen(kw_only=True)
class LogoutOptions:
    """How a session is ended at Auth0.

    Args:
        return_to: Where Auth0 sends the browser then; an absolute URL that the application allows.
        federated: Whether the user is logged out at the identity provider, too.
        oidc: Whether the URL is that of OpenID Connect RP-Initiated Logout (``/oidc/logout``), with the session's ID
            token as ``id_token_hint``, so that Auth0 asks for no consent; else it is that of ``/v2/logout``. A session
            without an ID token has no hint.
    """

    return_to: str | None = None
    federated: bool = False
    oidc: bool = False
