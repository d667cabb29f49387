"""The Actions of a tenant: Custom Token Exchange profiles, each with one Action, and the Post-Login Actions."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from attrs import Factory, define, field

from auth0_cte.testing.actions.cache import ActionCache
from auth0_cte.testing.actions.code import Action, ActionFailure, Limits
from auth0_cte.testing.actions.guard import Guard, GuardedApi
from auth0_cte.testing.wire.messages import RefusalError
from auth0_cte.token_types import lint_token_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from auth0_cte.testing.actions.guard import ApiCall
    from auth0_cte.testing.actions.records import CamelCase

__all__ = ["Actions", "Budget", "check_profile_type"]

logger: Final = logging.getLogger("auth0_cte.testing")


@define
class Budget:
    """The time that the Actions of a trigger have together (Auth0, "Actions Limitations").

    Args:
        seconds: All of it.
        left: What the Actions so far have left of it.
    """

    seconds: float
    left: float = field(default=Factory(lambda self: self.seconds, takes_self=True), init=False)


@define(eq=False)
class Actions:
    """The Actions, and what they are limited to.

    Changes apply from the next request on: ``tenant.actions.time_limit = 2``.

    Args:
        clock: Returns Unix seconds.
        time_limit: Seconds that an Action may run, and the Post-Login Actions of a request together.
        console_limit: How many characters of an Action's output are kept for the tenant log.
        node: The path of the Node.js that runs JavaScript Actions; the one on PATH, else that of the extra ``js``, when
            None.
        on_call: What is told of each call that an Action makes, an `ApiCall`; None for nobody.
    """

    _clock: Callable[[], float] = field(repr=False)
    time_limit: float = field(default=20, kw_only=True)
    console_limit: int = field(default=256, kw_only=True)
    node: str | None = field(default=None, kw_only=True)
    on_call: Callable[[ApiCall], object] | None = field(default=None, kw_only=True, repr=False)
    profiles: dict[str, Action] = field(factory=dict, init=False, repr=False)
    post_login: list[Action] = field(factory=list, init=False, repr=False)
    _caches: dict[str, ActionCache] = field(factory=dict, init=False, repr=False)

    def cache(self, trigger: str) -> ActionCache:
        """Return the cache that the Actions of a trigger share."""
        return self._caches.setdefault(trigger, ActionCache(self._clock))

    def budget(self) -> Budget:
        """Return the time that the Actions of a trigger have together for one request."""
        return Budget(self.time_limit)

    def run(self, action: Action, event: Mapping[str, Any], api: CamelCase, budget: Budget | None = None) -> str:
        """Run an Action.

        Args:
            action: The Action.
            event: Its ``event``, without the secrets.
            api: Its ``api``, which takes no call any more afterwards.
            budget: What is left of the time of its trigger, which it uses up; the whole when None.

        Returns:
            What it printed.

        Raises:
            RefusalError: It failed, or took too long; both are a ``server_error``.
        """
        guard, time = Guard(self.on_call), budget or self.budget()
        limits = Limits(seconds=time.left, console=self.console_limit, all_seconds=time.seconds)
        try:
            whole = {**event, "secrets": dict(action.secrets)}
            ran = action.code.run(whole, GuardedApi(api, guard), limits, self._clock)
        except ActionFailure as failure:
            raise _refused(action, failure) from None
        finally:
            guard.close()
        time.left -= ran.seconds
        if time.left < 0:  # by a clock that a test moves
            raise _refused(action, ActionFailure(limits.exceeded, console=ran.console))
        return ran.console

    def restore(self, profiles: Mapping[str, Action], post_login: Iterable[Action]) -> None:
        """Have these Actions and no others; their caches are empty."""
        kept = {id(action) for action in (*profiles.values(), *post_login)}
        for action in (*self.profiles.values(), *self.post_login):
            if id(action) not in kept:
                action.code.close()
        self.profiles.clear()
        self.profiles.update(profiles)
        self.post_login[:] = post_login
        self._caches.clear()

    def close(self) -> None:
        """End the processes that run JavaScript Actions. They begin anew with the next request."""
        for action in (*self.profiles.values(), *self.post_login):
            action.code.close()


def _refused(action: Action, failure: ActionFailure) -> RefusalError:
    trace = f"\n{failure.trace.rstrip()}" if failure.trace else ""
    logger.error("%s: %s%s", action.code.name, failure.detail, trace)
    details = {"traceback": failure.trace, "console": failure.console}
    return RefusalError(
        500,
        "server_error",
        "The exchange could not be completed.",
        detail=failure.detail,
        details={name: value for name, value in details.items() if value},
    )


def check_profile_type(token_type: str, *, strict: bool) -> None:
    """Check the type of a profile as Auth0 does when one is made (Auth0, "Configure Custom Token Exchange").

    Raises:
        ValueError: It is strict, and Auth0 would refuse the type; otherwise that is a warning in the log.
    """
    finding = lint_token_type(token_type)
    if finding is None and not token_type.lower().startswith(("https://", "urn:")):
        finding = f"{token_type!r} begins with neither https:// nor urn:, as Auth0 demands."
    if finding is None:
        return
    if strict:
        raise ValueError(finding)
    logger.warning("the local tenant is more generous than Auth0: %s", finding)
