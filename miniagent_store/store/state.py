"""Named values of a session, apart from its logs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from miniagent_store.backend import Create, ReadPlan, StateScan, StoredValue
from miniagent_store.errors import SessionNotFoundError
from miniagent_store.ids import check_id, check_name
from miniagent_store.options import TTL
from miniagent_store.store.batch import Batch, check_prefix
from miniagent_store.store.core import StoreCore
from miniagent_store.store.reading import check_count
from miniagent_store.values import BatchResult, StateItem, from_ms


class StateHandle:
    """An ordered map of named values: read by name, by many names, or by prefix in order.

    Values are anything of the value model. A missing name is not None: `get` takes a default. Changes
    are commits of the session.

    Args:
        core: of the store.
        session_id: whose state.
        create: make the record with the first change, and read as empty before.
    """

    def __init__(self, core: StoreCore, session_id: str, *, create: Create | None = None) -> None:
        self._core, self._session_id, self._create = core, check_id(session_id), create

    # Reading

    async def item(self, name: str) -> StateItem | None:
        """A value with its version and expiry; None if it is absent."""
        values = await self._read((check_name(name, what="state name"),))
        return self._item(values[0]) if values else None

    async def get(self, name: str, default: Any = None) -> Any:
        """A value, or `default` if it is absent.

        Raises:
            SessionNotFoundError: there is no session.
        """
        item = await self.item(name)
        return default if item is None else item.value

    async def get_many(self, names: Iterable[str]) -> dict[str, Any]:
        """The values that are there, by name, in one round trip."""
        wanted = tuple(check_name(name, what="state name") for name in names)
        return {value.name: self._item(value).value for value in await self._read(wanted)}

    async def scan(
        self,
        prefix: str = "",
        *,
        start: str | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> list[StateItem]:
        """Names that start with `prefix`, in order, as (name, value) pairs that know their version.

        Args:
            prefix: "" for all.
            start: the first name to look at (inclusive); with `reverse`, the highest.
            limit: at most so many.
            reverse: from the highest name down.
        """
        if start is not None:
            check_name(start, what="start")
        scan = StateScan(check_prefix(prefix), start, check_count(limit, "limit"), reverse)
        result = await self._core.read(ReadPlan(self._session_id, scans=(scan,)))
        if result.record is None:
            self._refuse_missing()
            return []
        return [self._item(value) for value in result.scans[0]]

    async def _read(self, names: tuple[str, ...]) -> tuple[StoredValue, ...]:
        result = await self._core.read(ReadPlan(self._session_id, names=names))
        if result.record is None:
            self._refuse_missing()
        return result.values

    def _refuse_missing(self) -> None:
        if self._create is None:
            raise SessionNotFoundError(self._session_id)

    def _item(self, value: StoredValue) -> StateItem:
        expires_at = None if value.expires_ms is None else from_ms(value.expires_ms)
        return StateItem(
            value.name, self._core.coding.decode_value(self._session_id, value), value.version, expires_at
        )

    # Changing

    def _batch(self, commit_id: str | None) -> Batch:
        return Batch(self._core, self._session_id, create=self._create, commit_id=commit_id)

    async def set(
        self,
        name: str,
        value: Any,
        *,
        ttl: TTL | None = None,
        if_version: int | None = None,
        commit_id: str | None = None,
    ) -> int:
        """Set a value; returns its new version.

        Args:
            name: printable text, at most 1,024 bytes.
            value: anything of the value model.
            ttl: the value's own; without one it lives as long as the session.
            if_version: it must be at this version; 0: absent.
            commit_id: ask again under this identity.

        Raises:
            VersionConflictError: it is not at `if_version`.
        """
        batch = self._batch(commit_id)
        batch.state.set(name, value, ttl=ttl, if_version=if_version)
        return (await batch.commit("state.set")).session.version

    async def set_if_absent(
        self, name: str, value: Any, *, ttl: TTL | None = None, commit_id: str | None = None
    ) -> bool:
        """Set a value unless there is one; whether it was set."""
        batch = self._batch(commit_id)
        batch.state.set_if_absent(name, value, ttl=ttl)
        return not (await batch.commit("state.set_if_absent")).kept_out

    async def delete(
        self, name: str, *, if_version: int | None = None, commit_id: str | None = None
    ) -> bool:
        """Remove a value; whether it was there.

        Raises:
            VersionConflictError: it is not at `if_version`.
        """
        batch = self._batch(commit_id)
        batch.state.delete(name, if_version=if_version)
        return not (await batch.commit("state.delete")).kept_out

    async def delete_prefix(self, prefix: str, *, commit_id: str | None = None) -> None:
        """Remove all values whose names start with `prefix`; "" is all."""
        batch = self._batch(commit_id)
        batch.state.delete_prefix(prefix)
        await batch.commit("state.delete_prefix")

    async def add(self, name: str, delta: int = 1, *, commit_id: str | None = None) -> int:
        """Add to a counter (int64, 0 at first); its value afterwards.

        Raises:
            StateTypeError: another kind of value stands there, or the counter would overflow.
        """
        batch = self._batch(commit_id)
        batch.state.add(name, delta)
        result: BatchResult = await batch.commit("state.add")
        return result.counters[0]
