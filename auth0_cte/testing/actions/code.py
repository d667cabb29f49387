"""The code of an Action: what runs it, and how it can fail."""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import inspect
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias

from attrs import field, frozen

from auth0_cte.testing.actions.records import record

if TYPE_CHECKING:
    from auth0_cte.testing.actions.guard import GuardedApi

__all__ = [
    "Action",
    "ActionCode",
    "ActionFailure",
    "ActionFunction",
    "Limits",
    "PythonCode",
    "Ran",
    "Stopwatch",
    "check_secrets",
]

ActionFunction: TypeAlias = Callable[[Any, Any], object]
"""A function of ``event`` and ``api``, plain or ``async``; what it returns does not matter."""

MAX_SECRET_NAME: Final = 128
MAX_SECRET: Final = 4096


class ActionFailure(Exception):  # noqa: N818 - a way to end, not an error of the tenant
    """An Action failed: it threw, could not be loaded, or ran for too long.

    Args:
        detail: What the tenant log says.
        trace: The stack, as far as there is one.
        console: What the Action printed.
    """

    def __init__(self, detail: str, *, trace: str | None = None, console: str = "") -> None:
        super().__init__(detail)
        self.detail: str = detail
        self.trace: str | None = trace
        self.console: str = console


@frozen(kw_only=True)
class Limits:
    """What Auth0 limits an Action to.

    Args:
        seconds: How long it may run.
        console: How many characters of its output are kept.
        all_seconds: How long all Actions of the request may run, of which this one is the last so far.
    """

    seconds: float
    console: int
    all_seconds: float

    @property
    def exceeded(self) -> str:
        """What the log says of an Action that took longer."""
        which = "the Action" if self.seconds == self.all_seconds else "the Actions of the trigger"
        return f"{which} ran for more than {self.all_seconds:g} seconds"


class Ran(NamedTuple):
    """An Action that has run.

    Args:
        console: What it printed.
        seconds: How long it took, by this machine's clock or the tenant's, whichever says more.
    """

    console: str
    seconds: float


class Stopwatch:
    """Measures how long an Action takes.

    Args:
        clock: The tenant's clock, which a test may move.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._moved, self._since = clock, clock(), time.monotonic()

    def seconds(self) -> float:
        """Return the time since the beginning."""
        return max(time.monotonic() - self._since, self._clock() - self._moved)


class ActionCode(Protocol):
    """Code of an Action in some language."""

    @property
    def name(self) -> str:
        """How the log calls it."""
        ...

    def run(self, event: Mapping[str, Any], api: GuardedApi, limits: Limits, clock: Callable[[], float]) -> Ran:
        """Run it.

        Raises:
            ActionFailure: It failed.
        """
        ...

    def close(self) -> None:
        """End what runs it. It can be run again."""
        ...


@frozen
class Action:
    """An Action and its secrets."""

    code: ActionCode
    secrets: Mapping[str, str] = field(repr=False)


def check_secrets(secrets: Mapping[str, str] | None) -> dict[str, str]:
    """Return a copy of an Action's secrets.

    Raises:
        TypeError: A name or a value is not a string.
        ValueError: A name has more than 128 characters or a value more than 4096 (Auth0, "Actions Limitations").
    """
    for name, value in (secrets or {}).items():
        if not (isinstance(name, str) and isinstance(value, str)):
            raise TypeError("secrets must be strings by name")
        if not 0 < len(name) <= MAX_SECRET_NAME or len(value) > MAX_SECRET:
            raise ValueError(
                f"secrets must have names of 1 to {MAX_SECRET_NAME} and values of at most {MAX_SECRET} characters:"
                f" see {name[:MAX_SECRET_NAME]!r}"
            )
    return dict(secrets or {})


class _TimeIsUp(BaseException):
    """Raised inside an Action that ran for too long; not to be caught by ``except Exception``."""


class PythonCode:
    """An Action that is a Python function. It runs in a thread of its own, so that its time can end.

    Args:
        function: The function.
    """

    def __init__(self, function: ActionFunction) -> None:
        self._function = function

    @property
    def name(self) -> str:
        """The function's name."""
        return str(getattr(self._function, "__qualname__", None) or repr(self._function))

    def run(self, event: Mapping[str, Any], api: GuardedApi, limits: Limits, clock: Callable[[], float]) -> Ran:
        """Run the function; what it prints is left alone.

        Raises:
            ActionFailure: It raised, or ran for too long.
        """
        thread = _ActionThread(self._function, record(event), api)
        watch = Stopwatch(clock)
        thread.start()
        thread.join(limits.seconds)
        if thread.is_alive():
            thread.stop()
            raise ActionFailure(limits.exceeded)
        if thread.error is not None:
            raise _threw(thread.error) from None
        return Ran("", watch.seconds())

    def close(self) -> None:
        """Do nothing: a function has nothing to end."""


class _ActionThread(threading.Thread):
    def __init__(self, function: ActionFunction, event: Any, api: GuardedApi) -> None:
        super().__init__(name="auth0_cte Action", daemon=True)
        self._call = (function, event, api)
        self._context = contextvars.copy_context()
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._context.run(_perform, *self._call)
        except _TimeIsUp:
            pass
        except BaseException as error:  # noqa: BLE001 - an Action is somebody's code, and may call sys.exit
            self.error = error

    def stop(self) -> None:
        """Raise an exception in the thread, which ends it as soon as it runs Python code."""
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.ident or 0), ctypes.py_object(_TimeIsUp))


def _perform(function: ActionFunction, event: Any, api: GuardedApi) -> None:
    result = function(event, api)
    if inspect.iscoroutine(result):
        asyncio.run(result)


def _threw(error: BaseException) -> ActionFailure:
    frames = [each for each in traceback.extract_tb(error.__traceback__) if each.filename != __file__]
    own = [each for each in frames if Path(each.filename).parent != Path(__file__).parent]
    place = f" ({Path(own[-1].filename).name}:{own[-1].lineno})" if own else ""
    detail = f"the Action threw {type(error).__name__}: {error}{place}"
    return ActionFailure(detail, trace="".join(traceback.format_exception(error)))
