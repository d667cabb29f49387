"""What an Action is handed in place of the ``api``: it answers while the Action runs, and no longer."""

from __future__ import annotations

import inspect
import logging
import threading
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from auth0_cte.testing.actions.limits import ActionLimitError
from auth0_cte.testing.actions.records import CamelCase, camel_case, snake_case

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["ApiCall", "Guard", "GuardedApi", "methods"]

logger: Final = logging.getLogger("auth0_cte.testing")


@frozen(kw_only=True)
class ApiCall:
    """A call that an Action made.

    Args:
        name: What was called, in JavaScript's names: ``"api.access.deny"``.
        arguments: What it was called with.
        result: What it answered, or None.
        error: Why it threw; None when it did not.
    """

    name: str
    arguments: tuple[Any, ...] = field(repr=False)
    result: Any = field(default=None, repr=False)
    error: str | None = None


class Guard:
    """Whether an Action may still call its api.

    Args:
        on_call: What is told of each call, or None.
    """

    def __init__(self, on_call: Callable[[ApiCall], object] | None = None) -> None:
        self._lock = threading.Lock()
        self._is_open = True
        self._on_call = on_call

    def close(self) -> None:
        """Ignore all calls from now on."""
        with self._lock:
            self._is_open = False

    def run(self, name: str, call: Callable[[], Any], arguments: Sequence[Any] = ()) -> Any:
        """Run a call of the api; one that comes too late is a warning in the log."""
        with self._lock:
            if self._is_open:
                return call() if self._on_call is None else self._tell(self._on_call, name, call, arguments)
        logger.warning("%s was called after the Action had ended, and is ignored", name)
        return None

    def _tell(
        self, tell: Callable[[ApiCall], object], name: str, call: Callable[[], Any], arguments: Sequence[Any]
    ) -> Any:
        try:
            result = call()
        except (ActionLimitError, TypeError) as error:
            tell(ApiCall(name=name, arguments=tuple(arguments), error=str(error)))
            raise
        tell(ApiCall(name=name, arguments=tuple(arguments), result=result))
        return result


class GuardedApi:
    """An ``api`` object, or one of its parts, behind a guard.

    Args:
        target: The api.
        guard: The guard.
        path: How the Action names it.
    """

    def __init__(self, target: CamelCase, guard: Guard, path: str = "api") -> None:
        self._target, self._guard, self._path = target, guard, path

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._target, snake_case(name))
        path = f"{self._path}.{camel_case(snake_case(name))}"
        if isinstance(member, CamelCase):
            return GuardedApi(member, self._guard, path)
        return lambda *values, **more: self._guard.run(
            path, lambda: member(*values, **more), (*values, *([more] if more else []))
        )

    def __dir__(self) -> list[str]:
        return [name for name in dir(self._target) if not name.startswith("_")]

    def call(self, name: str, values: Sequence[Any]) -> Any:
        """Call a method by its dotted name, as JavaScript does: surplus arguments are ignored.

        Raises:
            ActionLimitError: Auth0 does not take the call.
        """
        group, _, method = name.partition(".")
        member = getattr(getattr(self._target, group), snake_case(method))
        taken = sum(each.kind is each.POSITIONAL_OR_KEYWORD for each in inspect.signature(member).parameters.values())
        return self._guard.run(f"{self._path}.{name}", lambda: member(*values[:taken]), values)


def methods(api: CamelCase) -> dict[str, str]:
    """Return the methods of an api in JavaScript's names, ``"access.deny"``, and what a call of each comes to there.

    That follows from what they return here: ``"api"`` for nothing, so that calls can be chained, ``"promise"`` for what
    can be awaited, else ``"value"``.
    """
    return {
        f"{camel_case(group)}.{camel_case(name)}": _COMES_TO.get(method.__annotations__["return"], "value")
        for group, part in vars(api).items()
        for name, method in inspect.getmembers(type(part), inspect.isfunction)
        if not name.startswith("_")
    }


_COMES_TO: Final = {"None": "api", "Answer": "promise"}
