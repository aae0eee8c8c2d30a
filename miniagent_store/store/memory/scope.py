"""What is remembered within a scope."""

from __future__ import annotations

import builtins
import secrets
import time as clock
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from miniagent_store.backend import Create, ReadPlan, StateScan
from miniagent_store.embedder import Embedder
from miniagent_store.errors import VersionConflictError
from miniagent_store.ids import check_id
from miniagent_store.memory_report import MemoryStats, Reindexing
from miniagent_store.options import TTL, parse_ttl_ms
from miniagent_store.store.batch import Batch
from miniagent_store.store.cache import Cache
from miniagent_store.store.core import StoreCore
from miniagent_store.store.memory import layout, limits
from miniagent_store.store.memory.anchoring import (
    CONFLICTS,
    alive,
    anchor_sources,
    check_sources,
    sources_of,
)
from miniagent_store.store.memory.choosing import Choosing
from miniagent_store.store.memory.describing import describe, place_of
from miniagent_store.store.memory.embedding import Embedding, embedder_of
from miniagent_store.store.memory.emptying import forget_all
from miniagent_store.store.memory.filters import Filter, checked
from miniagent_store.store.memory.following import decoded, read_items
from miniagent_store.store.memory.generations import Model, model_in
from miniagent_store.store.memory.indexed import Indexed
from miniagent_store.store.memory.layout import NewMemory
from miniagent_store.store.memory.pausing import ATTEMPTS, pause
from miniagent_store.store.memory.reindexing import Progress, Reindex
from miniagent_store.store.memory.remembering import Following, Remember, behind
from miniagent_store.store.memory.replacing import read_replaced, session_of
from miniagent_store.store.memory.searching import Mode, Searching
from miniagent_store.store.memory.sources import standing
from miniagent_store.store.memory.trimming import trim_changes
from miniagent_store.store.memory.words.words import Words
from miniagent_store.store.reading import check_count
from miniagent_store.values import Memory, MemoryPage, MemorySource, Session, StateItem, from_ms, to_ms
from miniagent_store.vector_index import IndexQuery

# Of one commit: what is more is split, so that none holds up others for long.
AT_ONCE, BYTES_AT_ONCE = 200, 2**21


