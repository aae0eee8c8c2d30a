"""OpenTelemetry's own in-memory exporters, and a plain observer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from miniagent_store import Operation, hookimpl
from miniagent_store.observing import OpenTelemetry


class Telemetry:
    """Keeps spans and metrics in memory."""

    def __init__(self) -> None:
        self.exporter, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracer_provider = TracerProvider()
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.meter_provider = MeterProvider([self.reader])

    def plugin(self, *, content: bool = False) -> OpenTelemetry:
        return OpenTelemetry(self.tracer_provider, self.meter_provider, content=content)

    def clear(self) -> None:
        self.exporter.clear()

    @property
    def spans(self) -> list[ReadableSpan]:
        """In the order in which they began."""
        return sorted(self.exporter.get_finished_spans(), key=lambda span: span.start_time or 0)

    def span(self, name: str) -> ReadableSpan:
        """The only span of this name."""
        (found,) = [span for span in self.spans if span.name == name]
        return found

    def tree(self) -> list[tuple[str, str | None]]:
        """Each span and its parent, by name."""
        names = {span.context.span_id: span.name for span in self.spans if span.context}
        return [(span.name, names.get(span.parent.span_id) if span.parent else None) for span in self.spans]

    def points(self, metric: str) -> list[Any]:
        """The data points of a metric."""
        data = self.reader.get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for each in scope.metrics
            if each.name == metric
            for point in each.data.data_points
        ]

    def text(self) -> str:
        """All that was told, as text: to look for what should not be in it."""
        data = self.reader.get_metrics_data()
        return "\n".join([*(span.to_json() for span in self.spans), data.to_json() if data else ""])

    def shutdown(self) -> None:
        self.tracer_provider.shutdown()
        self.meter_provider.shutdown()


class Recorder:
    """Keeps the operations that have ended, and the classes of their errors."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.errors: list[str] = []

    @hookimpl
    def observe(self, operation: Operation) -> Any:
        return self._around(operation)

    @contextmanager
    def _around(self, operation: Operation) -> Iterator[None]:
        try:
            yield
        finally:
            self.operations.append(operation)
            self.errors.append("" if operation.error is None else type(operation.error).__name__)

    @property
    def names(self) -> list[str]:
        return [operation.name for operation in self.operations]
