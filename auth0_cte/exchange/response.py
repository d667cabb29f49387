"""A reply of the token endpoint to a response: pure functions, and the verification of the ID token between them."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Final, NoReturn

from auth0_cte.error import CustomTokenExchangeError
from auth0_cte.error import CustomTokenExchangeErrorCode as Code
from auth0_cte.token_types import SESSION_TRANSFER_TOKEN

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["binding_of", "read_reply"]

logger: Final = logging.getLogger("auth0_cte")

MAX_EXPIRES_IN: Final = 2**31
NOT_APPLICABLE: Final = "n_a"
"""The ``token_type`` of what is not an access token (RFC 8693 section 2.2.1), in lower case."""

_NUMBER: Final = r"[0-9]{1,10}"


def read_reply(reply: Mapping[str, Any], now: float) -> dict[str, Any]:
    """Read a successful reply (RFC 8693 section 2.2.1), types checked. Claims and actors are not its business.

    Args:
        reply: The reply's JSON object.
        now: The time by the client's clock, in Unix seconds.

    Returns:
        The arguments of a `TokenExchangeResponse` that the reply tells.

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
    return {
        "access_token": access_token,
        "token_type": _pop_text(rest, "token_type"),
        "expires_in": expires_in,
        "expires_at": None if expires_in is None else now + expires_in,
        "scope": _pop_text(rest, "scope", may_be_empty=True),
        "issued_token_type": _pop_text(rest, "issued_token_type"),
        "id_token": _pop_text(rest, "id_token"),
        "refresh_token": _pop_text(rest, "refresh_token"),
        "extra": rest,
    }


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


def binding_of(told: Mapping[str, Any], thumbprint: str | None) -> tuple[bool | None, str | None]:
    """Return whether an access token is bound to the DPoP key, and to which (RFC 9449 section 5).

    What is amiss is logged. It is not an error: the subject token is spent, and what it bought must not get lost.

    Args:
        told: What `read_reply` returned.
        thumbprint: The key's thumbprint; None when no proof was sent.
    """
    token_type = (told["token_type"] or "").lower()
    if thumbprint is None:
        if token_type == "dpop":
            logger.warning("the access token is bound to a DPoP key (token_type DPoP), but no proof was sent")
        return None, None
    if token_type == NOT_APPLICABLE or told["issued_token_type"] == SESSION_TRANSFER_TOKEN:
        return None, None  # not an access token
    if token_type == "dpop":
        return True, thumbprint
    logger.warning(
        "a DPoP proof was sent, but the access token is not bound to the key: token_type is not DPoP; "
        "allow sender constraining by DPoP on the API"
    )
    return False, None
