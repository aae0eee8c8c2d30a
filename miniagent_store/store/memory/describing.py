"""What a scope holds."""

from __future__ import annotations

from typing import Any

from miniagent_store.backend import ReadPlan, StateScan
from miniagent_store.memory_report import MemoryStats
from miniagent_store.store.core import StoreCore
from miniagent_store.store.memory import layout
from miniagent_store.store.memory.choosing import Choosing
from miniagent_store.store.memory.following import decoded
from miniagent_store.store.memory.generations import Model, model_in
from miniagent_store.store.memory.reindex_marker import Marker
from miniagent_store.vector_index import IndexPlace

# Memories of one read.
PAGE = 500


async def describe(core: StoreCore, record_id: str, choosing: Choosing) -> MemoryStats:
    """Count what a scope holds; all its texts are read.

    Raises:
        ConfigurationError: the index that was asked for by name cannot stand there.
    """
    read = await core.read(ReadPlan(record_id, names=(layout.MODEL, layout.REINDEX)))
    items = await decoded(core, record_id, read.values)
    model, (marker, _) = model_in(items), Marker.in_items(items)
    memories = await _count(core, record_id)
    index = None if model is None else await choosing.name(place_of(core, record_id, model), memories)
    return MemoryStats(
        memories,
        0 if read.record is None else read.record.size,
        None if model is None else model.name,
        None if model is None else model.dimensions,
        0 if model is None else model.generation,
        index,
        None if marker is None else _reindexing(marker.model, in_use=marker.model == model),
    )


def _reindexing(model: Model, *, in_use: bool) -> dict[str, Any]:
    return {"name": model.name, "dimensions": model.dimensions, "in_use": in_use}


def place_of(core: StoreCore, record_id: str, model: Model) -> IndexPlace:
    """Where an index of a model stands."""
    return IndexPlace(core.backend, record_id, model.place, model.dimensions)


async def _count(core: StoreCore, record_id: str) -> int:
    count, start = 0, None
    while True:
        scan = StateScan(layout.text_name(), start, PAGE + 1)
        result = await core.read(ReadPlan(record_id, scans=(scan,)))
        names = [each.name for scanned in result.scans for each in scanned]
        count += len(names[:PAGE])
        if len(names) <= PAGE:
            return count
        start = names[PAGE]
