"""Observers of operations: OpenTelemetry, Prometheus, structured logs. Each loads when it is first used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from miniagent_store.observing.logs import JsonFormatter, StructuredLogs
    from miniagent_store.observing.opentelemetry import OpenTelemetry
    from miniagent_store.observing.prometheus import Prometheus

__all__ = ["JsonFormatter", "OpenTelemetry", "Prometheus", "StructuredLogs"]

_HOMES = {
    "JsonFormatter": "logs",
    "OpenTelemetry": "opentelemetry",
    "Prometheus": "prometheus",
    "StructuredLogs": "logs",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
