"""How the changes of state in a commit are applied."""

from __future__ import annotations

from collections.abc import Iterable

from miniagent_store.backend import (
    StateAdd,
    StateChange,
    StateDelete,
    StateDeletePrefix,
    StateSet,
    StoredValue,
)
from miniagent_store.errors import StateTypeError, VersionConflictError
from miniagent_store.rules.rows import SessionRows, is_expired

INT64_MAX = 2**63 - 1
INT64_MIN = -(2**63)


class StateChanges:
    """Applies changes one after the other, and counts what they did.

    Attributes:
        grown: bytes added less bytes removed; counters weigh nothing.
        kept_out: names that their condition kept out, and of deletes that found nothing.
        counters: values of the counters added to.
    """

    def __init__(self, rows: SessionRows, session_id: str, version: int, now_ms: int) -> None:
        self._rows, self._session_id, self._version, self._now_ms = (
            rows,
            session_id,
            version,
            now_ms,
        )
        self.grown: int = 0
        self.kept_out: list[str] = []
        self.counters: list[int] = []

    def apply_all(self, changes: Iterable[StateChange]) -> None:
        for change in changes:
            match change:
                case StateSet():
                    self._set(change)
                case StateDelete():
                    self._delete(change)
                case StateDeletePrefix(prefix):
                    self.grown -= self._rows.remove_values(prefix)
                case StateAdd(name, delta):
                    self.counters.append(self._add(name, delta))

    def _live(self, value: StoredValue | None) -> StoredValue | None:
        return None if value is None or is_expired(value.expires_ms, self._now_ms) else value

    def _holds(self, change: StateSet | StateDelete, value: StoredValue | None) -> bool:
        if change.if_version is None:
            return True
        live = self._live(value)
        version = live.version if live else 0
        if version == change.if_version:
            return True
        if change.required:
            raise VersionConflictError(
                self._session_id,
                expected=f"state {change.name!r} {_at_version(change.if_version)}",
                actual=f"it {_at_version(version)}",
            )
        self.kept_out.append(change.name)
        return False

    def _set(self, change: StateSet) -> None:
        old = self._rows.value(change.name)
        if not self._holds(change, old):
            return
        expires_ms = None if change.ttl_ms is None else self._now_ms + change.ttl_ms
        self._rows.put_value(StoredValue(change.name, self._version, change.payload, expires_ms=expires_ms))
        self.grown += len(change.payload) - _weight(old)

    def _delete(self, change: StateDelete) -> None:
        old = self._rows.value(change.name)
        if not self._holds(change, old):
            return
        if self._live(old) is None:
            self.kept_out.append(change.name)
        if old is not None:
            self._rows.remove_value(change.name)
            self.grown -= _weight(old)

    def _add(self, name: str, delta: int) -> int:
        old = self._rows.value(name)
        live = self._live(old)
        if live is not None and live.counter is None:
            raise StateTypeError(
                self._session_id, name=name, problem="not a counter; delete it before adding to it"
            )
        total = (live.counter or 0 if live else 0) + delta
        if not INT64_MIN <= total <= INT64_MAX:
            raise StateTypeError(
                self._session_id, name=name, problem="the counter would leave the range of int64"
            )
        self._rows.put_value(
            StoredValue(name, self._version, None, total, live.expires_ms if live else None)
        )
        self.grown -= _weight(old)
        return total


def _weight(value: StoredValue | None) -> int:
    return len(value.payload) if value is not None and value.payload is not None else 0


def _at_version(version: int) -> str:
    return f"at version {version}" if version else "absent"
