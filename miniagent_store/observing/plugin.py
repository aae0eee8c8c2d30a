"""Registers the observers ``opentelemetry``, ``prometheus`` and ``logs``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from miniagent_store.hookspecs import hookimpl
from miniagent_store.provider import Provider


def _load_opentelemetry() -> Callable[[], Any]:
    from miniagent_store.observing.opentelemetry import OpenTelemetry

    return OpenTelemetry


def _load_prometheus() -> Callable[[], Any]:
    from miniagent_store.observing.prometheus import Prometheus

    return Prometheus


def _load_logs() -> Callable[[], Any]:
    from miniagent_store.observing.logs import StructuredLogs

    return StructuredLogs


@hookimpl
def provide_observers() -> Iterable[Provider[Callable[[], Any]]]:
    return [
        Provider(
            "opentelemetry",
            _load_opentelemetry,
            summary="traces and metrics by OpenTelemetry's conventions",
            package="opentelemetry-api",
            extra="otel",
        ),
        Provider(
            "prometheus",
            _load_prometheus,
            summary="metrics in prometheus-client's default registry",
            package="prometheus-client",
            extra="prometheus",
        ),
        Provider("logs", _load_logs, summary="a log record an operation, with fields"),
    ]
