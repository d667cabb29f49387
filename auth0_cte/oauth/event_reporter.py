"""What a hook is told of an exchange and of each token request; loaded only where there is a hook."""

from __future__ import annotations

import secrets
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Self

from auth0_cte.error import Auth0CTEError
from auth0_cte.oauth.events import (
    ExchangeFailed,
    ExchangeStarted,
    ExchangeSucceeded,
    RateLimitWaitStarted,
    TokenRequestFailed,
    TokenRequestRetried,
    TokenRequestStarted,
    TokenRequestSucceeded,
)
from auth0_cte.oauth.observer import Silence, TokenRequests

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from auth0_cte.oauth.client_auth.base import Form
    from auth0_cte.oauth.observer import Observer
    from auth0_cte.transport.client import Reply

__all__ = ["ExchangeReport", "TokenRequestReports"]

_exchange: Final[ContextVar[dict[str, Any] | None]] = ContextVar("auth0_cte_exchange", default=None)
"""What the events of the exchange under way have in common."""


class ExchangeReport(Silence):
    """Tells of an exchange around a block.

    Args:
        observer: What is told.
        domain: The domain that is asked.
        grant_type: The grant.
        subject_token_type: The kind of the subject token.
    """

    def __init__(self, observer: Observer, domain: str, grant_type: str, subject_token_type: str) -> None:
        self._observer, self._common = observer, _common(domain, grant_type, subject_token_type)

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


class TokenRequestReports(TokenRequests):
    """Tells of the requests of one call.

    Args:
        observer: What is told.
        domain: The domain that is asked.
        url: Its token endpoint.
        form: What is sent, of which the grant and the token type are told.
    """

    def __init__(self, observer: Observer, domain: str, url: str, form: Form) -> None:
        sent = dict(form)
        grant_type = sent.get("grant_type", "")
        common = _exchange.get() or _common(domain, grant_type, sent.get("subject_token_type"))
        self._observer, self._common, self._url = observer, {**common, "grant_type": grant_type}, url
        self._attempt = 0
        self._status = 0
        self._request_id: str | None = None
        self._began = 0.0

    def begin(self, attempt: int) -> Self:
        """Say which attempt comes now."""
        self._attempt, self._status, self._request_id = attempt, 0, None
        return self

    def answered(self, reply: Reply) -> None:
        """Note the reply to the attempt."""
        self._status, self._request_id = reply.status, reply.headers.get("x-auth0-requestid")

    def waiting(self, delay: float) -> None:
        """Tell that the attempt waits for its turn."""
        self._observer.emit(RateLimitWaitStarted(**self._common, attempt=self._attempt, delay=delay))

    def retrying(self, error: Auth0CTEError) -> Callable[[float], None] | None:
        """Return what tells of the wait after the attempt."""
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
