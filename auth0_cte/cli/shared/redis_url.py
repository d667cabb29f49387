"""A Redis by its URL, with time-outs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    import redis

__all__ = ["connect"]

TIMEOUT: Final = 5.0


def connect(url: str) -> redis.Redis:
    """Make a client of redis-py; it connects when it is used.

    Raises:
        click.UsageError: redis-py is missing, or the URL is none of Redis.
    """
    try:
        import redis
    except ModuleNotFoundError:
        raise click.UsageError("--redis needs redis: python -m pip install 'auth0-cte[redis]'") from None
    try:
        return redis.Redis.from_url(url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT)
    except ValueError:  # its message holds the URL, and that may hold a password
        raise click.UsageError("--redis must be a URL such as redis://localhost:6379/0") from None
