"""Functions that the user of the library gives: a domain resolver, a signer."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from auth0_cte.error import Auth0CTEError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["call_given", "is_asynchronous"]


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
