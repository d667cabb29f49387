"""A reply of the token endpoint to a response: pure functions, and the verification of the ID token between them."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Final

from auth0_cte.oauth.error_response import unusable_reply
from auth0_cte.token_types import SESSION_TRANSFER_TOKEN

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["binding_of", "read_reply"]

logger: Final = logging.getLogger("auth0_cte")

MAX_EXPIRES_IN: Final = 2**31
NOT_APPLICABLE: Final = "n_a"
"""The ``token_type`` of what is not an access token (RFC 8693 section 2.2.1), in lower case."""

_TEXTS: Final = ("access_token", "token_type", "scope", "issued_token_type", "id_token", "refresh_token")
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
        raise unusable_reply("error in a reply with status 200")
    told = {name: rest.pop(name, None) for name in _TEXTS}
    for name, value in told.items():
        if value is None:
            continue
        if not isinstance(value, str) or not value.isascii() or not value.isprintable():
            raise unusable_reply(f"{name} must be printable ASCII text")
        if not value.strip() and name != "scope":
            raise unusable_reply(f"{name} is empty")
    if told["access_token"] is None:
        raise unusable_reply("access_token is missing")
    expires_in = _expires_in(rest.pop("expires_in", None))
    expires_at = None if expires_in is None else now + expires_in
    return {**told, "expires_in": expires_in, "expires_at": expires_at, "extra": rest}


def _expires_in(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, str) and re.fullmatch(_NUMBER, value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_EXPIRES_IN:
        raise unusable_reply("expires_in must be a number of seconds")
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
