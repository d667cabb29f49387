"""Checks of values and of functions that users give: secrets, numbers, a domain resolver, a signer."""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from auth0_cte.error import Auth0CTEError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "MIN_SECRET_BYTES",
    "call_given",
    "check_number",
    "check_plain_function",
    "check_positive",
    "check_secrets",
    "is_asynchronous",
    "text_fault",
    "unknown_fault",
]

logger: Final = logging.getLogger("auth0_cte")

MIN_SECRET_BYTES: Final = 32

T = TypeVar("T")
Number = TypeVar("Number", int, float)


def is_asynchronous(function: object) -> bool:
    """Tell whether a function, or an object that can be called, is a coroutine function."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def call_given(
    function: Callable[..., Any],
    *arguments: object,
    name: str,
    code: str,
    kind: type[Auth0CTEError] = ConfigurationError,
    shows_frames: bool = False,
) -> Any:
    """Call a function that is not ours, before anything is sent.

    Args:
        function: The function.
        *arguments: Its arguments.
        name: What messages call it.
        code: The code of its failure.
        kind: The class of its failure.
        shows_frames: Whether its own frames hold nothing of ours, so that the ``__cause__`` may keep them.

    Raises:
        Auth0CTEError: It raised an exception, which is the ``__cause__``.
        ConfigurationError: It is asynchronous.
    """
    try:
        result = function(*arguments)
    except Auth0CTEError:
        raise
    except Exception as error:  # noqa: BLE001 - nobody can list what a stranger's function raises
        trace = error.__traceback__
        raise kind(
            f"{name} failed with {type(error).__name__}",
            code=code,
            _hint="Look at __cause__: a function that was given to the client raised it; nothing was sent.",
        ) from error.with_traceback(trace.tb_next if trace is not None and shows_frames else None)
    if inspect.isawaitable(result):
        close = getattr(result, "close", None)
        if close is not None:
            close()  # or Python would warn of a coroutine that was never awaited
        raise ConfigurationError(f"{name} is asynchronous; give a plain function")
    return result


def check_plain_function(name: str, function: T) -> T:
    """Refuse what is neither None nor a function, and an asynchronous one.

    Raises:
        ConfigurationError: It is something else.
    """
    if function is not None and (not callable(function) or is_asynchronous(function)):
        raise ConfigurationError(f"{name} must be a plain function; an async one is for AsyncServerClient")
    return function


def check_secrets(secret: str | Sequence[str] | None) -> tuple[str, ...]:
    """Make a tuple of one or several session secrets; a short one is a warning."""
    given: Any = () if secret is None else secret
    secrets: tuple[Any, ...] = (given,) if isinstance(given, str) or not isinstance(given, Sequence) else tuple(given)
    for each in secrets:
        if not isinstance(each, str) or not each:
            raise ConfigurationError("secret must be text that is not empty; generate one with: openssl rand -hex 32")
        if len(each.encode()) < MIN_SECRET_BYTES:
            logger.warning("secret is shorter than %d bytes; generate one with: openssl rand -hex 32", MIN_SECRET_BYTES)
    return secrets


def check_number(
    name: str,
    value: Number,
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float = math.inf,
    at_most: float | None = None,
    whole: bool = False,
    unit: str = "",
) -> Number:
    """Refuse what is not a number within bounds.

    Args:
        name: What messages call it.
        value: The number.
        above: What it must be greater than.
        at_least: What it must not be less than.
        below: What it must be less than.
        at_most: What it must not be greater than.
        whole: Whether it must be an int.
        unit: What it counts, for messages.

    Raises:
        ConfigurationError: It is something else; the message names the bounds.
    """
    kinds = int if whole else int | float
    is_number = isinstance(value, kinds) and not isinstance(value, bool)
    low = is_number and (above is None or value > above) and (at_least is None or value >= at_least)
    if not (low and value < below and (at_most is None or value <= at_most)):
        raise ConfigurationError(f"{name} must be {_bounds(above, at_least, below, at_most, whole=whole, unit=unit)}")
    return value


def _bounds(
    above: float | None, at_least: float | None, below: float, at_most: float | None, *, whole: bool, unit: str
) -> str:
    counted = f" {unit}" if unit else ""
    if at_least is not None and at_most is not None:
        return f"between {at_least:g} and {at_most:g}{counted}"
    bounds = [
        f"{word} {bound:g}{counted}"
        for word, bound in (("above", above), ("at least", at_least), ("below", below), ("at most", at_most))
        if bound not in (None, math.inf)
    ]
    return f"a {'whole ' if whole else ''}number {' and '.join(bounds)}".rstrip()


def check_positive(name: str, value: Number) -> Number:
    """Refuse what is not a number above zero."""
    return check_number(name, value, above=0)


def text_fault(value: object, *, ascii_only: bool = False, max_length: int | None = None) -> str | None:
    """Return what is wrong with a text, to stand behind its name in a message; None when it is printable and not blank.

    Args:
        value: What should be a text.
        ascii_only: Whether it must consist of ASCII characters.
        max_length: How many characters it may have.
    """
    if not isinstance(value, str):
        return f"is of type {type(value).__name__}, not a string"
    if not value.strip():
        return "is empty or blank"
    if max_length is not None and len(value) > max_length:
        return f"is longer than {max_length} characters"
    if not value.isprintable():  # lone surrogates are not printable either
        return "has control characters"
    return "has characters outside of ASCII" if ascii_only and not value.isascii() else None


def unknown_fault(given: Iterable[object], known: Sequence[str]) -> str | None:
    """Return what to say of options that do not exist, with those that they resemble; None when all exist."""
    unknown = sorted(str(name) for name in given if name not in known)
    if not unknown:
        return None
    from difflib import get_close_matches

    near = [match for name in unknown for match in get_close_matches(name, known, 1)]
    return f"unknown options: {', '.join(unknown)}" + (f" (did you mean {', '.join(near)}?)" if near else "")
