"""`AsyncServerClient`: `ServerClient` for asyncio and trio, one line a method and no logic of its own."""

from __future__ import annotations

import itertools
from functools import cached_property, partial, wraps
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, Self, TypeVar

import anyio
from anyio.lowlevel import RunVar

from auth0_cte.auth_server.offloading import Offloaded
from auth0_cte.auth_server.server_client import ServerClient
from auth0_cte.error import Auth0CTEError, without_frames
from auth0_cte.exchange.delegation import SessionTransferRedirects

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import TracebackType

__all__ = ["AsyncServerClient"]

P = ParamSpec("P")
R = TypeVar("R")

_numbers: Final = itertools.count()


def _offload(
    method: Callable[Concatenate[ServerClient, P], R],
) -> Callable[Concatenate[AsyncServerClient, P], Coroutine[Any, Any, R]]:
    """Run a method of the synchronous client in a worker thread, which is never abandoned."""

    @wraps(method)
    async def offloaded(self: AsyncServerClient, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await self.offload(method, self.sync, *args, **kwargs)
        except Auth0CTEError as error:
            failure, cause = without_frames(error), error.__cause__
        del args, kwargs  # as in the synchronous client: no frame of a public error shows a token
        raise failure from cause

    return offloaded


class AsyncServerClient(SessionTransferRedirects):
    """The mirror of `ServerClient` for ``async`` code: the same arguments and methods, to be awaited.

    One instance serves any number of event loops, of asyncio or trio, in any number of threads. A domain resolver stays
    a plain function; it is called in a worker thread.

    `build_session_transfer_redirect` alone is not awaited: it sends nothing.

    The constructor takes the arguments of `ServerClient`. Each event loop runs as many calls at the same time as the
    client has connections (``pool_size``), in threads of its own account: anyio's shared limiter is not touched.
    """

    _max_threads: int | None = None

    @classmethod
    def from_sync(cls, client: ServerClient, *, max_threads: int | None = None) -> Self:
        """Mirror a client that is there already.

        Args:
            client: The client; it can go on being used by itself.
            max_threads: Calls that run at the same time in an event loop at most; ``pool_size`` when None.
        """
        self = cls.sharing(client)
        self.sync, self._max_threads = client, max_threads
        return self

    @cached_property
    def sync(self) -> ServerClient:
        """The client that does the work."""
        return ServerClient.sharing(self)

    @cached_property
    def _limiters(self) -> RunVar[anyio.CapacityLimiter]:
        # Of the running event loop, because a limiter that another loop made breaks; anyio tells them by their names.
        return RunVar(f"auth0_cte-{next(_numbers)}")

    @property
    def limiter(self) -> anyio.CapacityLimiter:
        """The running event loop's limiter; its ``total_tokens`` can be set."""
        limiter = self._limiters.get(None)
        if limiter is None:
            limiter = anyio.CapacityLimiter(self._max_threads or self.pool_size)
            self._limiters.set(limiter)
        return limiter

    async def offload(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a function that uses the synchronous client as the client's methods are run: see `limiter`.

        When the caller is cancelled, the cancellation is delivered after the function has returned, or before it began.
        """
        return await Offloaded(partial(function, *args, **kwargs)).run(self.limiter)

    custom_token_exchange: Final = _offload(ServerClient.custom_token_exchange)
    login_with_custom_token_exchange: Final = _offload(ServerClient.login_with_custom_token_exchange)
    get_session: Final = _offload(ServerClient.get_session)
    get_user: Final = _offload(ServerClient.get_user)
    get_access_token: Final = _offload(ServerClient.get_access_token)
    logout: Final = _offload(ServerClient.logout)
    list_mfa_authenticators: Final = _offload(ServerClient.list_mfa_authenticators)
    challenge_mfa: Final = _offload(ServerClient.challenge_mfa)
    complete_mfa: Final = _offload(ServerClient.complete_mfa)
    resume_login: Final = _offload(ServerClient.resume_login)
    request_session_transfer_token: Final = _offload(ServerClient.request_session_transfer_token)
    get_token_on_behalf_of: Final = _offload(ServerClient.get_token_on_behalf_of)
    forget_exchanged_token: Final = _offload(ServerClient.forget_exchanged_token)
    refresh_exchanged_token: Final = _offload(ServerClient.refresh_exchanged_token)
    handle_backchannel_logout: Final = _offload(ServerClient.handle_backchannel_logout)
    close: Final = _offload(ServerClient.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
