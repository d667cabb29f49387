"""OpenTelemetry spans of exchanges and token requests. Needs the extra ``otel``.

For example::

    from auth0_cte import ServerClient
    from auth0_cte.otel import OpenTelemetryEvents

    client = ServerClient.from_env(on_event=OpenTelemetryEvents())

An exchange is a span, a child of the caller's; each of its requests is a client span below it, with the attributes of
the semantic conventions for HTTP. No token, secret or form is ever part of a span.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from attrs import frozen

from auth0_cte.foundation.extras import extra

with extra("otel", "auth0_cte.otel"):
    from opentelemetry import context, trace
    from opentelemetry.trace import SpanKind, StatusCode

from auth0_cte import __version__
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

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.trace import Span, TracerProvider
    from opentelemetry.util.types import AttributeValue

    from auth0_cte.oauth.events import ClientEvent

__all__ = ["OpenTelemetryEvents"]


@frozen
class _Open:
    span: Span
    token: Token[Context]


class OpenTelemetryEvents:
    """An ``on_event`` hook that makes spans; one instance serves all threads and clients.

    The span of an exchange is named ``auth0_cte.exchange``, that of a request ``POST``. While they last they are the
    current ones, so that spans of the transport or of an ID token's verification stand below them.

    Args:
        tracer_provider: Where the tracer comes from; the global provider when None.
    """

    def __init__(self, tracer_provider: TracerProvider | None = None) -> None:
        self._tracer = trace.get_tracer("auth0_cte", __version__, tracer_provider)
        # By call and attempt; 0 is the exchange. A call stays in one thread, so no two threads touch one entry.
        self._open: dict[tuple[str, int], _Open] = {}

    def __call__(self, event: ClientEvent) -> None:
        """Begin, end or annotate a span."""
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
    parts = urlsplit(domain if "://" in domain else f"https://{domain}")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return {"server.address": parts.hostname or "", "server.port": port}


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
