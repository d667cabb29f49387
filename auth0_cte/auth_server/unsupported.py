"""What programs of auth0-server-python have, and this library does not do: refused by name, not ignored."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Final, Never, ParamSpec

from auth0_cte.error import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["UNSUPPORTED_METHODS", "refuses_unsupported", "unsupported_attribute"]

P = ParamSpec("P")

_INTERACTIVE: Final = "this library does not log users in by redirects (start_interactive_login)"
_ANONYMOUS: Final = "this library has no anonymous sessions"
_REASONS: Final = {
    "redirect_uri": _INTERACTIVE,
    "transaction_store": _INTERACTIVE,
    "transaction_identifier": _INTERACTIVE,
    "pushed_authorization_requests": _INTERACTIVE,
    "enterprise_connect": _INTERACTIVE,
    "anonymous_store": _ANONYMOUS,
    "clear_anonymous_session_on_login": _ANONYMOUS,
    "mfa_token_ttl": "pending logins are good for ten minutes",
    "use_mtls": "use client_auth=MutualTls(certificate, key)",
}

UNSUPPORTED_METHODS: Final = {
    **dict.fromkeys(("start_interactive_login", "complete_interactive_login", "start_enterprise_login"), _INTERACTIVE),
    **dict.fromkeys(
        ("start_link_user", "complete_link_user", "start_unlink_user", "complete_unlink_user"),
        "this library does not link accounts",
    ),
    **dict.fromkeys(
        (
            *("start_connect_account", "complete_connect_account", "list_connected_accounts"),
            *("delete_connected_account", "list_connected_account_connections"),
        ),
        "this library does not connect accounts of other providers",
    ),
    **dict.fromkeys(
        ("passkey_signup_challenge", "passkey_login_challenge", "signin_with_passkey"), "this library has no passkeys"
    ),
    **dict.fromkeys(
        (
            *("login_backchannel", "backchannel_authentication", "backchannel_authentication_grant"),
            "initiate_backchannel_authentication",
        ),
        "this library has no client-initiated backchannel authentication (CIBA)",
    ),
    "passwordless": "this library has no passwordless login",
    "anonymous": _ANONYMOUS,
    "get_token_by_refresh_token": "use refresh_exchanged_token(refresh_token)",
    "get_token_for_connection": "use get_access_token_for_connection({...})",
}
"""What the client of auth0-server-python has and this one has not, with the reason or the replacement."""


def unsupported_attribute(client: Any, name: str) -> Never:
    """Raise the `AttributeError` of an attribute that is not there; ``__getattr__`` of the clients."""
    reason = UNSUPPORTED_METHODS.get(name)
    kind = type(client).__name__
    fault = f"{kind!r} object has no attribute {name!r}" if reason is None else f"{kind} has no {name}: {reason}"
    raise AttributeError(fault, name=name, obj=client)


def refuses_unsupported(construct: Callable[P, None]) -> Callable[P, None]:
    """Make a constructor refuse the arguments that auth0-server-python's has, by a `ConfigurationError`."""

    @wraps(construct)
    def refusing(*args: P.args, **kwargs: P.kwargs) -> None:
        for name in kwargs:
            if name in _REASONS:
                raise ConfigurationError(f"{name} is not supported: {_REASONS[name]}; remove the argument")
        construct(*args, **kwargs)

    return refusing
