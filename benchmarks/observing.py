"""What observing costs: one append, with nothing asked for and with each thing that can be.

Appends turns (2 messages of 400 B) through the public API, one store for each way, in interleaved rounds in
another order each time, and prints the median time of each and its ratio to the store without anything.
OpenTelemetry has its SDK, with a batch processor in front of an exporter that keeps nothing.

Run: ``python benchmarks/observing.py [--rounds 400] [URL …]``.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from prometheus_client import CollectorRegistry

from miniagent_store import Message, SessionStore, open_store
from miniagent_store.observing import JsonFormatter, OpenTelemetry, Prometheus, StructuredLogs

TEXT = "x" * 370
IN_A_ROUND = 10


class Nowhere(SpanExporter):
    """Takes spans and forgets them."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def ways(tracer_provider: TracerProvider) -> dict[str, dict[str, Any]]:
    """Options of a store, by what is asked for. "nothing" comes twice: the second shows the noise."""
    quiet = logging.Logger("quiet")
    handler = logging.FileHandler("/dev/null")
    handler.setFormatter(JsonFormatter())
    quiet.addHandler(handler)
    return {
        "nothing": {},
        "nothing again": {},
        "measure": {"measure": True},
        "analytics": {"analytics": True},
        "prometheus": {"plugins": [Prometheus(CollectorRegistry())]},
        "logs (JSON)": {"plugins": [StructuredLogs(quiet)]},
        "opentelemetry": {"plugins": [OpenTelemetry(tracer_provider, MeterProvider())]},
    }


async def measure(url: str, rounds: int) -> dict[str, float]:
    """Median microseconds of an append, by what is asked for."""
    tracer_provider = TracerProvider()
    tracer_provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    asked = ways(tracer_provider)
    took: dict[str, list[float]] = {name: [] for name in asked}
    stores: dict[str, SessionStore] = {}
    async with AsyncExitStack() as stack:
        for number, (name, options) in enumerate(asked.items()):
            store = open_store(url, namespace=f"observing{number}", **options)
            stores[name] = await stack.enter_async_context(store)
            await store.create("bench", user_id="ada", exist_ok=True)
        for each in range(rounds):
            for name in random.sample(list(asked), len(asked)):
                for _ in range(IN_A_ROUND):
                    question, answer = Message.user(TEXT), Message.assistant(TEXT, tokens=100)
                    started = time.perf_counter()
                    await stores[name].append("bench", question, answer)
                    if each:  # the first round warms up
                        took[name].append(time.perf_counter() - started)
    tracer_provider.shutdown()
    return {name: statistics.median(times) * 1e6 for name, times in took.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("urls", nargs="*")
    parser.add_argument("--rounds", type=int, default=400)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for url in given.urls or ["memory://", f"sqlite:///{folder}/bench.db?synchronous=OFF"]:
            medians = asyncio.run(measure(url, given.rounds))
            print(f"{url.replace(folder, '…')}: median µs an append, and its ratio to nothing")
            for name, median in medians.items():
                print(f"  {name:16}{median:8.0f}  {median / medians['nothing']:6.2f}")


if __name__ == "__main__":
    main()
