"""The client and its mirror; they are importable from here, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from auth0_cte.auth_server.async_server_client import AsyncServerClient
    from auth0_cte.auth_server.server_client import ServerClient

__all__ = ["AsyncServerClient", "ServerClient"]

if not TYPE_CHECKING:  # a type checker that saw it would accept every misspelt name

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        # Late, because integrations that serve no async code do without the mirror.
        from auth0_cte.auth_server.async_server_client import AsyncServerClient
        from auth0_cte.auth_server.server_client import ServerClient

        return ServerClient if name == "ServerClient" else AsyncServerClient
