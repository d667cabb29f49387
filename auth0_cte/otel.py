"""OpenTelemetry spans and metrics of exchanges and token requests. Needs the extra ``otel``.

For example::

    from auth0_cte import ServerClient
    from auth0_cte.otel import OpenTelemetryEvents

    client = ServerClient.from_env(on_event=OpenTelemetryEvents())

An exchange is a span, a child of the caller's; each of its requests is a client span below it, with the attributes of
the semantic conventions for HTTP. The requests carry its ``traceparent``. No token, secret or form is ever part of a
span or a metric.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from auth0_cte.foundation.extras import extra

with extra("otel", "auth0_cte.otel"):
    from opentelemetry import context, metrics, propagate, trace
    from opentelemetry.trace import SpanKind, StatusCode

from auth0_cte import __version__
from auth0_cte.foundation.urls import Url
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
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider
    from opentelemetry.util.types import AttributeValue

    from auth0_cte.oauth.events import ClientEvent

__all__ = ["OpenTelemetryEvents"]

RATE_LIMITED: Final = 429
MAX_CODE_LENGTH: Final = 64
"""Codes of Actions may be of any length; a metric has no labels of that kind."""


@frozen
class _Open:
    span: Span
    token: Token[Context]


class _Metrics:
    """What is counted, by the names of the semantic conventions where there are any."""

    def __init__(self, provider: MeterProvider | None) -> None:
        meter = metrics.get_meter("auth0_cte", __version__, provider)
        self._duration = meter.create_histogram(
            "auth0_cte.exchange.duration", "s", "Exchanges, by how they ended (error.type, absent for success)."
        )
        self._reused = meter.create_counter("auth0_cte.exchange.reused", "{exchange}", "Exchanges from the cache.")
        self._limited = meter.create_counter("auth0_cte.rate_limited", "{reply}", "Replies with status 429.")
        self._refreshes = meter.create_counter("auth0_cte.refresh", "{request}", "Refreshes, by how they ended.")

    def count(self, event: ClientEvent) -> None:
        """Count an event."""
        here: dict[str, AttributeValue] = {"server.address": _server(event.domain)["server.address"]}
        if isinstance(event, ExchangeSucceeded | ExchangeFailed):
            kind: dict[str, AttributeValue] = {"auth0_cte.subject_token_type": event.subject_token_type or ""}
            failed = {"error.type": _error_code(event)} if isinstance(event, ExchangeFailed) else {}
            self._duration.record(event.duration, {**here, **kind, **failed})
        elif isinstance(event, ExchangeReused):
            self._reused.add(1, here)
        elif isinstance(event, TokenRequestSucceeded | TokenRequestFailed):
            failed = {"error.type": _error_code(event)} if isinstance(event, TokenRequestFailed) else {}
            if event.status == RATE_LIMITED:
                self._limited.add(1, here)
            if event.grant_type == "refresh_token":
                self._refreshes.add(1, {**here, **failed})


class OpenTelemetryEvents:
    """An ``on_event`` hook that makes spans and metrics; one instance serves all threads and clients.

    The span of an exchange is named ``auth0_cte.exchange``, that of a request ``POST``. While they last they are the
    current ones, so that spans of the transport or of an ID token's verification stand below them.

    The metrics are ``auth0_cte.exchange.duration`` (a histogram, in seconds, whose count is that of the exchanges),
    ``auth0_cte.exchange.reused``, ``auth0_cte.rate_limited`` and ``auth0_cte.refresh``.

    Args:
        tracer_provider: Where the tracer comes from; the global provider when None.
        meter_provider: Where the meter comes from; the global provider when None.
    """

    def __init__(
        self, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
    ) -> None:
        self._metrics = _Metrics(meter_provider)
        self._tracer = trace.get_tracer("auth0_cte", __version__, tracer_provider)
        # By call and attempt; 0 is the exchange. A call stays in one thread, so no two threads touch one entry.
        self._open: dict[tuple[str, int], _Open] = {}

    def __call__(self, event: ClientEvent) -> None:
        """Count it; begin, end or annotate a span."""
        self._metrics.count(event)
        if isinstance(event, ExchangeStarted):
            self._begin(event, 0, "auth0_cte.exchange", SpanKind.INTERNAL, {})
        elif isinstance(event, TokenRequestStarted):
            self._begin(event, event.attempt, "POST", SpanKind.CLIENT, _request(event))
        elif isinstance(event, TokenRequestSucceeded):
            self._end(event, event.attempt, _reply(event))
        elif isinstance(event, TokenRequestFailed):
            reached = {"auth0_cte.may_have_reached_server": event.may_have_reached_server}
            self._end(event, event.attempt, {**_reply(event), **reached}, _error_type(event))
        elif isinstance(event, ExchangeSucceeded):
            self._end(event, 0, {})
        elif isinstance(event, ExchangeFailed):
            self._end(event, 0, _code(event), _error_type(event))
        elif isinstance(event, TokenRequestRetried | RateLimitWaitStarted):
            name = "retry" if isinstance(event, TokenRequestRetried) else "rate_limit.wait"
            told = {"auth0_cte.attempt": event.attempt, "auth0_cte.delay": event.delay}
            trace.get_current_span().add_event(name, told)

    def inject(self, headers: dict[str, str]) -> None:
        """Add the headers that propagate the current span (W3C Trace Context: ``traceparent``); for the client."""
        propagate.inject(headers)

    def _begin(
        self, event: ClientEvent, attempt: int, name: str, kind: SpanKind, more: dict[str, AttributeValue]
    ) -> None:
        attributes: dict[str, AttributeValue] = {"auth0_cte.grant_type": event.grant_type, **_server(event.domain)}
        if event.subject_token_type is not None:
            attributes["auth0_cte.subject_token_type"] = event.subject_token_type
        span = self._tracer.start_span(name, kind=kind, attributes={**attributes, **more})
        token = context.attach(trace.set_span_in_context(span))
        self._open[event.call_id, attempt] = _Open(span, token)

    def _end(
        self, event: ClientEvent, attempt: int, attributes: dict[str, AttributeValue], error_type: str | None = None
    ) -> None:
        found = self._open.pop((event.call_id, attempt), None)
        if found is None:  # the hook was set aside when it began, by a sampler around it, say
            return
        context.detach(found.token)
        found.span.set_attributes(attributes)
        if error_type is not None:
            found.span.set_attribute("error.type", error_type)
            found.span.set_status(StatusCode.ERROR)
        found.span.end()


def _server(domain: str) -> dict[str, AttributeValue]:
    url = Url.parse(domain if "://" in domain else f"https://{domain}")
    return {"server.address": url.host, "server.port": url.effective_port}


def _request(event: TokenRequestStarted) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {"http.request.method": "POST", "url.full": event.url}
    if event.attempt > 1:
        attributes["http.request.resend_count"] = event.attempt - 1
    return attributes


def _reply(event: TokenRequestSucceeded | TokenRequestFailed) -> dict[str, AttributeValue]:
    attributes: dict[str, Any] = {
        "http.response.status_code": event.status,
        "auth0_cte.request_id": event.request_id,
        "auth0_cte.error_code": getattr(event, "error_code", None),
    }
    return {name: value for name, value in attributes.items() if value is not None}


def _code(event: ExchangeFailed) -> dict[str, AttributeValue]:
    return {} if event.error_code is None else {"auth0_cte.error_code": event.error_code}


def _error_type(event: TokenRequestFailed | ExchangeFailed) -> str:
    """Return the status of an error reply, or else the exception's class (semantic conventions for HTTP spans)."""
    if event.status is not None and event.status >= 400:
        return str(event.status)
    return event.error_type


def _error_code(event: TokenRequestFailed | ExchangeFailed) -> str:
    """Return what tells kinds of failures apart: the server's code or ours, which are few, or the exception's class."""
    code = event.error_code
    return code if code is not None and len(code) <= MAX_CODE_LENGTH else _error_type(event)
