"""Tells a client's ``on_event`` hook what happens, without ever letting the hook disturb it."""

from __future__ import annotations

import inspect
import logging
import secrets
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Self

from auth0_cte.auth_server.events import (
    ExchangeFailed,
    ExchangeStarted,
    ExchangeSucceeded,
    RateLimitWaitStarted,
    TokenRequestFailed,
    TokenRequestRetried,
    TokenRequestStarted,
    TokenRequestSucceeded,
)
from auth0_cte.error import Auth0CTEError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from auth0_cte.auth_server.client_auth import Form
    from auth0_cte.auth_server.events import ClientEvent, EventHook
    from auth0_cte.auth_server.http import Reply

__all__ = ["Observer", "TokenRequests"]

logger: Final = logging.getLogger("auth0_cte")

_exchange: Final[ContextVar[dict[str, Any] | None]] = ContextVar("auth0_cte_exchange", default=None)
"""What the events of the exchange under way have in common."""


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


class _Silence:
    """What is told where nobody listens."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class TokenRequests(_Silence):
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
        if hook is not None and (not callable(hook) or _is_asynchronous(hook)):
            raise ConfigurationError("on_event must be a plain function that takes an event, or None")
        self._hook = hook
        self.monotonic: Callable[[], float] = monotonic

    def emit(self, event: ClientEvent) -> None:
        """Call the hook; what it raises is logged by its class, and the call goes on."""
        if self._hook is not None:
            with _guard:
                self._hook(event)

    def exchange(self, domain: str, grant_type: str, subject_token_type: str) -> _Silence:
        """Tell of an exchange around the block: its start, and how it ended."""
        if self._hook is None:
            return _silence
        return _Exchange(self, _common(domain, grant_type, subject_token_type))

    def token_requests(self, domain: str, url: str, form: Form) -> TokenRequests:
        """Return what tells of the requests of one call.

        Args:
            domain: The domain that is asked.
            url: Its token endpoint.
            form: What is sent, of which the grant and the token type are told.
        """
        if self._hook is None:
            return _silence
        sent = dict(form)
        grant_type = sent.get("grant_type", "")
        common = _exchange.get() or _common(domain, grant_type, sent.get("subject_token_type"))
        return _TokenRequests(self, {**common, "grant_type": grant_type}, url)


class _Exchange(_Silence):
    def __init__(self, observer: Observer, common: dict[str, Any]) -> None:
        self._observer, self._common = observer, common

    def __enter__(self) -> Self:
        self._token = _exchange.set(self._common)
        self._began = self._observer.monotonic()
        self._observer.emit(ExchangeStarted(**self._common))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _exchange.reset(self._token)
        duration = self._observer.monotonic() - self._began
        if error is None:
            self._observer.emit(ExchangeSucceeded(**self._common, duration=duration))
        else:
            self._observer.emit(ExchangeFailed(**self._common, duration=duration, **_evidence(error)))


class _TokenRequests(TokenRequests):
    def __init__(self, observer: Observer, common: dict[str, Any], url: str) -> None:
        self._observer, self._common, self._url = observer, common, url
        self._attempt = 0
        self._status = 0
        self._request_id: str | None = None
        self._began = 0.0

    def begin(self, attempt: int) -> Self:
        self._attempt, self._status, self._request_id = attempt, 0, None
        return self

    def answered(self, reply: Reply) -> None:
        self._status, self._request_id = reply.status, reply.headers.get("x-auth0-requestid")

    def waiting(self, delay: float) -> None:
        self._observer.emit(RateLimitWaitStarted(**self._common, attempt=self._attempt, delay=delay))

    def retrying(self, error: Auth0CTEError) -> Callable[[float], None] | None:
        evidence = _evidence(error)

        def announce(delay: float) -> None:
            self._observer.emit(TokenRequestRetried(**self._here(), delay=delay, **evidence))

        return announce

    def __enter__(self) -> Self:
        self._began = self._observer.monotonic()
        self._observer.emit(TokenRequestStarted(**self._here()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        told: dict[str, Any] = {
            **self._here(),
            "duration": self._observer.monotonic() - self._began,
            "request_id": self._request_id,
        }
        if error is None:
            self._observer.emit(TokenRequestSucceeded(**told, status=self._status))
            return
        reached = getattr(error, "may_have_reached_server", True)
        evidence: dict[str, Any] = {"status": self._status or None, **_evidence(error)}
        self._observer.emit(TokenRequestFailed(**told, **evidence, may_have_reached_server=reached))

    def _here(self) -> dict[str, Any]:
        return {**self._common, "url": self._url, "attempt": self._attempt}


_silence: Final = TokenRequests()


def _common(domain: str, grant_type: str, subject_token_type: str | None) -> dict[str, Any]:
    return {
        "call_id": secrets.token_hex(8),
        "domain": domain,
        "grant_type": grant_type,
        "subject_token_type": subject_token_type,
    }


def _evidence(error: BaseException) -> dict[str, Any]:
    evidence: dict[str, Any] = {"error_type": type(error).__name__}
    if isinstance(error, Auth0CTEError):
        evidence["error_code"] = error.code
        evidence["status"] = getattr(error, "status_code", None)
    return evidence


def _is_asynchronous(hook: object) -> bool:
    call = getattr(hook, "__call__", None)  # noqa: B004 - of an object, its method is what may be a coroutine function
    return inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(call)
