"""``request.auth0``: the client's methods for one request, and their asynchronous counterparts."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack, ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final, Unpack

from django.utils.asyncio import async_unsafe

from auth0_cte.django import users
from auth0_cte.django.clients import get_async_client, get_client
from auth0_cte.error import ConfigurationError, RevocationError, SessionError
from auth0_cte.session.web_carrier import StagedCarrier

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from django.http import HttpRequest, HttpResponseBase

    from auth0_cte.auth_server.async_server_client import AsyncServerClient
    from auth0_cte.auth_server.server_client import ServerClient
    from auth0_cte.auth_types import (
        CustomTokenExchangeOptions,
        LoginWithCustomTokenExchangeResult,
        Session,
        TokenExchangeResponse,
    )
    from auth0_cte.auth_types.option_dicts import (
        AccessTokenKeywords,
        ConnectionTokenKeywords,
        ExchangeOptionsDict,
        LogoutKeywords,
        ResumeLoginKeywords,
    )

__all__ = ["RequestAuth0", "auth0_of"]


logger: Final = logging.getLogger("auth0_cte")

USER_REFUSED: Final = "USER_REFUSED"
"""The code by which the client tells that `users.Admission` refused."""

_refuse_in_event_loop: Final[Any] = async_unsafe(
    "this would block the event loop: in async code await the method of request.auth0 that begins with a, such as "
    "request.auth0.aget_session()"
)(lambda: None)


class RequestAuth0:
    """What ``request.auth0`` is.

    Nothing is loaded before it is asked for. Cookies go out with whatever response leaves. The plain methods and
    properties are for synchronous code: in an event loop they raise `SynchronousOnlyOperation` rather than block it.

    Args:
        request: The request.
    """

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._carrier = StagedCarrier.of(request)
        self._carrier.admit = users.Admission(users.is_welcome)  # for logins by the client itself
        self._found: tuple[Mapping[str, str], Session | None] | None = None

    @property
    def client(self) -> ServerClient:
        """The project's client."""
        return get_client()

    @property
    def async_client(self) -> AsyncServerClient:
        """The mirror of `client`."""
        return get_async_client()

    @property
    def store_options(self) -> dict[str, Any]:
        """The ``store_options`` of this request, for any method of the client."""
        return {"request": self._request, "carrier": self._carrier}

    @property
    def session(self) -> Session | None:
        """The session, or None."""
        return self.get_session()

    @property
    def user(self) -> Mapping[str, Any] | None:
        """The verified claims of the user, or None."""
        return self.get_user()

    def get_session(self) -> Session | None:
        """Return the session, or None; it is loaded once."""
        found = self._remembered()
        if found is None:
            _refuse_in_event_loop()
            found = self._remember(self.client.get_session(self.store_options))
        return found[1]

    async def aget_session(self) -> Session | None:
        """Return the session, or None; it is loaded once."""
        found = self._remembered()
        if found is None:
            found = self._remember(await self.async_client.get_session(self.store_options))
        return found[1]

    def get_user(self) -> Mapping[str, Any] | None:
        """Return the verified claims of the user, or None."""
        session = self.get_session()
        return None if session is None else session.user

    async def aget_user(self) -> Mapping[str, Any] | None:
        """Return the verified claims of the user, or None."""
        session = await self.aget_session()
        return None if session is None else session.user

    def get_access_token(
        self, audience: str | None = None, scope: str | None = None, **options: Unpack[AccessTokenKeywords]
    ) -> str:
        """Return a valid access token of the session, as `ServerClient.get_access_token` does."""
        _refuse_in_event_loop()
        self._found = None  # a refresh changes the session
        found = self.store_options
        return self.client.get_access_token(store_options=found, audience=audience, scope=scope, **options)

    async def aget_access_token(
        self, audience: str | None = None, scope: str | None = None, **options: Unpack[AccessTokenKeywords]
    ) -> str:
        """Return a valid access token of the session, as `ServerClient.get_access_token` does."""
        self._found = None
        found = self.store_options
        return await self.async_client.get_access_token(store_options=found, audience=audience, scope=scope, **options)

    def custom_token_exchange(
        self,
        options: CustomTokenExchangeOptions | Mapping[str, Any] | None = None,
        *,
        use_cache: bool = True,
        **named: Unpack[ExchangeOptionsDict],
    ) -> TokenExchangeResponse:
        """Exchange a token, as `ServerClient.custom_token_exchange` does."""
        _refuse_in_event_loop()
        return self.client.custom_token_exchange(options, self.store_options, use_cache=use_cache, **named)

    async def acustom_token_exchange(
        self,
        options: CustomTokenExchangeOptions | Mapping[str, Any] | None = None,
        *,
        use_cache: bool = True,
        **named: Unpack[ExchangeOptionsDict],
    ) -> TokenExchangeResponse:
        """Exchange a token, as `ServerClient.custom_token_exchange` does."""
        return await self.async_client.custom_token_exchange(options, self.store_options, use_cache=use_cache, **named)

    def login(
        self,
        options: CustomTokenExchangeOptions | Mapping[str, Any] | None = None,
        **named: Unpack[ExchangeOptionsDict],
    ) -> LoginWithCustomTokenExchangeResult:
        """Log the user in, as `ServerClient.login_with_custom_token_exchange` does; ``request.user`` as well.

        Raises:
            CustomTokenExchangeError: The exchange failed.
            PermissionDenied: `Auth0Backend` is configured, and refused the user; nobody is logged in.
            ConfigurationError: `Auth0Backend` is configured without Django's middleware for sessions.
        """
        return self._admit(lambda: self.client.login_with_custom_token_exchange(options, self.store_options, **named))

    async def alogin(
        self,
        options: CustomTokenExchangeOptions | Mapping[str, Any] | None = None,
        **named: Unpack[ExchangeOptionsDict],
    ) -> LoginWithCustomTokenExchangeResult:
        """Log the user in, as `login` does."""
        return await self._aadmit(
            lambda: self.async_client.login_with_custom_token_exchange(options, self.store_options, **named)
        )

    def resume_login(
        self, pending_login: str, **answer: Unpack[ResumeLoginKeywords]
    ) -> LoginWithCustomTokenExchangeResult:
        """Finish a login that required a second factor, as `ServerClient.resume_login` does.

        Args:
            pending_login: From the `MfaRequiredError`.
            **answer: ``otp``, ``oob_code`` and ``binding_code``, or ``recovery_code``.
        """
        return self._admit(lambda: self.client.resume_login(pending_login, self.store_options, **answer))

    async def aresume_login(
        self, pending_login: str, **answer: Unpack[ResumeLoginKeywords]
    ) -> LoginWithCustomTokenExchangeResult:
        """Finish a login that required a second factor, as `resume_login` does."""
        return await self._aadmit(lambda: self.async_client.resume_login(pending_login, self.store_options, **answer))

    def get_access_token_for_connection(
        self, options: Mapping[str, Any] | None = None, **more: Unpack[ConnectionTokenKeywords]
    ) -> str:
        """Return a valid access token of another provider, as `ServerClient.get_access_token_for_connection` does."""
        _refuse_in_event_loop()
        self._found = None
        return self.client.get_access_token_for_connection(options, self.store_options, **more)

    async def aget_access_token_for_connection(
        self, options: Mapping[str, Any] | None = None, **more: Unpack[ConnectionTokenKeywords]
    ) -> str:
        """Return a valid access token of another provider, as `ServerClient.get_access_token_for_connection` does."""
        self._found = None
        return await self.async_client.get_access_token_for_connection(options, self.store_options, **more)

    def revoke_refresh_token(self, refresh_token: str | None = None) -> None:
        """Revoke the session's refresh token, or another one, as `ServerClient.revoke_refresh_token` does."""
        _refuse_in_event_loop()
        self._found = None
        self.client.revoke_refresh_token(refresh_token, self.store_options)

    async def arevoke_refresh_token(self, refresh_token: str | None = None) -> None:
        """Revoke the session's refresh token, or another one, as `ServerClient.revoke_refresh_token` does."""
        self._found = None
        await self.async_client.revoke_refresh_token(refresh_token, self.store_options)

    def logout(self, return_to: str | None = None, **options: Unpack[LogoutKeywords]) -> str:
        """End the session, and what `Auth0Backend` made of it; return the URL to redirect the browser to.

        Args:
            return_to: Where Auth0 sends the browser then; an absolute URL that the application allows.
            **options: Further arguments of `ServerClient.logout`.
        """
        _refuse_in_event_loop()
        user = users.current(self._request)
        try:
            url = self.client.logout(store_options=self.store_options, return_to=return_to, **options)
        except RevocationError:
            users.log_out(self._request, user)
            raise
        users.log_out(self._request, user)
        return url

    async def alogout(self, return_to: str | None = None, **options: Unpack[LogoutKeywords]) -> str:
        """End the session, as `logout` does."""
        user = await users.acurrent(self._request)
        try:
            url = await self.async_client.logout(store_options=self.store_options, return_to=return_to, **options)
        except RevocationError:
            await users.alog_out(self._request, user)
            raise
        await users.alog_out(self._request, user)
        return url

    def finish(self, response: HttpResponseBase) -> HttpResponseBase:
        """Set the cookies on the response that leaves; for the middleware."""
        self._carrier.flush(response)
        return response

    def _remembered(self) -> tuple[Mapping[str, str], Session | None] | None:
        # Whatever was logged in or out since, by whichever way, has changed the cookies. A response that has begun may
        # go on for hours.
        if self._found is not None and (self._carrier.was_sent or self._found[0] != self._carrier.cookies()):
            self._found = None
        return self._found

    def _remember(self, session: Session | None) -> tuple[Mapping[str, str], Session | None]:
        self._found = dict(self._carrier.cookies()), session
        return self._found

    def _admit(self, log_in: Callable[[], LoginWithCustomTokenExchangeResult]) -> LoginWithCustomTokenExchangeResult:
        """Log in at the client, if Django takes the user, and then at Django; if either fails, at none."""
        _refuse_in_event_loop()
        users.require_middleware(self._request)
        admission = users.admission(self._request)
        try:
            with self._asking(admission):
                result = log_in()
        except SessionError as error:
            if error.code != USER_REFUSED:
                raise
        else:
            with ExitStack() as undo:
                undo.callback(self._withdraw)
                users.log_in(self._request, admission.user, result.session)
                undo.pop_all()
            return result
        self._withdraw()
        raise admission.error

    async def _aadmit(
        self, log_in: Callable[[], Awaitable[LoginWithCustomTokenExchangeResult]]
    ) -> LoginWithCustomTokenExchangeResult:
        """Log in at the client and at Django, as `_admit` does."""
        users.require_middleware(self._request)
        admission = users.async_admission(self._request)
        try:
            with self._asking(admission):
                result = await log_in()
        except SessionError as error:
            if error.code != USER_REFUSED:
                raise
        else:
            async with AsyncExitStack() as undo:
                undo.push_async_callback(self._awithdraw)
                await users.alog_in(self._request, admission.user, result.session)
                undo.pop_all()
            return result
        await self._awithdraw()
        raise admission.error

    @contextmanager
    def _asking(self, admission: users.Admission) -> Iterator[None]:
        usual, self._carrier.admit = self._carrier.admit, admission
        try:
            yield
        finally:
            self._carrier.admit = usual

    def _withdraw(self) -> None:
        with ExitStack() as steps:
            # Each is tried, whatever becomes of the others; without its cookie a record is good for nothing.
            steps.callback(users.log_out, self._request, users.nobody())
            steps.callback(self._carrier.withdraw)
            with _noting_failure():
                self.client.logout(store_options=self.store_options)

    async def _awithdraw(self) -> None:
        async with AsyncExitStack() as steps:
            steps.push_async_callback(users.alog_out, self._request, users.nobody())
            steps.callback(self._carrier.withdraw)
            with _noting_failure():
                await self.async_client.logout(store_options=self.store_options)


@contextmanager
def _noting_failure() -> Iterator[None]:
    try:
        yield
    except SessionError as error:
        logger.warning("the record of a refused login could not be deleted; nobody has its cookie: %s", error)


def auth0_of(request: HttpRequest) -> RequestAuth0:
    """Return ``request.auth0``.

    Raises:
        ConfigurationError: The middleware is not installed.
    """
    auth0: RequestAuth0 | None = getattr(request, "auth0", None)
    if auth0 is None:
        raise ConfigurationError(
            'the middleware is not installed: add "auth0_cte.django.middleware.Auth0CTEMiddleware" to MIDDLEWARE'
        )
    return auth0
