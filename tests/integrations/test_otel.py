"""OpenTelemetry spans, as the SDK exports them."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from auth0_cte import (
    AsyncServerClient,
    CustomTokenExchangeError,
    ExchangeCache,
    RateLimit,
    RetryPolicy,
    ServerClient,
)
from auth0_cte.otel import OpenTelemetryEvents
from auth0_cte.testing import LocalTenant
from tests.raw_server import TOKENS, RawServer, reply, send

SECRET = "s3cr3t-c4n4ry"
TYPE = "urn:acme:mcp-token"
OPTIONS: dict[str, Any] = {"subject_token": SECRET, "subject_token_type": TYPE}


class Unended(SpanProcessor):
    """Counts the spans that have been started and not ended."""

    def __init__(self) -> None:
        self.count = 0

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self.count += 1

    def on_end(self, span: ReadableSpan) -> None:
        self.count -= 1


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> TracerProvider:
    made = TracerProvider(shutdown_on_exit=False)
    made.add_span_processor(SimpleSpanProcessor(exporter))
    return made


def make(server: RawServer, provider: TracerProvider, **more: Any) -> dict[str, Any]:
    retry = RetryPolicy(sleep=lambda _: None, uniform=lambda _low, _high: 0.0)
    hook = OpenTelemetryEvents(provider)
    return {"domain": server.url, "client_id": "c", "client_secret": SECRET, "on_event": hook, "retry": retry, **more}


def parent(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def test_an_exchange_is_a_span_below_the_callers(
    raw_server: RawServer, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    """The request is a client span below the exchange, which is below the current span; the conventions hold."""
    raw_server.scripts = [send(reply(TOKENS, headers=["x-auth0-requestid: r-1"]))]
    port = int(raw_server.url.rpartition(":")[2])
    tracer = provider.get_tracer("test")
    with ServerClient(**make(raw_server, provider)) as client:
        with tracer.start_as_current_span("caller") as caller:
            client.custom_token_exchange(OPTIONS)
            assert caller is get_current_span()
    request, exchange, _ = exporter.get_finished_spans()
    assert caller.get_span_context().span_id == parent(exchange)
    assert exchange.context is not None
    assert exchange.context.span_id == parent(request)
    assert ("auth0_cte.exchange", SpanKind.INTERNAL) == (exchange.name, exchange.kind)
    assert ("POST", SpanKind.CLIENT) == (request.name, request.kind)
    common = {
        "auth0_cte.grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "auth0_cte.subject_token_type": TYPE,
        "server.address": "127.0.0.1",
        "server.port": port,
    }
    assert common == exchange.attributes
    assert {
        **common,
        "http.request.method": "POST",
        "url.full": f"{raw_server.url}/oauth/token",
        "http.response.status_code": 200,
        "auth0_cte.request_id": "r-1",
    } == request.attributes
    assert [StatusCode.UNSET] * 2 == [request.status.status_code, exchange.status.status_code]
    assert exchange.instrumentation_scope is not None
    assert "auth0_cte" == exchange.instrumentation_scope.name


def test_a_retry_is_a_span_of_its_own(
    raw_server: RawServer, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    """The failed attempt has its error, the second one its number, and the exchange an event in between."""
    raw_server.scripts = [send(reply("", "429 Too Many", ["Retry-After: 2"])), send(reply(TOKENS))]
    with ServerClient(**make(raw_server, provider)) as client:
        client.custom_token_exchange(OPTIONS)
    first, second, exchange = exporter.get_finished_spans()
    assert first.attributes is not None
    assert second.attributes is not None
    assert ("429", 429, "too_many_requests") == (
        first.attributes["error.type"],
        first.attributes["http.response.status_code"],
        first.attributes["auth0_cte.error_code"],
    )
    assert (StatusCode.ERROR, StatusCode.UNSET) == (first.status.status_code, exchange.status.status_code)
    assert "http.request.resend_count" not in first.attributes
    assert 1 == second.attributes["http.request.resend_count"]
    assert [("retry", {"auth0_cte.attempt": 1, "auth0_cte.delay": 2.0})] == [
        (event.name, dict(event.attributes or {})) for event in exchange.events
    ]


@pytest.mark.parametrize(
    ("answer", "error_type", "code"),
    [
        (reply('{"error": "invalid_request"}', "400 Bad Request"), "400", "invalid_request"),
        (b"", "TransportError", "TRANSPORT_ERROR"),
        (reply("<html>"), "CustomTokenExchangeError", "INVALID_RESPONSE"),
    ],
)
def test_a_failure_is_an_error(
    answer: bytes,
    error_type: str,
    code: str,
    raw_server: RawServer,
    provider: TracerProvider,
    exporter: InMemorySpanExporter,
) -> None:
    """Both spans end with the status of the reply, or the class of the exception, as their error type."""

    def script(_request: Any, connection: Any) -> None:
        connection.sendall(answer)
        connection.shutdown(2)

    raw_server.scripts = [script]
    with ServerClient(**make(raw_server, provider)) as client, pytest.raises(CustomTokenExchangeError):
        client.custom_token_exchange(OPTIONS)
    for span in exporter.get_finished_spans():
        assert span.attributes is not None
        assert (error_type, code) == (span.attributes["error.type"], span.attributes["auth0_cte.error_code"])
        assert StatusCode.ERROR is span.status.status_code
    assert 2 == len(exporter.get_finished_spans())


def test_a_wait_for_a_turn_is_an_event(
    raw_server: RawServer, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    """Time that went into the client's own rate limit can be told from time at Auth0."""
    clock = [0.0]
    turns = RateLimit(
        "1/s", headroom=0, monotonic=lambda: clock[0], sleep=lambda seconds: clock.__setitem__(0, seconds)
    )
    with ServerClient(**make(raw_server, provider, rate_limit=turns)) as client:
        client.custom_token_exchange(OPTIONS)
        client.custom_token_exchange(OPTIONS)
    exchange = exporter.get_finished_spans()[-1]
    assert ["rate_limit.wait"] == [event.name for event in exchange.events]


