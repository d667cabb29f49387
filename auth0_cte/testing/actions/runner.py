"""Custom Token Exchange profiles: each maps one subject token type to one Action."""

from __future__ import annotations

import inspect
import logging
import traceback
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from attrs import field, frozen

from auth0_cte.testing.actions.api import ActionApi, Commands
from auth0_cte.testing.actions.records import Record, record
from auth0_cte.testing.wire.messages import RefusalError
from auth0_cte.token_types import lint_token_type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from auth0_cte.testing.actions.cache import ActionCache

__all__ = ["Action", "ActionFunction", "make_action", "run_action"]

logger: Final = logging.getLogger("auth0_cte.testing")

ActionFunction: TypeAlias = "Callable[[Any, Any], object]"
"""A function of ``event`` and ``api``; what it returns does not matter."""

MAX_SECONDS: Final = 20
"""How long an Action may run, by the tenant's clock."""


@frozen
class Action:
    """An Action and its secrets."""

    function: ActionFunction
    secrets: Mapping[str, str] = field(repr=False)


def make_action(subject_token_type: str, function: ActionFunction, secrets: Mapping[str, str]) -> Action:
    """Check what Auth0 checks when a profile is made (Auth0, "Configure Custom Token Exchange").

    A type that Auth0 would not take is a warning only: programs that exchange one should be testable, too.

    Raises:
        TypeError: The function is a coroutine function.
    """
    if inspect.iscoroutinefunction(function):
        raise TypeError("an Action of the local tenant is a plain function; write 'def', not 'async def'")
    finding = lint_token_type(subject_token_type)
    if finding is None and not subject_token_type.lower().startswith(("https://", "urn:")):
        finding = f"{subject_token_type!r} begins with neither https:// nor urn:, as Auth0 demands."
    if finding is not None:
        logger.warning("the local tenant is more generous than Auth0: %s", finding)
    return Action(function, dict(secrets))


def run_action(action: Action, event: Mapping[str, Any], cache: ActionCache, clock: Callable[[], float]) -> Commands:
    """Run an Action.

    Args:
        action: The Action.
        event: Its ``event``, without the secrets.
        cache: What Actions keep from one exchange to the next.
        clock: Returns Unix seconds.

    Returns:
        What it asked for.

    Raises:
        RefusalError: It failed, or took too long; both are a ``server_error``.
    """
    commands = Commands()
    api = ActionApi(commands, cache)
    begun = clock()
    try:
        action.function(Record(record(event), secrets=record(action.secrets)), api)
    except Exception as error:  # noqa: BLE001 - an Action is somebody's code
        detail = f"the Action threw {type(error).__name__}: {error}"
        raise _failure(detail, "".join(traceback.format_exception(error))) from None
    if clock() - begun > MAX_SECONDS:
        raise _failure(f"the Action ran for more than {MAX_SECONDS} seconds")
    return commands


def _failure(detail: str, trace: str | None = None) -> RefusalError:
    return RefusalError(500, "server_error", "The exchange could not be completed.", detail=detail, traceback=trace)
