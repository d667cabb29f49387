"""Where errors leave the library: typed, and from frames that hold no secrets."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from auth0_cte.error import Auth0CTEError, ConfigurationError, without_frames

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["guarded"]

P = ParamSpec("P")
R = TypeVar("R")


def guarded(
    present: Callable[[Auth0CTEError], Auth0CTEError] = without_frames,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a public method or constructor raise its errors as ``present`` makes them, without the frames below it.

    The frames of a traceback hold tokens, secrets and keys in their local variables, which error trackers collect.

    Args:
        present: Makes the error to raise, without frames, of the one that was raised.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            failure: Auth0CTEError
            try:
                return function(*args, **kwargs)
            except Auth0CTEError as error:
                failure, cause = present(error), error.__cause__
            except AttributeError:
                if hasattr(args[0], function.__name__):
                    raise
                failure = ConfigurationError(f"{function.__qualname__} must be called on an instance, not on the class")
                cause = None
            del args, kwargs  # this frame stays in the traceback
            raise failure from cause

        return guarded

    return decorate
