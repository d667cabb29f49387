"""Options to the form and the headers of a token request: pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from auth0_cte.oauth.token_endpoint import TOKEN_EXCHANGE_GRANT

if TYPE_CHECKING:
    from auth0_cte.auth_types import CustomTokenExchangeOptions
    from auth0_cte.oauth.client_auth.base import Form

__all__ = ["to_form", "to_refresh_form"]


def to_form(options: CustomTokenExchangeOptions, client_id: str) -> Form:
    """Build the parameters of the request (RFC 8693 section 2.1).

    Args:
        options: Options that `options.validate` returned.
        client_id: The application's client id.

    Returns:
        Name and value pairs: the caller's own first and the protocol's last, so that the former can never win.
    """
    form: Form = []
    for name, value in (options.authorization_params or {}).items():
        form.extend((name, text) for text in _texts(value))
    form.append(("grant_type", TOKEN_EXCHANGE_GRANT))
    form.append(("client_id", client_id))
    form.append(("subject_token", str(options.subject_token)))
    form.append(("subject_token_type", options.subject_token_type))
    for name in ("audience", "actor_token", "actor_token_type", "organization", "requested_token_type"):
        value = getattr(options, name)
        if value is not None:
            form.append((name, value))
    if options.scope is not None:
        form.append(("scope", options.scope if isinstance(options.scope, str) else " ".join(options.scope)))
    if options.resource is not None:
        form.extend(("resource", uri) for uri in _texts(options.resource))
    return form


def to_refresh_form(client_id: str, refresh_token: str, audience: str | None, scope: str | None) -> Form:
    """Build the parameters of a refresh (RFC 6749 section 6); ``audience`` for another API than the login's."""
    form: Form = [("grant_type", "refresh_token"), ("client_id", client_id), ("refresh_token", refresh_token)]
    if audience is not None:
        form.append(("audience", audience))
    if scope is not None:
        form.append(("scope", scope))
    return form


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list | tuple) or not isinstance(value, str | int) else [value]
    return [("true" if item else "false") if isinstance(item, bool) else str(item) for item in values]
