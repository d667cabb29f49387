"""A reply of the token endpoint to a response: pure functions, and the verification of the ID token between them."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Final

from auth0_cte.auth_types import TokenExchangeResponse
from auth0_cte.error import IdTokenError
from auth0_cte.oauth.error_response import unusable_reply
from auth0_cte.token_types import FEDERATED_CONNECTION_ACCESS_TOKEN, SESSION_TRANSFER_TOKEN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auth0_cte.auth_types import Actor, CustomTokenExchangeOptions
    from auth0_cte.oauth.id_token import Identity

__all__ = ["act_error_of", "read_reply", "to_response"]

logger: Final = logging.getLogger("auth0_cte")

MAX_EXPIRES_IN: Final = 2**31
NOT_APPLICABLE: Final = "n_a"
"""The ``token_type`` of what is not an access token (RFC 8693 section 2.2.1), in lower case."""

_TEXTS: Final = ("access_token", "token_type", "scope", "issued_token_type", "id_token", "refresh_token")
_NOT_OURS: Final = (SESSION_TRANSFER_TOKEN, FEDERATED_CONNECTION_ACCESS_TOKEN)
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
    expires_in = rest.pop("expires_in", None)
    if expires_in is not None and (type(expires_in) is not int or not 0 <= expires_in <= MAX_EXPIRES_IN):
        expires_in = _seconds(expires_in)
    expires_at = None if expires_in is None else now + expires_in
    return {**told, "expires_in": expires_in, "expires_at": expires_at, "extra": rest}


def _seconds(value: object) -> int:
    if isinstance(value, str) and re.fullmatch(_NUMBER, value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_EXPIRES_IN:
        raise unusable_reply("expires_in must be a number of seconds")
    return value


def to_response(
    told: Mapping[str, Any],
    identity: Identity,
    dpop_thumbprint: str | None,
    options: CustomTokenExchangeOptions | None,
) -> TokenExchangeResponse:
    """Make the response, once and whole.

    Args:
        told: What `read_reply` returned.
        identity: The claims and the actor of the verified ID token, or why it is not verified.
        dpop_thumbprint: The key that a proof was sent of, or None.
        options: The options of an exchange, by which the reply is judged; None for other grants.
    """
    claims, act, fault = identity
    is_bound, bound_to = None, None
    if dpop_thumbprint is not None or told["token_type"] not in (None, "Bearer"):
        is_bound, bound_to = _binding_of(told, dpop_thumbprint)
    act_error, withheld = None, False
    if options is not None:
        if options.actor_token is not None or fault is not None:
            act_error = act_error_of(options, claims, act, fault)
        scopes = options.scope.split() if isinstance(options.scope, str) else options.scope or ()
        withheld = told["refresh_token"] is None and "offline_access" in scopes
    return TokenExchangeResponse(
        **told,
        claims=claims,
        act=act,
        act_error=act_error,
        id_token_error=fault,
        refresh_token_withheld=withheld,
        dpop_bound=is_bound,
        dpop_thumbprint=bound_to,
    )


def act_error_of(
    options: CustomTokenExchangeOptions,
    claims: Mapping[str, Any] | None,
    act: Actor | None,
    id_token_error: IdTokenError | None,
) -> IdTokenError | None:
    """Return why the actor that was sent is not confirmed, or None.

    An actor that was sent and is not named by a verified ID token is never silent, nor is an ID token that failed
    verification and may have named one.
    """
    if act is not None or id_token_error is not None:
        return id_token_error
    if options.actor_token is None:
        return None
    if claims is None:
        return IdTokenError(
            "an actor token was sent, and no ID token tells whether the tokens name the actor: ask for openid",
            code="MISSING_ID_TOKEN",
            _hint="Ask for openid in the scope: the actor is verified by the ID token alone.",
        )
    return IdTokenError(
        "an actor token was sent, but the ID token names no actor",
        code="MISSING_ACTOR",
        claim="act",
        _hint="Have the Action call api.authentication.setActor; the tokens pass for the user's own.",
    )


def _binding_of(told: Mapping[str, Any], thumbprint: str | None) -> tuple[bool | None, str | None]:
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
    if token_type == NOT_APPLICABLE or told["issued_token_type"] in _NOT_OURS:
        return None, None  # not an access token
    if token_type == "dpop":
        return True, thumbprint
    logger.warning(
        "a DPoP proof was sent, but the access token is not bound to the key: token_type is not DPoP; "
        "allow sender constraining by DPoP on the API"
    )
    return False, None
