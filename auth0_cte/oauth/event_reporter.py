"""Tells a client's ``on_event`` hook what happens, without ever letting the hook disturb it."""

from __future__ import annotations

import logging
import secrets
import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from auth0_cte.error import Auth0CTEError, ConfigurationError
from auth0_cte.foundation.validation import is_asynchronous
from auth0_cte.oauth.domain import domain_of
from auth0_cte.oauth.events import (
    ExchangeFailed,
    ExchangeReused,
    ExchangeStarted,
    ExchangeSucceeded,
    RateLimitWaitStarted,
    TokenRequestFailed,
    TokenRequestRetried,
    TokenRequestStarted,
    TokenRequestSucceeded,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from auth0_cte.oauth.events import ClientEvent, EventHook
    from auth0_cte.oauth.token_endpoint import TokenRequest

__all__ = ["EventReporter", "ReportedRequest"]

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


class EventReporter:
    """Calls a hook.

    Args:
        hook: What is called with each event.
        monotonic: A clock that never jumps.

    Raises:
        ConfigurationError: The hook cannot be called, or is a coroutine function.
    """

    def __init__(self, hook: EventHook, monotonic: Callable[[], float] = time.monotonic) -> None:
        if not callable(hook) or is_asynchronous(hook):
            raise ConfigurationError("on_event must be a plain function that takes an event, or None")
        self._hook = hook
        self._inject: Callable[[dict[str, str]], object] | None = getattr(hook, "inject", None)
        self.monotonic: Callable[[], float] = monotonic

    def emit(self, event: ClientEvent) -> None:
        """Call the hook; what it raises is logged by its class, and the call goes on."""
        with _guard:
            self._hook(event)

    def add_headers(self, headers: dict[str, str]) -> None:
        """Let a hook that has a method ``inject`` add headers to a request, e.g. ``traceparent``."""
        if self._inject is not None:
            with _guard:
                self._inject(headers)

    def reused(self, domain: str, grant_type: str, subject_token_type: str) -> None:
        """Tell of an exchange that the cache made unnecessary; the arguments are those of `exchange`."""
        self.emit(ExchangeReused(**_common(domain_of(domain), grant_type, subject_token_type)))

    @contextmanager
    def exchange(self, domain: str, grant_type: str, subject_token_type: str) -> Iterator[None]:
        """Tell of an exchange around a block: its start, and how it ended.

        Args:
            domain: The issuer URL that is asked.
            grant_type: The grant.
            subject_token_type: The kind of the subject token.
        """
        common = _common(domain_of(domain), grant_type, subject_token_type)
        token, began = _exchange.set(common), self.monotonic()
        failure: dict[str, Any] | None = None
        try:
            self.emit(ExchangeStarted(**common))
            yield
        except BaseException as error:
            failure = _evidence(error)
            raise
        finally:
            _exchange.reset(token)
            ended = {**common, "duration": self.monotonic() - began}
            self.emit(ExchangeSucceeded(**ended) if failure is None else ExchangeFailed(**ended, **failure))

    def token_request(self, request: TokenRequest) -> ReportedRequest:
        """Return what tells of the attempts of a token request."""
        return ReportedRequest(self, request)


class ReportedRequest:
    """Tells of the attempts of one token request, and of its waits.

    Args:
        reporter: What is told.
        request: The token request, of which the grant and the token type are told.
    """

    def __init__(self, reporter: EventReporter, request: TokenRequest) -> None:
        sent = dict(request.form)
        grant_type, domain = sent.get("grant_type", ""), domain_of(request.issuer.issuer)
        common = _exchange.get() or _common(domain, grant_type, sent.get("subject_token_type"))
        self._reporter, self._common = reporter, {**common, "grant_type": grant_type}
        self._request = request
        self._began = 0.0
        request.announce = self._waits

    def before(self, request: TokenRequest) -> None:
        """Tell that an attempt begins."""
        self._began = self._reporter.monotonic()
        self._reporter.emit(TokenRequestStarted(**self._here()))
        self._reporter.add_headers(request.own_headers)

    def replied(self, request: TokenRequest) -> None:
        """Tell that the attempt was answered."""
        status = 0 if request.reply is None else request.reply.status
        self._reporter.emit(TokenRequestSucceeded(**self._here(), **self._outcome(), status=status))

    def failed(self, request: TokenRequest, error: Auth0CTEError) -> bool:
        """Tell that the attempt failed."""
        status = None if request.reply is None else request.reply.status
        self._reporter.emit(
            TokenRequestFailed(
                **self._here(),
                **self._outcome(),
                **{"status": status, **_evidence(error)},
                may_have_reached_server=getattr(error, "may_have_reached_server", True),
            )
        )
        return False

    def _waits(self, failure: Auth0CTEError | None, delay: float) -> None:
        if failure is None:
            waits = RateLimitWaitStarted(**self._common, attempt=self._request.attempt, delay=delay)
            self._reporter.emit(waits)
        else:
            self._reporter.emit(TokenRequestRetried(**self._here(), delay=delay, **_evidence(failure)))

    def _here(self) -> dict[str, Any]:
        return {**self._common, "url": self._request.url, "attempt": self._request.attempt}

    def _outcome(self) -> dict[str, Any]:
        reply = self._request.reply
        request_id = None if reply is None else reply.headers.get("x-auth0-requestid")
        return {"duration": self._reporter.monotonic() - self._began, "request_id": request_id}


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
