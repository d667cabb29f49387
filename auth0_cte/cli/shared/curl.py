"""A request as a ``curl`` command: exactly what the client would send, with variables in place of secrets."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from auth0_cte.error import CustomTokenExchangeError
from auth0_cte.oauth.domain import issuer_url
from auth0_cte.testing import LocalTenant

if TYPE_CHECKING:
    from collections.abc import Callable

    from auth0_cte.auth_server.server_client import ServerClient
    from auth0_cte.auth_types import CustomTokenExchangeOptions
    from auth0_cte.testing import TenantRequest

__all__ = ["curl_command", "written"]

_SECRETS: Final = {
    "subject_token": "$SUBJECT_TOKEN",
    "actor_token": "$ACTOR_TOKEN",
    "client_secret": "$AUTH0_CLIENT_SECRET",
    "client_assertion": "$CLIENT_ASSERTION",
}
_SECRET_HEADERS: Final = {"authorization": "Basic $BASIC_CREDENTIALS", "dpop": "$DPOP_PROOF"}
_TELLING: Final = ("secret", "token", "password", "passwd", "pwd", "key", "otp", "pin", "code", "credential")
"""Words in the names of further parameters whose values are hidden, too."""
_SHOWN: Final = frozenset({"subject_token_type", "actor_token_type", "requested_token_type", "client_assertion_type"})
_HOP: Final = frozenset({"host", "content-length", "connection", "accept-encoding"})
"""Headers that curl writes itself."""


def curl_command(domain: str, make_client: Callable[..., ServerClient], options: CustomTokenExchangeOptions) -> str:
    """Return the request of an exchange as a command for a shell; nothing is sent, so the token is not spent.

    Args:
        domain: The tenant that the request is for.
        make_client: Makes the client whose request it is; it takes ``session``.
        options: What to exchange.

    Raises:
        CustomTokenExchangeError: The options were refused before there was a request.
    """
    # The client itself writes the request, to a tenant of this process that goes by the other one's name.
    url = issuer_url(domain).removesuffix("/")
    with LocalTenant(url.partition("://")[2]) as double:
        session = double.session()
        session.mount(url, double.adapter())
        with make_client(session=session) as client:
            try:
                client.custom_token_exchange(options)
            except CustomTokenExchangeError:
                if not double.token_requests:
                    raise
        return written(double.token_requests[0])


def written(request: TenantRequest) -> str:
    """Return a request that arrived at a local tenant as a command, with variables in place of secrets."""
    lines = [f"curl --request {request.method} {shlex.quote(request.base_url + request.path)}"]
    for name, value in request.headers.items():
        if name not in _HOP:
            lines.append(f"--header {_quoted(f'{name}: {_SECRET_HEADERS.get(name, value)}', name in _SECRET_HEADERS)}")
    for name, value in parse_qsl(request.body, keep_blank_values=True):
        hidden = _hidden(name)
        lines.append(f"--data-urlencode {_quoted(f'{name}={value if hidden is None else hidden}', hidden is not None)}")
    return " \\\n  ".join(lines)


def _hidden(name: str) -> str | None:
    if name in _SECRETS or name in _SHOWN:
        return _SECRETS.get(name)
    is_telling = any(word in name.lower() for word in _TELLING)
    return "$" + "".join(each if each.isalnum() else "_" for each in name.upper()) if is_telling else None


def _quoted(text: str, has_variable: bool) -> str:
    if not has_variable:
        return shlex.quote(text)
    # The name before the variable may hold anything that a shell would expand.
    before, dollar, variable = text.rpartition("$")
    return f'{shlex.quote(before)}"{dollar}{variable}"'
