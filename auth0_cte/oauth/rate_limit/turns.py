"""Between the token endpoint and a rate limit: taking a turn for each attempt, and learning from each reply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from auth0_cte.error import CustomTokenExchangeError, RateLimitError
from auth0_cte.oauth.rate_headers import read_rate_limit

if TYPE_CHECKING:
    from collections.abc import Callable

    from auth0_cte.error import Auth0CTEError
    from auth0_cte.foundation.deadline import Deadline
    from auth0_cte.oauth.rate_limit.limiter import RateLimit
    from auth0_cte.transport.client import Reply

__all__ = ["NO_TURNS", "LimitedTurns", "Turns"]


class Turns:
    """The turns of one call; of a call that no limit concerns."""

    def take(self, deadline: Deadline, announce: Callable[[float], None], failure: Auth0CTEError | None) -> None:
        """Wait for a turn before an attempt.

        Args:
            deadline: The end of the call.
            announce: Called with the seconds of the wait before it begins.
            failure: How the attempt before failed, or None; it is raised when there is no further turn, because it
                tells more about the call than that.

        Raises:
            RateLimitError: There is no turn within the deadline.
            CustomTokenExchangeError: The turns are kept in Redis, which cannot be used.
        """

    def answered(self, reply: Reply) -> None:
        """Learn from a reply to the last attempt."""

    def refused(self, error: Auth0CTEError) -> None:
        """Learn from the failure of the last attempt."""


NO_TURNS: Final = Turns()


class LimitedTurns(Turns):
    """The turns of one call under a limit.

    Args:
        limit: The limit.
        tenant: The issuer that the call goes to.
        clock: The time in Unix seconds.
    """

    def __init__(self, limit: RateLimit, tenant: str, clock: Callable[[], float]) -> None:
        self._limit, self._tenant, self._clock = limit, tenant, clock
        self._since = 0.0

    def take(self, deadline: Deadline, announce: Callable[[float], None], failure: Auth0CTEError | None) -> None:
        """Wait for a turn."""
        try:
            self._since = self._limit.take(self._tenant, deadline, announce)
        except CustomTokenExchangeError:
            if failure is None:
                raise
            raise failure from failure.__cause__

    def answered(self, reply: Reply) -> None:
        """Learn how much is left of the tenant's limit."""
        now = self._clock()
        self._limit.learn(self._tenant, read_rate_limit(reply.headers, now), self._since, now)

    def refused(self, error: Auth0CTEError) -> None:
        """Have everybody wait after a 429."""
        if isinstance(error, RateLimitError):
            self._limit.back_off(self._tenant, error)
