"""Listening on ports."""

from __future__ import annotations

import ipaddress
import logging
import secrets
from typing import TYPE_CHECKING, Final

from auth0_cte.error import ConfigurationError
from auth0_cte.testing.control.api import ControlApi, ControlParts
from auth0_cte.testing.control.guard import MIN_TOKEN, Guard, is_loopback

if TYPE_CHECKING:
    from auth0_cte.testing.wire.served import ServedTenant
    from auth0_cte.testing.wire.server import TenantServer

__all__ = ["Serving"]

logger: Final = logging.getLogger("auth0_cte.testing")


class Serving:
    """Starts servers, and keeps track of them so that all can be closed.

    Args:
        tenant: The tenant that they serve.
        parts: What the control API works on.
    """

    def __init__(self, tenant: ServedTenant, parts: ControlParts) -> None:
        self._tenant, self._parts = tenant, parts
        self._servers: list[TenantServer] = []

    def serve(
        self,
        *,
        tls: bool = False,
        mutual_tls: bool = False,
        port: int = 0,
        host: str = "127.0.0.1",
        name: str | None = None,
        control: bool = False,
        control_token: str | None = None,
    ) -> TenantServer:
        """Listen on a port; close the server, or use it in a ``with`` statement.

        Args:
            tls: Whether to speak TLS, as ``https://localhost:PORT``; needs ``pip install 'auth0-cte[testing]'``.
            mutual_tls: Likewise, and on a second port with client certificates (``mtls_endpoint_aliases``).
            port: The port; any free one when 0.
            host: The address to listen on. Any other than a loopback address lets other machines in.
            name: The host name by which other programs reach the tenant, e.g. ``tenant.test``.
            control: Whether the control API answers below ``/_tenant/``.
            control_token: The bearer token that it requires, of 16 characters or more. Off loopback there is always
                one; a random one when None, which the server's ``control_token`` tells.

        Raises:
            ConfigurationError: TLS is asked for, and trustme is not installed; or the name or the token is unusable.
            OSError: The port is taken, or the address is not one of this machine.
        """
        from auth0_cte.testing.wire.place import Place
        from auth0_cte.testing.wire.server import TenantServer

        _check(name, control_token)
        if not is_loopback(host):
            logger.warning("the local tenant listens on %s: other machines can reach it", host)
        token = control_token or (None if is_loopback(host) else secrets.token_urlsafe(32))
        guard = Guard(names=_names(host, name), token=token)
        api = ControlApi(self._parts, guard) if control else None
        place = Place(host=host, port=port, name=name or _address(host), control=api)
        server = TenantServer(self._tenant, tls=tls, mutual_tls=mutual_tls, place=place)
        server.control_token = token if control else None
        self._servers.append(server)
        return server

    def close(self) -> None:
        """Close the servers that were started."""
        while self._servers:
            self._servers.pop().close()


def _check(name: str | None, token: str | None) -> None:
    if name is not None and (not name.isascii() or not name or set(name) & set(":/@?#[] ")):
        raise ConfigurationError(f"name must be a host name without scheme and port, not {name!r}")
    if token is not None and (len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable()):
        raise ConfigurationError(f"control_token must have {MIN_TOKEN} printable ASCII characters or more")


def _names(host: str, name: str | None) -> frozenset[str]:
    return frozenset(filter(None, (name, _address(host))))


def _address(host: str) -> str | None:
    """Return an address that clients can use, which the one for all interfaces and the usual one are not."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return None if address.is_unspecified or host == "127.0.0.1" else host
