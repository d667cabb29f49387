"""What the ways in need of the tenant behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auth0_cte.auth_server.server_client import ServerClient
    from auth0_cte.testing.wire.messages import Headers, Reply, Stream, TenantRequest

__all__ = ["AnswersControl", "AnswersRequests", "ServedTenant"]


class AnswersRequests(Protocol):
    """Something that answers requests."""

    def handle(
        self,
        *,
        method: str,
        base_url: str,
        target: str,
        headers: Headers,
        body: str,
        ip: str,
        client_certificate: bytes | None = None,
    ) -> Reply:
        """Answer a request, whichever way it came."""
        ...


class ServedTenant(AnswersRequests, Protocol):
    """A tenant that can be served on a port."""

    @property
    def client_authorities(self) -> set[str]:
        """The certificates (PEM) that clients' ones are trusted by in the TLS handshake."""
        ...

    @property
    def mtls_aliases(self) -> dict[str, str]:
        """The base URLs for clients with certificates, by the usual ones."""
        ...

    def make_client(self, arguments: Mapping[str, Any]) -> ServerClient:
        """Make a client, adding credentials and the clock to what is given."""
        ...


class AnswersControl(Protocol):
    """Something that answers the requests of the control API."""

    def answer(self, request: TenantRequest) -> Reply | Stream:
        """Answer a request below ``/_tenant/``."""
        ...