def test_no_secret_is_in_any_span(
    raw_server: RawServer, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    """Neither attributes nor events nor names hold a token or the client secret."""
    raw_server.scripts = [send(reply(f'{{"error": "{SECRET}"}}', "503 No", ["Retry-After: 0"])), send(reply("{}"))]
    with ServerClient(**make(raw_server, provider)) as client, pytest.raises(CustomTokenExchangeError):
        client.custom_token_exchange({**OPTIONS, "authorization_params": {"x": SECRET}})
    spans = exporter.get_finished_spans()
    assert 3 == len(spans)
    assert SECRET not in "".join(span.to_json() for span in spans)


def test_nothing_is_left_open(raw_server: RawServer, provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    """After an interrupt, too, the spans are ended and the caller's context is back."""

    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    unended = Unended()
    provider.add_span_processor(unended)
    raw_server.scripts = [send(reply("", "503 No", ["Retry-After: 1"]))]
    arguments = make(raw_server, provider, retry=RetryPolicy(sleep=interrupt))
    with ServerClient(**arguments) as client, pytest.raises(KeyboardInterrupt):
        client.custom_token_exchange(OPTIONS)
    assert 0 == unended.count
    assert not get_current_span().is_recording()
    exchange = exporter.get_finished_spans()[-1]
    assert "KeyboardInterrupt" == (exchange.attributes or {})["error.type"]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_tasks_have_their_own_parents(
    raw_server: RawServer, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    """In the mirror the span of each exchange is below that of the task that awaits it."""
    tracer = provider.get_tracer("test")
    expected: set[int] = set()
    async with AsyncServerClient(**make(raw_server, provider)) as client:

        async def call() -> None:
            with tracer.start_as_current_span("caller") as caller:
                expected.add(caller.get_span_context().span_id)
                await client.custom_token_exchange(OPTIONS)

        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(call)
    exchanges = [span for span in exporter.get_finished_spans() if "auth0_cte.exchange" == span.name]
    assert 4 == len(expected)
    assert expected == {parent(span) for span in exchanges}


def test_the_global_provider_serves_when_none_is_given(raw_server: RawServer) -> None:
    """Without an SDK the hook does nothing, and harms nothing."""
    with ServerClient(raw_server.url, "c", "s", on_event=OpenTelemetryEvents()) as client:
        assert "issued" == client.custom_token_exchange(OPTIONS).access_token


def points(reader: InMemoryMetricReader) -> dict[str, list[tuple[dict[str, Any], float]]]:
    """Return the metrics by name: attributes and count of each point."""
    found: dict[str, list[tuple[dict[str, Any], float]]] = {}
    data = reader.get_metrics_data()
    for resource in data.resource_metrics if data is not None else []:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    count = point.count if isinstance(point, HistogramDataPoint) else point.value  # type: ignore[union-attr]
                    found.setdefault(metric.name, []).append((dict(point.attributes or {}), count))
    return found


def test_metrics_beside_the_spans(provider: TracerProvider) -> None:
    """Exchanges by how they ended, replies with 429, cache hits and refreshes are counted, without tokens."""
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    tenant = LocalTenant()
    tenant.add_user("auth0|ada")
    tenant.accept(TYPE, "auth0|ada")
    hook = OpenTelemetryEvents(provider, meters)
    retry = RetryPolicy(sleep=lambda _: None)
    with tenant.client(on_event=hook, retry=retry, exchange_cache=ExchangeCache()) as client:
        token = client.custom_token_exchange({**OPTIONS, "scope": "offline_access"}, use_cache=False).refresh_token
        for _ in range(3):
            client.custom_token_exchange(OPTIONS)
        tenant.fail_next(429, headers={"Retry-After": "0"})
        client.custom_token_exchange({**OPTIONS, "subject_token": "another"})
        tenant.fail_next(400, "invalid_request")
        with pytest.raises(CustomTokenExchangeError):
            client.custom_token_exchange({**OPTIONS, "subject_token": "a third one"})
        client.refresh_exchanged_token(token or "")
        with pytest.raises(CustomTokenExchangeError):
            client.refresh_exchanged_token("no-such-token")
    here = {"server.address": tenant.domain}
    found = points(reader)
    exchanges = {str(attributes.get("error.type")): count for attributes, count in found["auth0_cte.exchange.duration"]}
    refreshes = {str(attributes.get("error.type")): count for attributes, count in found["auth0_cte.refresh"]}
    assert {"None": 3, "invalid_request": 1} == exchanges
    assert {"None": 1, "invalid_grant": 1} == refreshes
    assert [(here, 2)] == found["auth0_cte.exchange.reused"]
    assert [(here, 1)] == found["auth0_cte.rate_limited"]
    assert SECRET not in repr(found)


@pytest.mark.parametrize("is_traced", [True, False])
def test_requests_carry_the_span(
    is_traced: bool, raw_server: RawServer, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    """``traceparent`` names the span of the request, anew for each attempt; without the hook there is none."""
    raw_server.scripts = [send(reply("{}", "503 Busy", ["Retry-After: 0"])), send(reply(TOKENS))]
    more: dict[str, Any] = {} if is_traced else {"on_event": None}
    with ServerClient(**make(raw_server, provider, **more)) as client:
        client.custom_token_exchange(OPTIONS)
    sent = [request.headers.get("traceparent") for request in raw_server.arrived]
    if not is_traced:
        assert [None, None] == sent
        return
    spans = [span for span in exporter.get_finished_spans() if span.name == "POST"]
    contexts = [span.context for span in spans if span.context is not None]
    expected = [f"00-{each.trace_id:032x}-{each.span_id:016x}" for each in contexts]
    assert expected == [str(each).rpartition("-")[0] for each in sent]
