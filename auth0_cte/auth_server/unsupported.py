"""What programs of auth0-server-python have, and this library does not do: refused by name, not ignored."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Final, ParamSpec

from auth0_cte.error import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["refuses_unsupported"]

P = ParamSpec("P")

_INTERACTIVE: Final = "this library does not log users in by redirects (start_interactive_login)"
_REASONS: Final = {
    "redirect_uri": _INTERACTIVE,
    "transaction_store": _INTERACTIVE,
    "transaction_identifier": _INTERACTIVE,
    "pushed_authorization_requests": _INTERACTIVE,
    "enterprise_connect": _INTERACTIVE,
    "anonymous_store": "this library has no anonymous sessions",
    "clear_anonymous_session_on_login": "this library has no anonymous sessions",
    "mfa_token_ttl": "pending logins are good for ten minutes",
    "use_mtls": "use client_auth=MutualTls(certificate, key)",
}


def refuses_unsupported(construct: Callable[P, None]) -> Callable[P, None]:
    """Make a constructor refuse the arguments that auth0-server-python's has, by a `ConfigurationError`."""

    @wraps(construct)
    def refusing(*args: P.args, **kwargs: P.kwargs) -> None:
        for name in kwargs:
            if name in _REASONS:
                raise ConfigurationError(f"{name} is not supported: {_REASONS[name]}; remove the argument")
        construct(*args, **kwargs)

    return refusing
