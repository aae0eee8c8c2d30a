"""Structured logs: a record an operation or event, with fields; no secrets, nothing that was said."""

from __future__ import annotations

import json
import logging
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from miniagent_store.hookspecs import hookimpl
from miniagent_store.observing.ending import AtEnd, error_type
from miniagent_store.operation import AgentOperation, Operation

if TYPE_CHECKING:
    from miniagent_store.backend import ConnectionEvent
    from miniagent_store.values import Session

LOGGER = "miniagent_store.operations"
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class StructuredLogs:
    """Logs operations and events with their facts in the record's fields.

    Operations that failed are logged as errors; retries, lost locks and lost connections as warnings.

    Args:
        logger: where to; a logger or its name.
        level: of operations that went well, and of what merely happened.
    """

    def __init__(self, logger: logging.Logger | str = LOGGER, level: int = logging.INFO) -> None:
        self._logger = logging.getLogger(logger) if isinstance(logger, str) else logger
        self._level = level

    @hookimpl
    def observe(self, operation: Operation) -> AbstractContextManager[None]:
        return AtEnd(operation, self._ended)

    def _ended(self, operation: Operation) -> None:
        level = self._level if operation.error is None else logging.ERROR
        if self._logger.isEnabledFor(level):
            self._log(level, operation.name, facts_of(operation))

    @hookimpl
    def store_retry(
        self, operation: str, session_id: str | None, attempt: int, error: BaseException
    ) -> None:
        facts = {"operation": operation, "session_id": session_id or None, "attempt": attempt}
        self._log(logging.WARNING, "retry", {**facts, "error_type": error_type(error)})

    @hookimpl
    def lock_lost(self, name: str) -> None:
        self._log(logging.WARNING, "lock lost", {"lock": name})

    @hookimpl
    def connection_event(self, event: ConnectionEvent) -> None:
        level = self._level if event.kind in ("connected", "redirected") else logging.WARNING
        self._log(level, f"connection {event.kind}", {"kind": event.kind, "server": event.server})

    @hookimpl
    def session_created(self, session: Session) -> None:
        self._log(self._level, "session created", {"session_id": session.id, "agent": session.agent})

    @hookimpl
    def session_ended(self, session_id: str) -> None:
        self._log(self._level, "session ended", {"session_id": session_id})

    @hookimpl
    def session_expired(self, session_id: str) -> None:
        self._log(self._level, "session expired", {"session_id": session_id})

    def _log(self, level: int, message: str, facts: dict[str, Any]) -> None:
        told = {name: value for name, value in facts.items() if value not in (None, "")}
        self._logger.log(level, message, extra=told)


def facts_of(operation: Operation) -> dict[str, Any]:
    """What may be told of an operation: numbers and names, nothing that was said."""
    place = operation.place
    facts: dict[str, Any] = {
        "operation": operation.name,
        "session_id": operation.session_id,
        "backend": place.backend,
        "namespace": place.namespace,
        "server": place.server,
        "seconds": operation.seconds,
        "entries": operation.entries,
        "retries": operation.retries or None,
        "error_type": None if operation.error is None else error_type(operation.error),
    }
    if operation.hits or operation.misses:
        facts.update(hits=operation.hits, misses=operation.misses)
    if isinstance(operation, AgentOperation):
        facts.update(
            agent=operation.agent,
            provider=operation.provider,
            model=operation.model,
            tool=operation.tool,
            input_tokens=operation.input_tokens,
            output_tokens=operation.output_tokens,
            first_chunk=operation.first_chunk,
        )
    return facts


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: time, level, logger, message, and whatever fields it has besides."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update((name, value) for name, value in vars(record).items() if name not in _STANDARD)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)
