"""`AsyncServerClient`: `ServerClient` for asyncio and trio, one line a method and no logic of its own."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, Self, TypeVar

from auth0_cte.auth_server.server_client import ServerClient
from auth0_cte.auth_server.unsupported import unsupported_attribute
from auth0_cte.foundation.boundary import guarded
from auth0_cte.foundation.concurrency import once
from auth0_cte.foundation.validation import is_asynchronous
from auth0_cte.foundation.worker_thread import WorkerThreads, awaited, in_event_loop

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    import anyio

    from auth0_cte.auth_server.settings import ClientSettings
    from auth0_cte.exchange.cache import ExchangeCacheBackend
    from auth0_cte.mfa.async_client import AsyncMfaClient
    from auth0_cte.oauth.dpop import DPoPKey

__all__ = ["AsyncServerClient"]

P = ParamSpec("P")
R = TypeVar("R")


def _constructor(
    like: Callable[Concatenate[ServerClient, P], None],
) -> Callable[[Callable[..., None]], Callable[Concatenate[AsyncServerClient, P], None]]:
    """Give the constructor of the mirror the signature of the client's."""

    def decorate(construct: Callable[..., None]) -> Callable[Concatenate[AsyncServerClient, P], None]:
        construct.__wrapped__ = like  # type: ignore[attr-defined]  # where inspect.signature looks
        return construct

    return decorate


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    """Make plain functions of async ones: a worker thread calls them, and has them awaited in its caller's loop."""
    given = {name: options[name] for name in ("domain", "reexchange") if is_asynchronous(options.get(name))}
    return options | {name: in_event_loop(function) for name, function in given.items()}


def _at_once(method: Callable[Concatenate[ServerClient, P], R]) -> Callable[Concatenate[AsyncServerClient, P], R]:
    """Make a method that sends nothing one of the mirror, not to be awaited."""

    @wraps(method)
    @guarded()
    def at_once(self: AsyncServerClient, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return method(self.sync, *args, **kwargs)

    return at_once


class AsyncServerClient:
    """The mirror of `ServerClient` for ``async`` code: the same arguments and methods, to be awaited.

    One instance serves any number of event loops, of asyncio or trio, in any number of threads. The domain resolver and
    ``reexchange`` may be ``async`` functions, awaited in the event loop of the call, or plain ones, called in a worker
    thread.

    `build_session_transfer_redirect` alone is not awaited: it sends nothing.

    The constructor takes the arguments of `ServerClient`. Each event loop runs as many calls at the same time as the
    client has connections (``pool_size``), in threads of its own account: anyio's shared limiter is not touched.

    Attributes:
        sync: The client that does the work.
    """

    @_constructor(ServerClient.__init__)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args:
            args = (_plain({"domain": args[0]})["domain"], *args[1:])
        self._wrap(ServerClient(*args, **_plain(kwargs)))

    def _wrap(self, client: ServerClient, max_threads: int | None = None) -> None:
        self.sync: ServerClient = client
        self._threads = WorkerThreads(max_threads or client.settings.pool_size)

    @classmethod
    def from_sync(cls, client: ServerClient, *, max_threads: int | None = None) -> Self:
        """Mirror a client that is there already.

        Args:
            client: The client; it can go on being used by itself.
            max_threads: Calls that run at the same time in an event loop at most; ``pool_size`` when None.
        """
        self = cls.__new__(cls)
        self._wrap(client, max_threads)
        return self

    @classmethod
    def from_env(cls, **options: Any) -> Self:
        """Make a client of the ``AUTH0_*`` environment variables; see `ServerClient.from_env`.

        Args:
            **options: Arguments of the constructor, which win over the environment.

        Raises:
            ConfigurationError: Variables are missing; the message lists all of them.
        """
        return cls.from_sync(ServerClient.from_env(**_plain(options)))

    @property
    def limiter(self) -> anyio.CapacityLimiter:
        """The running event loop's limiter; its ``total_tokens`` can be set."""
        return self._threads.limiter

    async def offload(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a function that uses the synchronous client as the client's methods are run: see `limiter`.

        When the caller is cancelled, the cancellation is delivered after the function has returned, or before it began.
        """
        return await self._threads.run(function, *args, **kwargs)

    @once
    def mfa(self) -> AsyncMfaClient:
        """The second factors of users: list, challenge and verify them."""
        from auth0_cte.mfa.async_client import AsyncMfaClient

        return AsyncMfaClient(self.sync.mfa, self)

    @property
    def settings(self) -> ClientSettings:
        """What the client was constructed with."""
        return self.sync.settings

    @property
    def pool_size(self) -> int:
        """Connections opened at most."""
        return self.sync.pool_size

    @property
    def exchange_cache(self) -> ExchangeCacheBackend | None:
        """Where exchanged tokens are kept to be used again, or None."""
        return self.sync.exchange_cache

    @property
    def dpop(self) -> DPoPKey | None:
        """The DPoP key, with the client's clock, to sign proofs for APIs; None without one."""
        return self.sync.dpop

    @property
    def clock(self) -> Callable[[], float]:
        """The time in Unix seconds, by which ``expires_at`` is told."""
        return self.sync.clock

    @property
    def dpop_thumbprint(self) -> str | None:
        """The thumbprint of the DPoP key (RFC 7638): the ``cnf.jkt`` of bound access tokens; None without a key."""
        return self.sync.dpop_thumbprint

    custom_token_exchange: Final = awaited(ServerClient.custom_token_exchange)
    login_with_custom_token_exchange: Final = awaited(ServerClient.login_with_custom_token_exchange)
    resume_login: Final = awaited(ServerClient.resume_login)
    get_session: Final = awaited(ServerClient.get_session)
    get_user: Final = awaited(ServerClient.get_user)
    get_access_token: Final = awaited(ServerClient.get_access_token)
    get_access_token_for_connection: Final = awaited(ServerClient.get_access_token_for_connection)
    logout: Final = awaited(ServerClient.logout)
    revoke_refresh_token: Final = awaited(ServerClient.revoke_refresh_token)
    handle_backchannel_logout: Final = awaited(ServerClient.handle_backchannel_logout)
    list_mfa_authenticators: Final = awaited(ServerClient.list_mfa_authenticators)
    challenge_mfa: Final = awaited(ServerClient.challenge_mfa)
    complete_mfa: Final = awaited(ServerClient.complete_mfa)
    request_session_transfer_token: Final = awaited(ServerClient.request_session_transfer_token)
    build_session_transfer_redirect: Final = _at_once(ServerClient.build_session_transfer_redirect)
    get_token_on_behalf_of: Final = awaited(ServerClient.get_token_on_behalf_of)
    refresh_exchanged_token: Final = awaited(ServerClient.refresh_exchanged_token)
    forget_exchanged_token: Final = awaited(ServerClient.forget_exchanged_token)
    close: Final = awaited(ServerClient.close)

    if not TYPE_CHECKING:
        __getattr__ = unsupported_attribute

    def __repr__(self) -> str:
        return repr(self.sync).replace("ServerClient", type(self).__name__, 1)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
