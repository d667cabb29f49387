"""What a Redis that cannot be used is to an exchange: an error of ours, without redis-py's frames."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from auth0_cte.error import CustomTokenExchangeError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["translated"]


@contextmanager
def translated(what: str, code: str, then: str = "") -> Iterator[None]:
    """Translate redis-py's errors.

    Args:
        what: What is kept in Redis, for the message.
        code: The code of the error.
        then: What follows from it, for the message: ``"; nothing was sent"``.

    Raises:
        CustomTokenExchangeError: Redis cannot be used; retryable.
    """
    from redis.exceptions import RedisError

    try:
        yield
    except RedisError as error:
        message = f"{what} (Redis) cannot be used: {type(error).__name__}{then}"
        raise CustomTokenExchangeError(message, code=code, is_retryable=True) from error.with_traceback(None)
