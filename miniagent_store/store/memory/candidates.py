"""Of what an index that is not exact takes for near, what is nearest: by what is stored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from miniagent_store.store.core import StoreCore
from miniagent_store.store.memory import layout
from miniagent_store.store.memory.filters import holds
from miniagent_store.store.memory.following import read_items
from miniagent_store.store.memory.generations import Model, bare, model_in
from miniagent_store.values import StateItem
from miniagent_store.vector_index import IndexGone, IndexQuery, VectorIndex

# By how much more is asked for where too few of the candidates pass.
WIDER = 8


async def best(
    core: StoreCore, record_id: str, index: VectorIndex, query: IndexQuery, model: Model
) -> Sequence[tuple[str, float]]:
    """Ids and cosines, the nearest first, equals by id.

    Args:
        core: of the store.
        record_id: of the scope.
        index: gives candidates.
        query: what is looked for.
        model: whose vectors are in use.

    Raises:
        IndexGone: as `VectorIndex.search`, or another model's are in use now.
    """
    asked = query
    while True:
        found = [each for each, _ in await index.search(asked)]
        names = [model.vector_name(each) for each in found]
        if query.filter:
            names += [layout.text_name(each) for each in found]
        passed = []
        if names:
            items = await read_items(core, record_id, [*names, layout.MODEL])
            if model_in(items) not in (None, model):
                raise IndexGone
            passed = _compared(items, query, model)
        if len(passed) >= query.k or len(found) < asked.k:
            return passed[: query.k]
        asked = replace(asked, k=asked.k * WIDER)


def _compared(items: Iterable[StateItem], query: IndexQuery, model: Model) -> list[tuple[str, float]]:
    values = {each.name: each.value for each in items}
    passed = {}
    for name, value in values.items():
        id = layout.id_of(name)
        if name == model.vector_name(id) and model.is_ours(value):
            text = values.get(layout.text_name(id)) if query.filter else {"metadata": {}}
            if text is not None and holds(query.filter, text["metadata"]):
                passed[id] = bare(value)
    if not passed:
        return []
    scored = list(zip(passed, _cosines(list(passed.values()), query.vector), strict=True))
    scored.sort(key=lambda each: (-each[1], each[0]))
    return scored


def _cosines(vectors: Sequence[bytes], query: bytes) -> list[float]:
    """Of packed vectors of length 1; those of equal ones are equal to the last bit."""
    import numpy

    numbers = numpy.frombuffer(b"".join(vectors), "<f4").reshape(len(vectors), -1).astype(numpy.float64)
    cosines = (numbers * numpy.frombuffer(query, "<f4").astype(numpy.float64)).sum(axis=1)
    return list(map(float, cosines))
