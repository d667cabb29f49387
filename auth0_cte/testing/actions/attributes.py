"""The attributes that ``setUserByConnection`` takes.

Source: Auth0, "Actions Triggers: custom-token-exchange - API Object"; for names that it does not list, which pass,
``@auth0/actions``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from auth0_cte.testing.actions.limits import ActionLimitError, plain, text

__all__ = ["check_attributes"]

logger: Final = logging.getLogger("auth0_cte.testing")

MAX_ATTRIBUTES: Final = 24
_TEXTS: Final[Mapping[str, tuple[int, int]]] = {
    "user_id": (1, 255),
    "email": (1, 1024),
    "phone_number": (1, 1024),
    "picture": (1, 4096),
    "name": (1, 300),
    "nickname": (1, 300),
    "given_name": (1, 150),
    "family_name": (1, 150),
    "username": (1, 128),
}
_FLAGS: Final = frozenset({"email_verified", "phone_verified", "verify_email"})


def check_attributes(attributes: object, *, strict: bool) -> dict[str, Any]:
    """Check a profile and return a copy.

    Args:
        attributes: The profile.
        strict: Whether only documented attributes are taken; otherwise others pass with a warning.

    Raises:
        ActionLimitError: An attribute is missing, of a wrong type, too long, or there are too many.
    """
    if not isinstance(attributes, Mapping) or len(attributes) > MAX_ATTRIBUTES:
        raise ActionLimitError(f"attributes must be an object of at most {MAX_ATTRIBUTES} members")
    text("user_id", attributes.get("user_id"), *_TEXTS["user_id"])
    copy: dict[str, Any] = plain("attributes", dict(attributes))
    for name, value in copy.items():
        if name in _TEXTS:
            text(name, value, *_TEXTS[name])
        elif name in _FLAGS and not isinstance(value, bool):
            raise ActionLimitError(f"{name} must be a boolean")
    unknown = sorted(copy.keys() - _TEXTS.keys() - _FLAGS)
    if unknown and strict:
        raise ActionLimitError(f"attributes has an unknown member: {unknown[0]}")
    if unknown:
        logger.warning("setUserByConnection sets attributes that Auth0 does not document: %s", ", ".join(unknown))
    return copy
