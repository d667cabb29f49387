"""The client's methods for one request: the short forms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from starlette.requests import HTTPConnection  # noqa: TC002 - FastAPI reads the annotations of dependencies

from auth0_cte.auth_types import Session  # noqa: TC001
from auth0_cte.starlette.middleware import state_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auth0_cte.auth_server.async_server_client import AsyncServerClient
    from auth0_cte.auth_types import (
        CustomTokenExchangeOptions,
        LoginWithCustomTokenExchangeResult,
        TokenExchangeResponse,
    )
    from auth0_cte.auth_types.option_dicts import (
        AccessTokenKeywords,
        ConnectionTokenKeywords,
        ExchangeOptionsDict,
        LogoutKeywords,
        ResumeLoginKeywords,
    )

__all__ = [
    "client_of",
    "current_session",
    "current_user",
    "custom_token_exchange",
    "get_access_token",
    "get_access_token_for_connection",
    "login",
    "logout",
    "resume_login",
    "revoke_refresh_token",
    "store_options",
]


def client_of(request: HTTPConnection) -> AsyncServerClient:
    """Return the client that the middleware was given.

    Raises:
        ConfigurationError: The middleware is not installed.
    """
    return state_of(request).client


def store_options(request: HTTPConnection) -> dict[str, Any]:
    """Return the ``store_options`` of a request, for any method of the client; no response is needed.

    Args:
        request: The request, or a websocket.

    Raises:
        ConfigurationError: `Auth0CTEMiddleware` is not installed: nothing would set the cookies.
    """
    return {"request": request, "carrier": state_of(request).carrier}


async def custom_token_exchange(
    request: HTTPConnection,
    options: CustomTokenExchangeOptions | Mapping[str, Any] | None = None,
    *,
    use_cache: bool = True,
    **named: Unpack[ExchangeOptionsDict],
) -> TokenExchangeResponse:
    """Exchange a token, as `ServerClient.custom_token_exchange` does."""
    client = client_of(request)
    return await client.custom_token_exchange(options, store_options(request), use_cache=use_cache, **named)


async def login(
    request: HTTPConnection,
    options: CustomTokenExchangeOptions | Mapping[str, Any] | None = None,
    **named: Unpack[ExchangeOptionsDict],
) -> LoginWithCustomTokenExchangeResult:
    """Log the user in, as `ServerClient.login_with_custom_token_exchange` does."""
    return await client_of(request).login_with_custom_token_exchange(options, store_options(request), **named)


async def resume_login(
    request: HTTPConnection, pending_login: str, **answer: Unpack[ResumeLoginKeywords]
) -> LoginWithCustomTokenExchangeResult:
    """Finish a login that required a second factor, as `ServerClient.resume_login` does.

    Args:
        request: The request.
        pending_login: From the `MfaRequiredError`.
        **answer: ``otp``, ``oob_code`` and ``binding_code``, or ``recovery_code``.
    """
    return await client_of(request).resume_login(pending_login, store_options(request), **answer)


async def get_access_token(
    request: HTTPConnection,
    audience: str | None = None,
    scope: str | None = None,
    **options: Unpack[AccessTokenKeywords],
) -> str:
    """Return a valid access token of the session, as `ServerClient.get_access_token` does."""
    client, found = client_of(request), store_options(request)
    return await client.get_access_token(store_options=found, audience=audience, scope=scope, **options)


async def get_access_token_for_connection(
    request: HTTPConnection, options: Mapping[str, Any] | None = None, **more: Unpack[ConnectionTokenKeywords]
) -> str:
    """Return a valid access token of another provider, as `ServerClient.get_access_token_for_connection` does."""
    return await client_of(request).get_access_token_for_connection(options, store_options(request), **more)


async def revoke_refresh_token(request: HTTPConnection, refresh_token: str | None = None) -> None:
    """Revoke the session's refresh token, or another one, as `ServerClient.revoke_refresh_token` does."""
    await client_of(request).revoke_refresh_token(refresh_token, store_options(request))


async def logout(request: HTTPConnection, return_to: str | None = None, **options: Unpack[LogoutKeywords]) -> str:
    """End the session, and return the URL that ends it at Auth0, to redirect the browser to.

    Args:
        request: The request.
        return_to: Where Auth0 sends the browser then; an absolute URL that the application allows.
        **options: Further arguments of `ServerClient.logout`.
    """
    client = client_of(request)
    return await client.logout(store_options=store_options(request), return_to=return_to, **options)


async def current_session(request: HTTPConnection) -> Session | None:
    """Return the session of a request, or None: a dependency of FastAPI, or a function to await."""
    return await client_of(request).get_session(store_options(request))


async def current_user(request: HTTPConnection) -> Mapping[str, Any] | None:
    """Return the verified claims of the user, or None: a dependency of FastAPI, or a function to await."""
    session = await current_session(request)
    return None if session is None else session.user
