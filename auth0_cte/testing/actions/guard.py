"""What an Action is handed in place of the ``api``: it answers while the Action runs, and no longer."""

from __future__ import annotations

import inspect
import logging
import threading
from typing import TYPE_CHECKING, Any, Final

from auth0_cte.testing.actions.records import CamelCase, camel_case, snake_case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Guard", "GuardedApi", "method_names"]

logger: Final = logging.getLogger("auth0_cte.testing")


class Guard:
    """Whether an Action may still call its api."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_open = True

    def close(self) -> None:
        """Ignore all calls from now on."""
        with self._lock:
            self._is_open = False

    def run(self, name: str, call: Callable[[], Any]) -> Any:
        """Run a call of the api; one that comes too late is a warning in the log."""
        with self._lock:
            if self._is_open:
                return call()
        logger.warning("%s was called after the Action had ended, and is ignored", name)
        return None


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
        return lambda *values, **more: self._guard.run(path, lambda: member(*values, **more))

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
        return self._guard.run(f"{self._path}.{name}", lambda: member(*values[:taken]))


def method_names(api: CamelCase) -> Iterator[str]:
    """List the methods of an api in JavaScript's names: ``"access.deny"``."""
    for group, part in vars(api).items():
        for name, _ in inspect.getmembers(type(part), inspect.isfunction):
            if not name.startswith("_"):
                yield f"{camel_case(group)}.{camel_case(name)}"
