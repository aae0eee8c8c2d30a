"""Metrics for Prometheus. Labels are names out of code, and few; never an id."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram

from miniagent_store.hookspecs import hookimpl
from miniagent_store.observing.ending import AtEnd, BoundedValues, error_type
from miniagent_store.operation import AgentOperation, Operation

if TYPE_CHECKING:
    from miniagent_store.backend import ConnectionEvent
    from miniagent_store.store.draft import CommitDraft
    from miniagent_store.values import Session

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
MODEL_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0)
ACQUIRE = ".acquire"


class _Metrics:
    """The metrics in one registry, shared by all stores that are told to use it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(f"miniagent_{name}", what, labels, registry=registry)

        def histogram(
            name: str, what: str, *labels: str, buckets: tuple[float, ...] = SECONDS
        ) -> Histogram:
            return Histogram(f"miniagent_{name}", what, labels, registry=registry, buckets=buckets)

        self.operations = histogram(
            "store_operation_seconds", "Time of operations, retries included", "backend", "operation"
        )
        self.errors = counter("store_errors", "Operations that failed", "backend", "operation", "error")
        self.retries = counter("store_retries", "Operations tried again", "operation", "error")
        self.commits = counter("store_commits", "Commits that were applied")
        self.entries = counter("store_entries", "Entries that were appended")
        self.sessions = counter("store_sessions", "Sessions created, ended and expired", "event")
        self.lock_waits = histogram("store_lock_wait_seconds", "Time waited for turns and locks", "scope")
        self.locks_lost = counter("store_locks_lost", "Turns and locks lost before their release")
        self.cache = counter("store_cache_requests", "Looks into the cache", "result")
        self.connections = counter("store_connection_events", "What became of connections", "kind")
        self.agents = histogram(
            "agent_operation_seconds",
            "Time of turns, model calls and tools",
            "operation",
            "provider",
            "model",
            buckets=MODEL_SECONDS,
        )
        self.agent_errors = counter(
            "agent_errors", "Turns, model calls and tools that failed", "operation", "error"
        )
        self.tokens = counter("agent_tokens", "Tokens, as models tell them", "provider", "model", "type")
        self.name, self.error, self.model, self.provider = (BoundedValues() for _ in range(4))


_metrics: WeakKeyDictionary[CollectorRegistry, _Metrics] = WeakKeyDictionary()


class Prometheus:
    """Counts operations for Prometheus.

    Args:
        registry: where the metrics are; prometheus-client's default one unless given.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        registry = REGISTRY if registry is None else registry
        known = _metrics.get(registry)
        self._metrics = known if known is not None else _metrics.setdefault(registry, _Metrics(registry))

    @hookimpl
    def observe(self, operation: Operation) -> AbstractContextManager[None]:
        return AtEnd(operation, self._ended)

    def _ended(self, operation: Operation) -> None:
        if isinstance(operation, AgentOperation):
            self._agent(operation)
            return
        metrics, seconds = self._metrics, operation.seconds or 0.0
        backend, name = operation.place.backend, metrics.name(operation.name)
        metrics.operations.labels(backend, name).observe(seconds)
        if operation.error is not None:
            metrics.errors.labels(backend, name, metrics.error(error_type(operation.error))).inc()
        if operation.name.endswith(ACQUIRE):
            metrics.lock_waits.labels(operation.name.removesuffix(ACQUIRE)).observe(seconds)
        if operation.hits:
            metrics.cache.labels("hit").inc(operation.hits)
        if operation.misses:
            metrics.cache.labels("miss").inc(operation.misses)

    def _agent(self, operation: AgentOperation) -> None:
        metrics = self._metrics
        name, model = operation.name, metrics.model(operation.model)
        provider = metrics.provider(operation.provider)
        metrics.agents.labels(name, provider, model).observe(operation.seconds or 0.0)
        if operation.error is not None:
            metrics.agent_errors.labels(name, metrics.error(error_type(operation.error))).inc()
        if name == "chat":
            for kind, tokens in (("input", operation.input_tokens), ("output", operation.output_tokens)):
                if tokens:
                    metrics.tokens.labels(provider, model, kind).inc(tokens)

    @hookimpl
    def after_commit(self, draft: CommitDraft) -> None:
        self._metrics.commits.inc()
        self._metrics.entries.inc(sum(1 for _ in draft.entries))

    @hookimpl
    def store_retry(self, operation: str, error: BaseException) -> None:
        metrics = self._metrics
        metrics.retries.labels(metrics.name(operation), metrics.error(error_type(error))).inc()

    @hookimpl
    def lock_lost(self) -> None:
        self._metrics.locks_lost.inc()

    @hookimpl
    def connection_event(self, event: ConnectionEvent) -> None:
        self._metrics.connections.labels(event.kind).inc()

    @hookimpl
    def session_created(self, session: Session) -> None:
        self._metrics.sessions.labels("created").inc()

    @hookimpl
    def session_ended(self, session_id: str) -> None:
        self._metrics.sessions.labels("ended").inc()

    @hookimpl
    def session_expired(self, session_id: str) -> None:
        self._metrics.sessions.labels("expired").inc()
