"""Token type identifiers (RFC 8693 section 3) and a lint for types of one's own."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

__all__ = [
    "ACCESS_TOKEN",
    "FEDERATED_CONNECTION_ACCESS_TOKEN",
    "ID_TOKEN",
    "JWT",
    "REFRESH_TOKEN",
    "SAML1",
    "SAML2",
    "SESSION_TRANSFER_TOKEN",
    "lint_token_type",
]

ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"
"""An OAuth 2.0 access token."""
REFRESH_TOKEN: Final = "urn:ietf:params:oauth:token-type:refresh_token"
"""An OAuth 2.0 refresh token."""
ID_TOKEN: Final = "urn:ietf:params:oauth:token-type:id_token"
"""An OpenID Connect ID token."""
JWT: Final = "urn:ietf:params:oauth:token-type:jwt"
"""A JSON Web Token of any purpose."""
SAML1: Final = "urn:ietf:params:oauth:token-type:saml1"
"""A base64url-encoded SAML 1.1 assertion."""
SAML2: Final = "urn:ietf:params:oauth:token-type:saml2"
"""A base64url-encoded SAML 2.0 assertion."""
SESSION_TRANSFER_TOKEN: Final = "urn:auth0:params:oauth:token-type:session_transfer_token"
"""Auth0's one-shot token that carries a session to another application."""
FEDERATED_CONNECTION_ACCESS_TOKEN: Final = "http://auth0.com/oauth/token-type/federated-connection-access-token"
"""The access token of another provider, from Auth0's Token Vault."""

# Auth0, "Configure Custom Token Exchange": profile types live outside of these namespaces, in 8 to 100 characters.
_RESERVED: Final = r"(?i)https?://(?:auth0|okta)\.com(?:[/:?#]|$)|urn:(?:ietf|auth0|okta)(?::|$)"
MAX_TYPE_LENGTH: Final = 100
_ABSOLUTE_URI: Final = r"[A-Za-z][A-Za-z0-9+.-]*:[^\s]+"


@lru_cache(maxsize=256)
def lint_token_type(token_type: str) -> str | None:
    """Say what is odd about a subject token type, or None when nothing is.

    A finding is advice, never a refusal: the documented delegation example uses a reserved type.

    Args:
        token_type: The type identifier as it would be sent.

    Returns:
        A sentence for a log, or None.
    """
    if not re.fullmatch(_ABSOLUTE_URI, token_type):
        return f"{token_type!r} is not an absolute URI; Auth0 maps only URIs to Custom Token Exchange profiles."
    if token_type == ACCESS_TOKEN:
        return f"{token_type!r} is Auth0's On-Behalf-Of type, which no profile of yours can have."
    if re.match(_RESERVED, token_type):
        return f"{token_type!r} is in a namespace that Auth0 reserves, so no profile of yours can have it."
    if not 8 <= len(token_type) <= MAX_TYPE_LENGTH:
        return f"{token_type!r} has {len(token_type)} characters; Auth0 allows 8 to 100 in a profile's type."
    return None
