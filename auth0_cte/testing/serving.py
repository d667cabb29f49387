"""Listening on ports."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from auth0_cte.testing.wire.served import ServedTenant
    from auth0_cte.testing.wire.server import TenantServer

__all__ = ["Serving"]


class Serving:
    """Starts servers, and keeps track of them so that all can be closed.

    Args:
        tenant: The tenant that they serve.
    """

    def __init__(self, tenant: ServedTenant) -> None:
        self._tenant = tenant
        self._servers: list[TenantServer] = []

    def serve(self, *, tls: bool = False, mutual_tls: bool = False) -> TenantServer:
        """Listen on a loopback port; close the server, or use it in a ``with`` statement.

        Args:
            tls: Whether to speak TLS, as ``https://localhost:PORT``; needs ``pip install 'auth0-cte[testing]'``.
            mutual_tls: Likewise, and on a second port with client certificates (``mtls_endpoint_aliases``).

        Raises:
            ConfigurationError: TLS is asked for, and trustme is not installed.
        """
        from auth0_cte.testing.wire.server import TenantServer

        server = TenantServer(self._tenant, tls=tls, mutual_tls=mutual_tls)
        self._servers.append(server)
        return server

    def close(self) -> None:
        """Close the servers that were started."""
        while self._servers:
            self._servers.pop().close()
