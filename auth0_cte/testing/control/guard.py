"""Who may use the control API: programs on this machine or with the token, never a web page of somebody else's."""

from __future__ import annotations

import hmac
import ipaddress
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from attrs import field, frozen

from auth0_cte.foundation.strict_json import loads_object
from auth0_cte.testing.wire.messages import RefusalError

if TYPE_CHECKING:
    from typing import Any

    from auth0_cte.testing.wire.messages import TenantRequest

__all__ = ["MIN_TOKEN", "Guard", "is_loopback", "read_body"]

MIN_TOKEN: Final = 16
"""Characters that a token of the user's own choosing has at least."""
_LOCAL: Final = frozenset({"127.0.0.1", "::1", "localhost"})


def is_loopback(host: str) -> bool:
    """Tell whether an address to listen on is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


@frozen(kw_only=True)
class Guard:
    """Lets requests pass.

    Args:
        names: The host names that the server goes by, besides those of the loopback interface.
        token: The bearer token that is required, or None.
    """

    names: frozenset[str] = frozenset()
    token: str | None = field(default=None, repr=False)

    def check(self, request: TenantRequest) -> None:
        """Check where a request comes from.

        Raises:
            RefusalError: Its Host is not a name of the server (DNS rebinding), a web page of another origin sent it, or
                the token is missing or wrong.
        """
        if (_host(request) or "") not in _LOCAL | {name.lower() for name in self.names}:
            raise RefusalError(403, "unknown_host", "Host must be a name of this server; see --name.")
        origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "none")
        if origin not in (None, request.base_url) or site not in ("none", "same-origin"):
            raise RefusalError(403, "foreign_origin", "Web pages of other origins must not use the control API.")
        if self.token is not None and not self._has_token(request):
            challenge = {"www-authenticate": 'Bearer realm="tenant"'}
            raise RefusalError(401, "invalid_token", "The bearer token is missing or wrong.", headers=challenge)

    def _has_token(self, request: TenantRequest) -> bool:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), (self.token or "").encode())


def _host(request: TenantRequest) -> str | None:
    try:
        return urlsplit(request.base_url).hostname
    except ValueError:
        return None


def read_body(request: TenantRequest) -> dict[str, Any]:
    """Read the JSON object of a request.

    Raises:
        RefusalError: It is another type of content, which web pages can send unasked, or not a JSON object.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise RefusalError(415, "unsupported_media_type", "Content-Type must be application/json.")
    try:
        return loads_object(request.body)
    except ValueError as error:
        raise RefusalError(400, "invalid_request", f"The body must be a JSON object: {error}") from None
