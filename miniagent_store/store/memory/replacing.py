"""What stands where memories are added: of which sessions those are that they replace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from miniagent_store.backend import Create, Expected, ReadPlan, StoredValue
from miniagent_store.store.batch import Batch
from miniagent_store.store.core import StoreCore
from miniagent_store.store.memory import layout
from miniagent_store.store.memory.following import DAMAGED
from miniagent_store.store.memory.layout import NewMemory


@dataclass(frozen=True, slots=True)
class Replaced:
    """A scope before memories are added.

    Attributes:
        incarnation: of its record; None where there is none.
        sources: state values that say of which sessions the memories were that are replaced by others.
    """

    incarnation: str | None
    sources: tuple[str, ...]

    def batch(self, core: StoreCore, record_id: str) -> Batch:
        """For a commit that fails if the scope was forgotten, or made, since it was read.

        What stood there said whose vectors are in it; a scope that is made anew has to be told.
        """
        create = Create(kind=layout.KIND, keep_existing=self.incarnation is not None)
        expected = None if self.incarnation is None else Expected(incarnation=self.incarnation)
        return Batch(core, record_id, create=create, expected=expected)

    def take_sources(self, batch: Batch) -> None:
        """Have a commit say no more that what it replaces is of a session."""
        for each in self.sources:
            batch.state.delete(each)


def session_of(core: StoreCore, record_id: str, value: StoredValue) -> str | None:
    """The session of a memory's source; None for one without, and for one that is damaged."""
    try:
        source = core.coding.decode_value(record_id, value)["source"]
    except DAMAGED:
        return None
    return None if source is None else str(source["session_id"])


async def read_replaced(core: StoreCore, record_id: str, new: Sequence[NewMemory]) -> Replaced:
    """What is there under the ids of memories that are to be added."""
    by_name = {layout.text_name(each.id): each for each in new}
    read = await core.read(ReadPlan(record_id, names=tuple(by_name)))
    if read.record is None:
        return Replaced(None, ())
    sources = []
    for each in read.values:
        old = session_of(core, record_id, each)
        source = by_name[each.name].source
        if old is not None and (source is None or source.session_id != old):
            sources.append(layout.source_name(old, by_name[each.name].id))
    return Replaced(read.record.incarnation, tuple(sources))
