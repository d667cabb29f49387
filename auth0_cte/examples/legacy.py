"""The legacy system of the examples: it vouches for its users with signed tokens that live for a minute."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import time
from typing import Any, Final

from auth0_cte import ConfigurationError

__all__ = ["TOKEN_TYPE", "mint", "read"]

TOKEN_TYPE: Final = "urn:acme:legacy-session"
"""The ``subject_token_type`` of the Custom Token Exchange profile whose Action calls `read`, or does as it does."""
LIFETIME: Final = 60
MAX_MORE: Final = 4000
"""Auth0 takes pictures of 4096 characters at most."""
PICTURE: Final = "https://legacy.example/"


def mint(user: str, more: int = 0, *, second_factor: bool = False) -> str:
    """Make a token: JSON and its HMAC-SHA256 by ``LEGACY_SECRET``, both as base64url, with a dot between them.

    Args:
        user: The user's name in the legacy system.
        more: How many bytes the profile is made larger by, to see sessions that do not fit into one cookie.
        second_factor: Whether the user is one whom Auth0 is to ask for a second factor.
    """
    profile = {"user_id": user, "name": user, "picture": PICTURE + "x" * min(more, MAX_MORE)}
    claims = {
        **profile,
        "exp": time.time() + LIFETIME,
        "nonce": secrets.token_urlsafe(8),
        "second_factor": second_factor,
    }
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode())
    return f"{payload.decode()}.{_sign(payload)}"


def read(token: str) -> dict[str, Any] | None:
    """Return what a token vouches for; None when it was not minted here, or has expired."""
    payload, _, signature = token.encode().rpartition(b".")
    if not hmac.compare_digest(signature, _sign(payload).encode()):
        return None
    claims = json.loads(base64.urlsafe_b64decode(payload))
    if claims["exp"] <= time.time():
        return None
    return {name: claims[name] for name in ("user_id", "name", "picture", "second_factor")}


def _sign(payload: bytes) -> str:
    secret = os.environ.get("LEGACY_SECRET")
    if not secret:
        raise ConfigurationError("LEGACY_SECRET is missing: what the legacy system signs with, and the Action knows")
    digest = hmac.digest(secret.encode(), payload, hashlib.sha256)
    return base64.urlsafe_b64encode(digest).decode()
