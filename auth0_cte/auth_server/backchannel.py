"""The answer to a back-channel logout request, for all integrations."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from auth0_cte.error import ConfigurationError, DiscoveryError, IdTokenError, SessionError, TransportError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auth0_cte.auth_server.server_client import ServerClient

__all__ = ["answer_logout_request"]

logger: Final = logging.getLogger("auth0_cte")


def answer_logout_request(client: ServerClient, logout_token: object, store_options: Mapping[str, Any]) -> int:
    """Carry a back-channel logout request out, and return the HTTP status to answer it with.

    200 when it was carried out, 400 when the token is not acceptable, 501 when the store cannot find sessions, and 503
    when it or Auth0 cannot be reached, or no domain found (OpenID Connect Back-Channel Logout 1.0, section 2.8).
    """
    try:
        client.handle_backchannel_logout(logout_token if isinstance(logout_token, str) else "", store_options)
    except IdTokenError as error:
        logger.warning("a logout token was refused: %s", error)
        return 503 if error.is_retryable else 400
    except (SessionError, TransportError, DiscoveryError, ConfigurationError) as error:
        logger.warning("a back-channel logout could not be carried out: %s", error)
        return 501 if error.code == "UNSUPPORTED_BY_STORE" else 503
    return 200
