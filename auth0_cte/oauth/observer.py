"""Tells a client's ``on_event`` hook what happens, without ever letting the hook disturb it."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final, Self

from auth0_cte.error import ConfigurationError
from auth0_cte.foundation.validation import is_asynchronous

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from auth0_cte.error import Auth0CTEError
    from auth0_cte.oauth.client_auth.base import Form
    from auth0_cte.oauth.events import ClientEvent, EventHook
    from auth0_cte.transport.client import Reply

__all__ = ["Observer", "Silence", "TokenRequests"]

logger: Final = logging.getLogger("auth0_cte")


class _Guard:
    """Keeps what a hook raises from the call: an answer that a spent token bought must not get lost by a metric.

    The one place where any exception will do: nobody can list what a stranger's function raises. Its text is not
    logged, because nobody knows what is in it. Interrupts and cancellations pass.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if kind is None or not issubclass(kind, Exception):
            return False
        logger.warning("on_event raised %s; the call goes on", kind.__name__)
        return True


_guard: Final = _Guard()


class Silence:
    """What is told where nobody listens."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class TokenRequests(Silence):
    """Tells of the attempts of one call, each around its block; this one tells nobody."""

    def begin(self, attempt: int) -> Self:  # noqa: ARG002
        """Say which attempt comes now, from 1."""
        return self

    def answered(self, reply: Reply) -> None:
        """Note the reply to the attempt."""

    def waiting(self, delay: float) -> None:
        """Tell that the attempt waits for its turn."""

    def retrying(self, error: Auth0CTEError) -> Callable[[float], None] | None:  # noqa: ARG002
        """Return what tells of the wait after the attempt."""
        return None


class Observer:
    """Calls a hook; without one it costs next to nothing.

    Args:
        hook: What is called with each event, or None.
        monotonic: A clock that never jumps.

    Raises:
        ConfigurationError: The hook cannot be called, or is a coroutine function.
    """

    def __init__(self, hook: EventHook | None = None, monotonic: Callable[[], float] = time.monotonic) -> None:
        if hook is not None and (not callable(hook) or is_asynchronous(hook)):
            raise ConfigurationError("on_event must be a plain function that takes an event, or None")
        self._hook = hook
        self.monotonic: Callable[[], float] = monotonic

    def emit(self, event: ClientEvent) -> None:
        """Call the hook; what it raises is logged by its class, and the call goes on."""
        if self._hook is not None:
            with _guard:
                self._hook(event)

    def exchange(self, domain: str, grant_type: str, subject_token_type: str) -> Silence:
        """Tell of an exchange around the block: its start, and how it ended."""
        if self._hook is None:
            return _silence
        from auth0_cte.oauth.event_reporter import ExchangeReport

        return ExchangeReport(self, domain, grant_type, subject_token_type)

    def token_requests(self, domain: str, url: str, form: Form) -> TokenRequests:
        """Return what tells of the requests of one call.

        Args:
            domain: The domain that is asked.
            url: Its token endpoint.
            form: What is sent, of which the grant and the token type are told.
        """
        if self._hook is None:
            return _silence
        from auth0_cte.oauth.event_reporter import TokenRequestReports

        return TokenRequestReports(self, domain, url, form)


_silence: Final = TokenRequests()
