"""Clients of a tenant's applications, with the credentials that the tenant knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auth0_cte.auth_server.server_client import ServerClient
    from auth0_cte.testing.registry.applications import Application
    from auth0_cte.testing.state import TenantState

__all__ = ["make_client"]


def make_client(state: TenantState, arguments: Mapping[str, Any]) -> ServerClient:
    """Make a client, adding the application's credentials and the tenant's clock to what is given.

    Args:
        state: What the tenant holds.
        arguments: Arguments of ``ServerClient``, the ``client_id`` among them.
    """
    from auth0_cte.auth_server.server_client import ServerClient

    application = state.applications.get(arguments["client_id"])
    usual = {} if application is None else _credentials(application, arguments)
    return ServerClient(**{"clock": state.clock, **usual, **arguments})


def _credentials(application: Application, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of ``ServerClient`` by which an application authenticates and verifies its ID tokens."""
    from auth0_cte.oauth.client_auth.base import ClientSecretBasic, PublicClient

    secret = given.get("client_secret", application.client_secret)
    usual: dict[str, Any] = {} if "client_assertion_signing_key" in given else {"client_secret": secret}
    if application.auth_method == "none":
        usual["client_auth"] = PublicClient()
    if application.auth_method == "client_secret_basic" and usual.get("client_secret") is not None:
        usual["client_auth"] = ClientSecretBasic(secret)
    if application.id_token_alg == "HS256":
        usual["id_token_algorithms"] = ("HS256",)
    return usual
