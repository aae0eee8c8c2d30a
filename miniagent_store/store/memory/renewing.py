"""Vectors that memories lack, made while others add, replace and delete.

A vector is committed on condition that nothing has changed since its text was read: so none ever stands for
a memory that was deleted, or for a text that was replaced. What takes long, embedding, is done before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from miniagent_store.backend import ReadPlan, ReadResult
from miniagent_store.errors import VersionConflictError
from miniagent_store.store.batch import Batch
from miniagent_store.store.core import StoreCore
from miniagent_store.store.memory import layout
from miniagent_store.store.memory.anchoring import CONFLICTS
from miniagent_store.store.memory.embedding import Embedding
from miniagent_store.store.memory.following import decoded
from miniagent_store.store.memory.generations import Model
from miniagent_store.store.memory.pausing import ATTEMPTS, pause
from miniagent_store.values import StateItem, to_ms

# Of one commit, as long as nobody comes between; also what an embedder is asked for at once.
AT_ONCE = 100

# What else a commit is to do, of what was read together, and the last id that it gives a vector. It raises
# where the vectors are not wanted any more.
Also = Callable[[Batch, Sequence[StateItem], str], None]


class Renewing:
    """Gives memories the vectors that they lack.

    Args:
        core: of the store.
        record_id: of the scope.
        embedding: makes them.
        model: whose they are, and of which generation.
    """

    def __init__(self, core: StoreCore, record_id: str, embedding: Embedding, model: Model) -> None:
        self._core, self._record_id, self._embedding, self._model = core, record_id, embedding, model

    async def renew(self, ids: Sequence[str], also: Also | None = None) -> int:
        """Give each of these a vector of its text, in order; how many lacked one.

        Raises:
            EmbeddingError: no vectors could be made; those that were committed stand.
            VersionConflictError: others change the scope all the time.
        """
        made = 0
        for start in range(0, len(ids), AT_ONCE):
            made += await self._renew(ids[start : start + AT_ONCE], also)
        return made

    async def _renew(self, ids: Sequence[str], also: Also | None) -> int:
        made = attempt = 0
        at_once, known = AT_ONCE, dict[str, bytes]()
        while attempt < ATTEMPTS:
            read = await self._read(ids)
            items = await decoded(self._core, self._record_id, read.values)
            lacking = await asyncio.to_thread(self._lacking, ids, items)
            unknown = list({text: None for text in lacking.values() if text not in known})
            if unknown:
                known.update(zip(unknown, await self._embedding.embed(unknown), strict=True))
                # That took long: what stands now?
                continue
            some = list(lacking)[:at_once]
            if not some:
                return made
            try:
                await self._commit(read, items, {each: known[lacking[each]] for each in some}, also)
            except CONFLICTS:
                # The fewer, the shorter it takes, and the less comes between.
                at_once, attempt = max(1, at_once // 2), attempt + 1
                await pause(attempt)
            else:
                made, attempt = made + len(some), 0
                at_once = min(2 * at_once, AT_ONCE)
        raise VersionConflictError(self._record_id, expected="as it was read", actual="others change it")

    async def _read(self, ids: Sequence[str]) -> ReadResult:
        names = (*self._model.names(ids), layout.REINDEX)
        return await self._core.read(ReadPlan(self._record_id, names=names))

    def _lacking(self, ids: Sequence[str], items: Sequence[StateItem]) -> dict[str, str]:
        """The texts of those without a vector of theirs, by id."""
        _, lacking = self._model.vectors(items)
        texts = {each.name: each.value for each in items}
        wanted = set(lacking)
        return {each: texts[layout.text_name(each)]["text"] for each in ids if each in wanted}

    async def _commit(
        self, read: ReadResult, items: Sequence[StateItem], vectors: dict[str, bytes], also: Also | None
    ) -> None:
        assert read.record is not None
        by_name = {each.name: each for each in items}
        # Also of those that are damaged, and were left out.
        versions = {each.name: each.version for each in read.values}
        now_ms = self._core.backend.now_ms()
        batch = Batch(self._core, self._record_id)
        batch.expect_tail(read.record.position, log=layout.CHANGES)
        for id, vector in vectors.items():
            text, name = by_name[layout.text_name(id)], self._model.vector_name(id)
            batch.state.set(
                name,
                self._model.stamped(vector, text.value["text"]),
                # As long as the text; one that is about to expire needs none, but does no harm.
                ttl=None if text.expires_at is None else max(1, to_ms(text.expires_at) - now_ms) / 1000,
                if_version=versions.get(name, 0),
            )
        if also is not None:
            also(batch, items, list(vectors)[-1])
        await batch.commit("memory.reindex")
