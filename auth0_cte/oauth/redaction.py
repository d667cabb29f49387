"""What must not come back in a message, should a server or a proxy echo what it was sent, in each spelling."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, quote_plus, unquote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from auth0_cte.oauth.client_auth.base import Form

__all__ = ["Redactor"]

MIN_SECRET_LENGTH: Final = 6
"""A shorter token is not a secret, and to blank it out of every word would leave no message."""
REDACTED: Final = "[redacted]"

_SECRETS: Final = frozenset(
    {
        *("subject_token", "actor_token", "refresh_token", "token", "client_secret", "client_assertion"),
        *("mfa_token", "otp", "oob_code", "binding_code", "recovery_code", "session_transfer_token"),
    }
)
# As html.escape does, whose module loads 2,231 entities, each time that this package is imported.
_HTML: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"})
_SECRET_HEADERS: Final = frozenset({"authorization", "dpop"})


class Redactor:
    """Blanks out the secrets of one request.

    Args:
        form: The parameters that were sent.
        headers: The headers that were sent.
    """

    def __init__(self, form: Form, headers: Mapping[str, str]) -> None:
        sent = [value for name, value in form if name in _SECRETS]
        for name, value in headers.items():
            if name.lower() in _SECRET_HEADERS:
                sent += _credentials(value)
        spellings = {each for secret in sent if len(secret) >= MIN_SECRET_LENGTH for each in _spellings(secret)}
        # The longest first: a secret may be a part of another one's spelling.
        self._pattern = "|".join(re.escape(each) for each in sorted(spellings, key=len, reverse=True))

    def __call__(self, text: str) -> str:
        """Return a text without the secrets."""
        return re.sub(self._pattern, REDACTED, text) if self._pattern else text


def _credentials(value: str) -> Iterator[str]:
    """Return the secrets of a header: for HTTP Basic also what it encodes (RFC 6749 section 2.3.1)."""
    scheme, _, credentials = value.partition(" ")
    yield credentials or scheme
    if scheme.lower() == "basic":
        try:
            pair = base64.b64decode(credentials, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return
        secret = pair.partition(":")[2]
        yield from (pair, secret, unquote_plus(secret))


def _spellings(secret: str) -> Iterable[str]:
    """Return a secret as it is, and as forms, JSON and HTML spell it."""
    encoded = {quote_plus(secret), quote(secret, safe=""), quote(secret)}
    lower = {re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), each) for each in encoded}
    quoted = {json.dumps(secret, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
    slashed = {each.replace("/", "\\/") for each in quoted}
    return {secret, *encoded, *lower, *quoted, *slashed, secret.translate(_HTML)}
