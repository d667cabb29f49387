"""`AsyncServerClient` for tests that do not await: what runs through `ServerClient` runs through its mirror as well."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from typing import Any, ClassVar, Final, Self, cast

from anyio.from_thread import BlockingPortal, start_blocking_portal

from auth0_cte import AsyncServerClient, ServerClient
from auth0_cte.mfa.async_client import AsyncMfaClient

BACKENDS: Final = ("asyncio", "trio")


class Awaited:
    """Makes a mirror and awaits its methods in the event loop of a portal; everything else is the mirror's own."""

    portal: ClassVar[BlockingPortal]

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        self._mirror: Any = AsyncServerClient(*arguments, **settings)

    @classmethod
    def from_env(cls, **settings: Any) -> Self:
        return cls.of(AsyncServerClient.from_env(**settings))

    @classmethod
    def of(cls, mirror: AsyncServerClient | AsyncMfaClient) -> Self:
        self = cls.__new__(cls)
        self._mirror = mirror
        return self

    def __repr__(self) -> str:
        return repr(self._mirror)

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._mirror, name)
        if isinstance(member, AsyncMfaClient):
            return self.of(member)
        return self._awaiting(member) if inspect.iscoroutinefunction(member) else member

    def __enter__(self) -> Self:
        self._awaiting(self._mirror.__aenter__)()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._awaiting(self._mirror.__aexit__)(*exception)

    def _awaiting(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def call(*arguments: Any, **settings: Any) -> Any:
            return self.portal.call(partial(method, *arguments, **settings))

        return call


@contextmanager
def awaiting(backend: str) -> Iterator[type[ServerClient]]:
    """Run an event loop in a thread, and give a class that is used as `ServerClient` is and awaits its mirror there.

    Args:
        backend: ``"asyncio"`` or ``"trio"``.
    """
    with start_blocking_portal(backend) as portal:
        yield cast("type[ServerClient]", type(f"Awaited[{backend}]", (Awaited,), {"portal": portal}))


def mirrored(new_client: type[ServerClient], client: ServerClient) -> ServerClient:
    """Return the client itself for ``ServerClient``, or else what awaits its mirror.

    Args:
        new_client: The fixture of this name.
        client: A client that somebody else has made.
    """
    if not issubclass(new_client, Awaited):
        return client
    return new_client.of(AsyncServerClient.from_sync(client))
