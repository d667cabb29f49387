"""Options to a form, and a reply to a response: pure functions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NoReturn

from auth0_cte.auth_types import TokenExchangeResponse
from auth0_cte.error import CustomTokenExchangeError
from auth0_cte.error import CustomTokenExchangeErrorCode as Code
from auth0_cte.oauth.token_endpoint import TOKEN_EXCHANGE_GRANT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auth0_cte.auth_types import CustomTokenExchangeOptions
    from auth0_cte.oauth.client_auth.base import Form

__all__ = ["from_reply", "to_form", "to_headers", "to_refresh_form"]

MAX_EXPIRES_IN: Final = 2**31

_NUMBER: Final = r"[0-9]{1,10}"


def to_form(options: CustomTokenExchangeOptions, client_id: str) -> Form:
    """Build the parameters of the request (RFC 8693 section 2.1).

    Args:
        options: Options that `option_rules.validate` returned.
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


def to_headers(options: CustomTokenExchangeOptions) -> dict[str, str]:
    """Build the headers of the request that are not the same for all."""
    return {} if options.forwarded_for is None else {"auth0-forwarded-for": options.forwarded_for}


def to_refresh_form(client_id: str, refresh_token: str, audience: str | None, scope: str | None) -> Form:
    """Build the parameters of a refresh (RFC 6749 section 6); ``audience`` for another API than the login's."""
    form: Form = [("grant_type", "refresh_token"), ("client_id", client_id), ("refresh_token", refresh_token)]
    if audience is not None:
        form.append(("audience", audience))
    if scope is not None:
        form.append(("scope", scope))
    return form


def from_reply(reply: Mapping[str, Any], now: float) -> TokenExchangeResponse:
    """Read a successful reply (RFC 8693 section 2.2.1), types checked. Claims and actors are not its business.

    Args:
        reply: The reply's JSON object.
        now: The time by the client's clock, in Unix seconds.

    Raises:
        CustomTokenExchangeError: ``INVALID_RESPONSE``: a member is missing or has a wrong type.
    """
    rest = dict(reply)
    if "error" in rest:
        _refuse_reply("error in a reply with status 200")
    access_token = _pop_text(rest, "access_token")
    if access_token is None:
        _refuse_reply("access_token is missing")
    expires_in = _expires_in(rest.pop("expires_in", None))
    return TokenExchangeResponse(
        access_token=access_token,
        token_type=_pop_text(rest, "token_type"),
        expires_in=expires_in,
        expires_at=None if expires_in is None else now + expires_in,
        scope=_pop_text(rest, "scope", may_be_empty=True),
        issued_token_type=_pop_text(rest, "issued_token_type"),
        id_token=_pop_text(rest, "id_token"),
        refresh_token=_pop_text(rest, "refresh_token"),
        extra=rest,
    )


def _refuse_reply(fault: str) -> NoReturn:
    raise CustomTokenExchangeError(
        f"the reply of the token endpoint is not usable: {fault}",
        code=Code.INVALID_RESPONSE,
        status_code=200,
        may_have_reached_server=True,
    )


def _pop_text(reply: dict[str, Any], name: str, *, may_be_empty: bool = False) -> str | None:
    value = reply.pop(name, None)
    if value is None:
        return None
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        _refuse_reply(f"{name} is no printable text")
    if not value.strip() and not may_be_empty:
        _refuse_reply(f"{name} is empty")
    return value


def _expires_in(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, str) and re.fullmatch(_NUMBER, value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_EXPIRES_IN:
        _refuse_reply("expires_in is no number of seconds")
    return value


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list | tuple) or not isinstance(value, str | int) else [value]
    return [("true" if item else "false") if isinstance(item, bool) else str(item) for item in values]