class MemoryScope:
    """What is remembered of a user, by an agent, in a tenant.

    Made by `SessionStore.memory`. Its record is made by the first memory and never expires.

    Args:
        core: of the store.
        scope: its name.
        embedder: makes vectors of texts.
        cache: where vectors of an embedder that costs are kept.
        choosing: chooses an index of them.
    """

    def __init__(
        self, core: StoreCore, scope: str, embedder: Embedder, cache: Cache, choosing: Choosing
    ) -> None:
        self._core, self._scope, self._record_id = core, scope, layout.record_of(scope)
        self._embedding = Embedding(embedder, cache)
        self._cache, self._choosing = cache, choosing
        self._indexed = Indexed(core, self._record_id, self._embedding, choosing.make)
        self._words = Words(core, self._record_id)
        self._searching = Searching(self._embedding, self._indexed, self._words, self._load)

    # Changing

    async def add(
        self,
        said: str | Mapping[str, Any],
        *,
        id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        source: MemorySource | None = None,
        time: datetime | None = None,
        ttl: TTL | None = None,
        forget_on_expiry: bool = False,
    ) -> Memory:
        """Remember a text; one of the same id is replaced.

        Args:
            said: a text, or a message, of which its text is taken.
            id: printable text; a random one, in order of time, unless given.
            metadata: texts, numbers, true, false and null by name.
            source: where it was said.
            time: when; now unless given.
            ttl: how long it is kept, in seconds or as "30d"; for ever unless given.
            forget_on_expiry: whether it goes when the session of its source has expired.

        Raises:
            InvalidArgumentError: there is no text, or an argument is none.
            EmbeddingError: no vector could be made; nothing is stored.
        """
        wanted = {"said": said, "id": id, "metadata": metadata, "source": source, "time": time, "ttl": ttl}
        return (await self.add_many([{**wanted, "forget_on_expiry": forget_on_expiry}]))[0]

    async def add_many(self, memories: Iterable[str | Mapping[str, Any]]) -> builtins.list[Memory]:
        """Remember several, `AT_ONCE` of them in one commit.

        Args:
            memories: texts, or mappings of the arguments of `add`.

        Raises:
            As `add`; what comes after the failure is not stored.
        """
        new = [self._new(**({"said": each} if isinstance(each, str) else each)) for each in memories]
        sizes = [len(each.text) for each in new]
        for page in limits.pages(sizes, count=AT_ONCE, size=BYTES_AT_ONCE):
            # Of those with the same id the last one stays, as if they had come one after the other.
            await self._commit(list({each.id: each for each in new[page]}.values()))
        now = self._core.backend.now_ms()
        return [
            Memory(
                each.id,
                each.text,
                each.metadata,
                each.source,
                each.time,
                None if each.ttl_ms is None else from_ms(now + each.ttl_ms),
                each.forget_on_expiry,
            )
            for each in new
        ]

    def _new(
        self,
        said: str | Mapping[str, Any],
        id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        source: MemorySource | None = None,
        time: datetime | None = None,
        ttl: TTL | None = None,
        forget_on_expiry: bool = False,
    ) -> NewMemory:
        now = from_ms(self._core.backend.now_ms())
        return NewMemory(
            new_memory_id() if id is None else layout.check_memory_id(id),
            limits.text_of(said),
            limits.check_metadata(metadata),
            limits.check_source(source),
            limits.check_time(time, what="time") or now,
            parse_ttl_ms(ttl),
            forget_on_expiry,
        )

    async def _commit(self, new: Sequence[NewMemory]) -> None:
        for attempt in range(ATTEMPTS):
            anchored = await anchor_sources(self._core, self._scope, self._record_id, sources_of(new))
            replaced = await read_replaced(self._core, self._record_id, new)
            batch = replaced.batch(self._core, self._record_id)
            await self._put(batch, alive(self._core, new, anchored))
            replaced.take_sources(batch)
            for each in anchored:
                each.write(batch)
            try:
                result = await batch.commit("memory.add")
            except CONFLICTS:
                await pause(attempt)
                continue
            await trim_changes(self._core, self._record_id, result)
            await check_sources(self._core, self._record_id, anchored)
            return
        raise VersionConflictError(self._record_id, expected="as it was read", actual="others change it")

    async def _put(self, batch: Batch, new: Sequence[NewMemory]) -> None:
        """Have a commit remember."""
        vectors = await self._embedding.embed([each.text for each in new])
        model = await self._indexed.claim(batch, len(vectors[0]) // 4)
        for each, vector in zip(new, vectors, strict=True):
            ttl = _seconds(each.ttl_ms)
            batch.state.set(layout.text_name(each.id), each.value(), ttl=ttl)
            batch.state.set(model.vector_name(each.id), model.stamped(vector, each.text), ttl=ttl)
            # Of the text that stood here another model may have made one too.
            batch.state.delete(model.other_vector_name(each.id))
            if each.source is not None:
                name = layout.source_name(each.source.session_id, each.id)
                batch.state.set(name, each.source.seq, ttl=ttl)
        batch.append({"ids": [each.id for each in new]}, log=layout.CHANGES, dedupe=False)

    async def follow(
        self,
        session_id: str,
        remember: Remember,
        *,
        ttl: TTL | None = None,
        forget_on_expiry: bool = False,
    ) -> int:
        """Remember what was said in a session since last time, each message once; how much that was.

        However many do so at once, and whoever of them dies: what was remembered stands with how far it
        went in one commit.

        Args:
            session_id: the session; one that is not there is nothing to remember.
            remember: a function (sync or async) of a `Message`, which returns the text to remember of it,
                or None.
            ttl: how long it is kept from when it was said; for ever unless given.
            forget_on_expiry: whether it goes when the session has expired.

        Raises:
            EmbeddingError: no vectors could be made; what is not remembered yet will be next time.
        """
        following = Following(
            self._core,
            self._scope,
            self._record_id,
            self._put,
            remember,
            parse_ttl_ms(ttl),
            forget_on_expiry,
        )
        return await following.follow(check_id(session_id))

    async def behind(self, sessions: Iterable[Session]) -> builtins.list[str]:
        """Ids of those sessions in which there is something for `follow` to do."""
        return await behind(self._core, self._record_id, sessions)

    async def delete(self, *ids: str) -> int:
        """Forget memories; how many of them there were."""
        names = [layout.text_name(layout.check_memory_id(each)) for each in ids]
        found = (await self._core.read(ReadPlan(self._record_id, names=tuple(dict.fromkeys(names))))).values
        for start in range(0, len(found), AT_ONCE):
            batch = self._batch()
            some = found[start : start + AT_ONCE]
            for each in some:
                memory_id = layout.id_of(each.name)
                batch.state.delete(each.name)
                for name in layout.vector_names(memory_id):
                    batch.state.delete(name)
                session_id = session_of(self._core, self._record_id, each)
                if session_id is not None:
                    batch.state.delete(layout.source_name(session_id, memory_id))
            changed = [layout.id_of(each.name) for each in some]
            batch.append({"ids": changed}, log=layout.CHANGES, dedupe=False)
            await trim_changes(self._core, self._record_id, await batch.commit("memory.delete"))
        return len(found)

    async def delete_of(self, session_id: str) -> int:
        """Forget what was said in a session; how many memories that were."""
        prefix = layout.source_name(session_id)
        result = await self._core.read(ReadPlan(self._record_id, scans=(StateScan(prefix),)))
        names = [each.name for scan in result.scans for each in scan]
        return await self.delete(*(each[len(prefix) :] for each in names))

    async def forget(self, *, progress: Callable[[int], object] | None = None) -> bool:
        """Forget the whole scope; whether anything was there.

        Where there is much, in commits that hold up nobody for long: who is stopped on the way has
        forgotten a part, and goes on when he calls it again. What is added meanwhile may be forgotten too.

        Args:
            progress: is told how many memories are gone, after each commit.
        """
        await self._indexed.drop()
        await self._words.drop()
        return await forget_all(self._core, self._record_id, progress)

    async def reindex(
        self, embedder: str | Embedder, *, again: bool = False, progress: Progress | None = None
    ) -> Reindexing:
        """Make vectors of another model for all that is remembered, without a gap in service.

        Whoever uses the old model goes on with it until all is done; from then on it is refused to him, and
        the error says which model is in use. Cut short, call it again: it goes on from where it was.

        Args:
            embedder: a name such as "openai:text-embedding-3-small", or an object.
            again: make them anew also where they are of this model already.
            progress: a function that is told again and again how far it is.

        Raises:
            ConfigurationError: somebody began to make vectors of yet another model meanwhile.
            EmbeddingError: no vectors could be made; the old ones stay in use.
        """
        embedding = Embedding(embedder_of(self._core, embedder), self._cache)

        async def drop_old(old: Model, in_use: Model) -> None:
            places = (place_of(self._core, self._record_id, each) for each in (old, in_use))
            await self._choosing.drop_old(*places)

        work = Reindex(self._core, self._record_id, embedding, drop_old, again=again, progress=progress)
        return await work.run()

    def _batch(self) -> Batch:
        return Batch(self._core, self._record_id, create=Create(kind=layout.KIND, keep_existing=True))

    # Reading

    async def search(
        self,
        query: str | Sequence[float],
        *,
        k: int = 10,
        filter: Filter | None = None,
        min_score: float | None = None,
        after: datetime | None = None,
        before: datetime | None = None,
        mode: Mode = "hybrid",
    ) -> builtins.list[Memory]:
        """What is remembered that fits a query best.

        Args:
            query: a text, or a vector of the embedder's.
            k: at most so many.
            filter: by field of the metadata, a value or operators, as in
                ``{"topic": "food", "year": {"$gte": 2024}}``: ``$eq $ne $gt $gte $lt $lte $in``.
            min_score: leave out what fits less, by the scores of `mode`.
            after, before: only what was said between these times, both exclusive.
            mode: "vector": by meaning; scores are cosines, 1.0 for the same. "words": by the words in it;
                scores are BM25, above 0. "hybrid": by both, fused by reciprocal rank; scores are 1.0 for
                what is first in both, and about 0.5 for what is first in one.

        Raises:
            InvalidArgumentError: an argument is out of range, or the vector has a wrong dimension.
            EmbeddingError: no vector could be made of the query.
        """
        if isinstance(query, str):
            limits.check_text(query, what="a query")
        limits.check_time(after, what="after")
        limits.check_time(before, what="before")
        limits.check_score(min_score)
        wanted = IndexQuery(
            b"",
            k,
            checked(filter),
            None if after is None else to_ms(after),
            None if before is None else to_ms(before),
            self._core.backend.now_ms(),
        )
        return await self._searching.search(query, wanted, mode, min_score)

    async def _load(self, ranking: Iterable[tuple[str, float]]) -> builtins.list[Memory]:
        scores = dict(ranking)
        items = {layout.id_of(each.name): each for each in await self._items(map(layout.text_name, scores))}
        found = [layout.memory_of(items[each], score) for each, score in scores.items() if each in items]
        return await standing(self._core, found)

    async def get(self, id: str) -> Memory | None:
        """One memory; None if there is none of this id."""
        items = await self._items([layout.text_name(layout.check_memory_id(id))])
        found = await standing(self._core, map(layout.memory_of, items))
        return found[0] if found else None

    async def model(self) -> str | None:
        """Name of the embedder whose vectors are in use here; None where there are none."""
        found = model_in(await self._items([layout.MODEL]))
        return None if found is None else found.name

    async def stats(self) -> MemoryStats:
        """How much is remembered, and with which vectors; all texts are read to count them."""
        return await describe(self._core, self._record_id, self._choosing)

    async def list(self, *, limit: int = 50, cursor: str | None = None) -> MemoryPage:
        """Memories by id: those with random ids in order of time.

        Args:
            limit: at most so many.
            cursor: of the page before.
        """
        check_count(limit, "limit", least=1)
        if cursor is not None:
            layout.check_memory_id(cursor)
        scan = StateScan(
            layout.text_name(), None if cursor is None else layout.text_name(cursor), limit + 1
        )
        result = await self._core.read(ReadPlan(self._record_id, scans=(scan,)))
        values = [value for each in result.scans for value in each]
        items = await decoded(self._core, self._record_id, values[:limit])
        page = await standing(self._core, map(layout.memory_of, items))
        return MemoryPage(page, layout.id_of(values[limit].name) if len(values) > limit else None)

    async def _items(self, names: Iterable[str]) -> builtins.list[StateItem]:
        return await read_items(self._core, self._record_id, list(names))


def new_memory_id() -> str:
    """A random id; those of later milliseconds sort after it."""
    return f"{int(clock.time() * 1000):012x}-{secrets.token_hex(8)}"


def _seconds(ttl_ms: int | None) -> float | None:
    return None if ttl_ms is None else ttl_ms / 1000
