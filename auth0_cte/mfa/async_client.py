"""`AsyncMfaClient`: `MfaClient` for asyncio and trio, one line a method and no logic of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from auth0_cte.foundation.worker_thread import awaited
from auth0_cte.mfa.client import MfaClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from auth0_cte.foundation.worker_thread import Mirror

__all__ = ["AsyncMfaClient"]

P = ParamSpec("P")
R = TypeVar("R")


class AsyncMfaClient:
    """The mirror of `MfaClient`, to be awaited: ``async_client.mfa``.

    Args:
        sync: The client of second factors that does the work.
        threads: The mirror in whose threads it does.
    """

    def __init__(self, sync: MfaClient, threads: Mirror[Any]) -> None:
        self.sync: MfaClient = sync
        self._threads = threads

    async def offload(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a function as the methods of the mirror are run."""
        return await self._threads.offload(function, *args, **kwargs)

    list_authenticators: Final = awaited(MfaClient.list_authenticators)
    enroll_authenticator: Final = awaited(MfaClient.enroll_authenticator)
    delete_authenticator: Final = awaited(MfaClient.delete_authenticator)
    challenge_authenticator: Final = awaited(MfaClient.challenge_authenticator)
    verify: Final = awaited(MfaClient.verify)
