"""Session transfer tokens: read from a reply, and handed on in a redirect. Pure functions.

Source: Auth0, "Implement Session Delegation".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import quote, unquote_plus

from auth0_cte.auth_types import SessionTransferTokenResult, TokenExchangeResponse
from auth0_cte.error import ConfigurationError
from auth0_cte.foundation.urls import DEFAULT_PORTS, Url
from auth0_cte.oauth.domain import authority_of
from auth0_cte.oauth.error_response import unusable_reply
from auth0_cte.token_types import SESSION_TRANSFER_TOKEN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from auth0_cte.error import CustomTokenExchangeError

__all__ = ["session_transfer_audience", "to_redirect", "to_session_transfer_token"]

_PARAMETERS: Final = ("session_transfer_token", "organization")
_HOST: Final = r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]"


def session_transfer_audience(domain: str) -> str:
    """Return the audience that makes an exchange issue session transfer tokens.

    Args:
        domain: The domain of the exchange in any form: ``tenant.auth0.com``, a custom domain, an issuer URL.
    """
    return f"urn:{authority_of(domain)}:session_transfer"


def to_session_transfer_token(response: TokenExchangeResponse, organization: str | None) -> SessionTransferTokenResult:
    """Take the session transfer token out of a reply that says that it is one.

    Args:
        response: The reply to an exchange.
        organization: The organization that was asked for, or None.

    Raises:
        CustomTokenExchangeError: ``INVALID_RESPONSE``: it is another kind of token, which goes no further.
    """
    if response.issued_token_type != SESSION_TRANSFER_TOKEN:
        raise _other_token("issued_token_type is not that of a session transfer token")
    if (response.token_type or "N_A").upper() != "N_A":
        raise _other_token("token_type is not N_A, so it is an access token")
    return SessionTransferTokenResult(
        session_transfer_token=response.access_token,
        issued_token_type=response.issued_token_type,
        expires_in=response.expires_in,
        expires_at=response.expires_at,
        token_type=response.token_type,
        scope=response.scope,
        organization=organization,
    )


def _other_token(fault: str) -> CustomTokenExchangeError:
    hint = "Check that the domain is the tenant's own or a custom domain of it, and that the Action sets an actor."
    return unusable_reply(fault, hint=hint)


def to_redirect(target: str, result: object, organization: str | None, allowed_hosts: Iterable[str] | None) -> str:
    """Add a session transfer token to the URL of an application's login.

    Args:
        target: The URL.
        result: What carries the token.
        organization: The organization, or None for the one of the result.
        allowed_hosts: The hosts that the URL may have, or None for any.

    Raises:
        ConfigurationError: The URL could leak the token, or it is not a session transfer token.
    """
    parts = _split(target)
    _check_query(parts.query)
    if allowed_hosts is not None:
        _check_host(parts, [allowed_hosts] if isinstance(allowed_hosts, str) else allowed_hosts)
    values = (_token(result), _organization(result, organization))
    added = [f"{name}={quote(value, safe='')}" for name, value in zip(_PARAMETERS, values, strict=True) if value]
    # A ? inside of the query belongs to the parameter that it ends.
    separator = "?" if "?" not in target else "" if parts.query == "" or parts.query.endswith("&") else "&"
    return f"{target}{separator}{'&'.join(added)}"


def _refuse(message: str) -> NoReturn:
    raise ConfigurationError(message)


def _split(target: Any) -> Url:
    if isinstance(target, str) and "#" in target:
        _refuse("target_login_url has a fragment, which would swallow the parameters")
    try:
        url = Url.parse_strictly(target)
    except ValueError:
        _refuse("target_login_url must be an absolute https URL of printable ASCII characters")
    if "'" in target:
        _refuse("target_login_url has a quotation mark, which must be escaped in a URL")
    if url.has_user:
        _refuse("target_login_url has user information")
    if not re.fullmatch(_HOST, url.authority.rpartition(":")[0] if _has_port(url) else url.authority):
        _refuse("target_login_url has no proper host name")
    if not url.is_encrypted_or_local:
        _refuse("target_login_url uses http, which is for loopback hosts alone")
    return url


def _has_port(url: Url) -> bool:
    return ":" in url.authority.rpartition("]")[2]


def _check_query(query: str) -> None:
    # Some frameworks separate by ; as well, and some take names in any case.
    names = {unquote_plus(pair.partition("=")[0]).strip().casefold() for pair in re.split("[&;]", query)}
    for name in _PARAMETERS:
        if name in names:
            _refuse(f"target_login_url has a parameter {name} already")


def _check_host(url: Url, allowed: Iterable[str]) -> None:
    names = {f"{url.host}:{url.effective_port}"} | (
        {url.host} if url.effective_port == DEFAULT_PORTS[url.scheme] else set()
    )
    if not names & {each.lower() for each in allowed}:
        _refuse("target_login_url is on none of the allowed hosts")


def _token(result: object) -> str:
    kind: object = None
    token: object = None
    if isinstance(result, SessionTransferTokenResult):
        kind, token = result.issued_token_type, result.session_transfer_token
    elif isinstance(result, TokenExchangeResponse):
        kind, token = result.issued_token_type, result.access_token
    else:
        # Of a bare string nobody can tell whether it is an access token, which must never get into a URL.
        _refuse("give the result of request_session_transfer_token, which tells the kind of its token")
    if kind != SESSION_TRANSFER_TOKEN:
        _refuse("the result is not a session transfer token (issued_token_type): another token must not get into a URL")
    if not isinstance(token, str) or not token.strip() or not token.isascii() or not token.isprintable():
        _refuse("the result has no token")
    return token


def _organization(result: object, given: str | None) -> str | None:
    asked = result.organization if isinstance(result, SessionTransferTokenResult) else None
    if given is not None and (not isinstance(given, str) or not given.strip() or not given.isprintable()):
        _refuse("organization must not be blank; omit it instead")
    if given is not None and asked is not None and given != asked:
        _refuse("organization is another than the one that the session transfer token was requested for")
    return given or asked
