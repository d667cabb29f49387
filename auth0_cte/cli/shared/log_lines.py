"""The library's log lines as a command tells them: a line each, without tracebacks."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["log_lines"]


class _Handler(logging.Handler):
    def __init__(self, tell: Callable[[str, str], None]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(record.levelname.lower(), record.getMessage().partition("\n")[0])


@contextmanager
def log_lines(tell: Callable[[str, str], None]) -> Iterator[None]:
    """Hand the library's warnings and errors to a function, in the place of the one before it.

    Args:
        tell: Is called with the level (``warning``, ``error``) and the message.
    """
    logger = logging.getLogger("auth0_cte")
    own: list[logging.Handler] = [_Handler(tell)]
    before, logger.handlers = logger.handlers, own
    try:
        yield
    finally:
        logger.handlers = before
