"""Checks of values and of functions that users give: secrets, numbers, a domain resolver, a signer."""

from __future__ import annotations

import inspect
import logging
import math
from typing import TYPE_CHECKING, Any, Final, TypeVar

from auth0_cte.error import Auth0CTEError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["MIN_SECRET_BYTES", "call_given", "check_positive", "check_secrets", "is_asynchronous"]

logger: Final = logging.getLogger("auth0_cte")

MIN_SECRET_BYTES: Final = 32

Number = TypeVar("Number", int, float)


def is_asynchronous(function: object) -> bool:
    """Tell whether a function, or an object that can be called, is a coroutine function."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def call_given(function: Callable[..., Any], *arguments: object, name: str, code: str) -> Any:
    """Call a function that is not ours, before anything is sent.

    Args:
        function: The function.
        *arguments: Its arguments.
        name: What messages call it.
        code: The code of its failure.

    Raises:
        ConfigurationError: It raised an exception, which is the ``__cause__``, or is asynchronous.
    """
    try:
        result = function(*arguments)
    except Auth0CTEError:
        raise
    except Exception as error:  # nobody can list what a stranger's function raises, and nothing of it is swallowed
        raise ConfigurationError(
            f"{name} failed with {type(error).__name__}",
            code=code,
            _hint="Look at __cause__: a function that was given to the client raised it; nothing was sent.",
        ) from error
    if inspect.isawaitable(result):
        close = getattr(result, "close", None)
        if close is not None:
            close()  # lest Python warn of a coroutine that was never awaited
        raise ConfigurationError(f"{name} is asynchronous; give a plain function")
    return result


def check_secrets(secret: str | Sequence[str] | None) -> tuple[str, ...]:
    """Make a tuple of one or several session secrets; a short one is a warning."""
    secrets = () if secret is None else (secret,) if isinstance(secret, str) else tuple(secret)
    for each in secrets:
        if not isinstance(each, str) or not each:
            raise ConfigurationError("secret is no text, or empty; generate one with: openssl rand -hex 32")
        if len(each.encode()) < MIN_SECRET_BYTES:
            logger.warning("secret is shorter than %d bytes; generate one with: openssl rand -hex 32", MIN_SECRET_BYTES)
    return secrets


def check_positive(name: str, value: Number) -> Number:
    """Refuse what is no number above zero."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ConfigurationError(f"{name} is no number above zero")
    return value
