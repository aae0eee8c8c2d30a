"""Traces and metrics for OpenTelemetry."""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from opentelemetry import context, metrics, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from miniagent_store.hookspecs import hookimpl
from miniagent_store.observing import conventions
from miniagent_store.observing.ending import error_type
from miniagent_store.operation import AgentOperation, Operation

if TYPE_CHECKING:
    from opentelemetry.metrics import Histogram, MeterProvider
    from opentelemetry.trace import Tracer, TracerProvider

    from miniagent_store.backend import ConnectionEvent

SCOPE = "miniagent_store"


class OpenTelemetry:
    """A span and a duration for each operation of the store and of agents.

    What was said, and who the users are, is told only with `content`.

    Args:
        tracer_provider, meter_provider: where to; the global ones unless given.
        content: whether spans of agents have the messages, arguments and results of tools, and the user.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        content: bool = False,
    ) -> None:
        self.content = content
        self.tracer: Tracer = trace.get_tracer(SCOPE, tracer_provider=tracer_provider)
        meter = metrics.get_meter(SCOPE, meter_provider=meter_provider)
        self.durations: dict[str, Histogram] = {
            "": meter.create_histogram(
                conventions.DB_DURATION,
                unit="s",
                description="Duration of database client operations.",
                explicit_bucket_boundaries_advisory=conventions.DB_SECONDS,
            )
        }
        for operation, name in conventions.AGENT_DURATIONS.items():
            self.durations[operation] = meter.create_histogram(
                name,
                unit="s",
                description=f"Duration of {operation} operations.",
                explicit_bucket_boundaries_advisory=conventions.AGENT_SECONDS,
            )
        self.tokens: Histogram = meter.create_histogram(
            conventions.TOKEN_USAGE,
            unit="{token}",
            description="Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=conventions.TOKENS,
        )
        self._retries = meter.create_counter(
            "miniagent.store.retries", unit="{retry}", description="Operations tried again."
        )
        self._locks_lost = meter.create_counter(
            "miniagent.store.locks.lost", unit="{lock}", description="Turns and locks that were lost."
        )
        self._connections = meter.create_counter(
            "miniagent.store.connection.events", unit="{event}", description="What became of connections."
        )

    @hookimpl
    def observe(self, operation: Operation) -> AbstractContextManager[None]:
        return _Spanned(self, operation)

    @hookimpl
    def store_retry(self, operation: str, attempt: int, error: BaseException) -> None:
        told = {"error.type": error_type(error)}
        trace.get_current_span().add_event("retry", {"miniagent.attempt": attempt, **told})
        self._retries.add(1, {"db.operation.name": operation, **told})

    @hookimpl
    def lock_lost(self) -> None:
        trace.get_current_span().add_event("lock lost")
        self._locks_lost.add(1)

    @hookimpl
    def connection_event(self, event: ConnectionEvent) -> None:
        self._connections.add(1, {"miniagent.connection.event": event.kind})


class _Spanned(AbstractContextManager[None]):
    """The span of one operation, current while it runs."""

    __slots__ = ("_operation", "_owner", "_span", "_token")

    def __init__(self, owner: OpenTelemetry, operation: Operation) -> None:
        self._owner, self._operation = owner, operation
        self._span: Span = trace.INVALID_SPAN
        self._token: Any = None

    def __enter__(self) -> None:
        operation = self._operation
        if isinstance(operation, AgentOperation):
            calls_out = operation.name == "chat" and not operation.in_process
            name, attributes = (
                conventions.agent_span_name(operation),
                conventions.agent_start_attributes(operation),
            )
        else:
            calls_out = operation.place.backend != "memory"
            name, attributes = (
                conventions.store_span_name(operation),
                conventions.store_start_attributes(operation),
            )
        kind = SpanKind.CLIENT if calls_out else SpanKind.INTERNAL
        self._span = self._owner.tracer.start_span(name, kind=kind, attributes=attributes)
        self._token = context.attach(trace.set_span_in_context(self._span))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        context.detach(self._token)
        span, operation = self._span, self._operation
        if isinstance(operation, AgentOperation):
            span.set_attributes(conventions.agent_end_attributes(operation))
            if self._owner.content:
                span.set_attributes(conventions.content_attributes(operation))
        else:
            span.set_attributes(conventions.store_end_attributes(operation))
        if operation.error is not None:
            # Without its message, and not as an exception event: both may hold what was said.
            span.set_status(Status(StatusCode.ERROR))
        self._measure(operation)
        span.end()

    def _measure(self, operation: Operation) -> None:
        """Record the metrics while the span is open, so that they can point to it."""
        owner, seconds = self._owner, operation.seconds or 0.0
        if not isinstance(operation, AgentOperation):
            owner.durations[""].record(seconds, conventions.store_metric_attributes(operation))
            return
        attributes = conventions.agent_metric_attributes(operation)
        if operation.name in owner.durations:
            owner.durations[operation.name].record(seconds, attributes)
        if operation.name == "chat":
            for kind, tokens in (("input", operation.input_tokens), ("output", operation.output_tokens)):
                if tokens is not None:
                    owner.tokens.record(tokens, {**attributes, "gen_ai.token.type": kind})
