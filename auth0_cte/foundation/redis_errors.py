"""What a Redis that cannot be used is to an exchange: an error of ours, without redis-py's frames."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from auth0_cte.error import ConfigurationError, CustomTokenExchangeError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["check_client", "translated"]


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


def check_client(client: Any) -> None:
    """Refuse what is not a synchronous client of redis-py.

    Raises:
        ConfigurationError: It is a URL, a class, or an asynchronous client, for example.
    """
    kinds = (client if isinstance(client, type) else type(client)).__mro__
    is_asynchronous = any(".asyncio" in kind.__module__ for kind in kinds)
    if isinstance(client, type) or is_asynchronous or not callable(getattr(client, "register_script", None)):
        raise ConfigurationError(
            f"client must be a redis.Redis or redis.RedisCluster, not {'the class' if client is kinds[0] else 'a'} "
            f"{kinds[0].__module__}.{kinds[0].__qualname__}; for a URL use from_url(...)"
        )
