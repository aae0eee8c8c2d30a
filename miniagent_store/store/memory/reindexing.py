"""New vectors for a scope, of another model, while it is read and written with the old ones.

The new vectors are made beside the old ones; the state value "reindex" says how far that is, and moves in
the commits of the vectors: after a crash the next one goes on from there. What changes meanwhile is found
by the log of changes. Then one commit says that the new ones are in use. What somebody adds with the old
model after that, because he did not see it yet, lacks a vector for whoever follows the changes, who makes
it (see `Indexed`). At last the old vectors are removed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from miniagent_store.backend import LogRange, ReadPlan, ReadResult, StateScan
from miniagent_store.errors import ConfigurationError, VersionConflictError
from miniagent_store.memory_report import Reindexing
from miniagent_store.store.batch import Batch
from miniagent_store.store.core import StoreCore
from miniagent_store.store.memory import layout
from miniagent_store.store.memory.anchoring import CONFLICTS
from miniagent_store.store.memory.embedding import Embedding
from miniagent_store.store.memory.following import decoded
from miniagent_store.store.memory.generations import Model, model_in
from miniagent_store.store.memory.pausing import ATTEMPTS, pause
from miniagent_store.store.memory.reindex_marker import Marker, same_work
from miniagent_store.store.memory.renewing import AT_ONCE, Also, Renewing
from miniagent_store.values import StateItem

# Changes that are read at once, and of which so few may be left when the new vectors come into use.
PAGE, FEW = 500, 20
# Rounds after which they do all the same: what is left is found by whoever follows the changes.
ROUNDS = 20

Progress = Callable[[Reindexing], None]
# Removes indexes that outlive their processes: of a model that is in use no more; and the one that is.
DropOld = Callable[[Model, Model], Awaitable[None]]


class _Moved(Exception):
    """It is not as it was read: others are at it too, or the scope was forgotten."""


@dataclass(frozen=True, slots=True)
class _Look:
    """How it stands; versions are those of the state values."""

    read: ReadResult
    model: Model | None
    model_version: int
    marker: Marker | None
    marker_version: int


class Reindex:
    """Makes new vectors.

    Args:
        core: of the store.
        record_id: of the scope.
        embedding: makes them.
        drop_old: removes indexes of the old ones.
        again: make them anew also where they are of this model already.
        progress: told again and again how far it is.
    """

    def __init__(
        self,
        core: StoreCore,
        record_id: str,
        embedding: Embedding,
        drop_old: DropOld,
        *,
        again: bool = False,
        progress: Progress | None = None,
    ) -> None:
        self._core, self._record_id, self._embedding = core, record_id, embedding
        self._drop_old, self._again, self._progress = drop_old, again, progress
        self._so_far = Reindexing(embedding.name)
        self._began: Model | None = None

    async def run(self) -> Reindexing:
        """Go on from where it stands, to the end.

        Raises:
            ConfigurationError: somebody began to make vectors of yet another model meanwhile.
            EmbeddingError: no vectors could be made; the old ones are in use as before, and next time it
                goes on from here.
        """
        dimensions = await self._embedding.dimensions()
        attempt = 0
        while attempt < ATTEMPTS:
            before = self._so_far
            try:
                while await self._step(dimensions):
                    pass
            except (_Moved, *CONFLICTS):
                # As long as it gets on, it comes to an end.
                attempt = attempt + 1 if self._so_far == before else 0
                await pause(attempt)
            else:
                self._tell(step="done")
                return self._so_far
        raise VersionConflictError(self._record_id, expected="as it was read", actual="others change it")

    async def _step(self, dimensions: int) -> bool:
        """Whether there is more to do."""
        look = await self._look()
        model, marker = look.model, look.marker
        if model is None:
            return False
        name = self._embedding.name
        if marker is not None and marker.old is not None:
            if marker.model.is_of(name, dimensions):
                self._began = marker.model
            await self._tidy(model, marker)
        elif model.is_of(name, dimensions) and (not self._again or model == self._began):
            if marker is None:
                return False
            # Others began with another model, and are to leave it.
            await self._write(look, replace(marker, old=marker.model))
        elif self._began is not None and (marker is None or marker.model != self._began):
            raise ConfigurationError(
                f"vectors of {self._began.name} are made for {layout.scope_of(self._record_id)!r} no more: "
                "somebody began to make those of another model, or to remove them, meanwhile"
            )
        elif marker is None or not marker.model.is_of(name, dimensions):
            await self._begin(look, model, dimensions)
        else:
            self._began = marker.model
            await self._make(marker)
        return True

    # Making

    async def _begin(self, look: _Look, model: Model, dimensions: int) -> None:
        # Of those that were begun and left there may be vectors under the names of the next ones.
        number = model.generation + 1 if look.marker is None else look.marker.model.generation + 2
        began = Model(self._embedding.name, dimensions, number)
        assert look.read.record is not None
        await self._write(look, Marker(began, None, look.read.record.tail(layout.CHANGES).last))
        self._began = began

    async def _make(self, marker: Marker) -> None:
        renewing = Renewing(self._core, self._record_id, self._embedding, marker.model)
        marker = await self._walk(renewing, marker)
        self._tell(step="following")
        await self._switch(await self._catch_up(renewing, marker))

    async def _walk(self, renewing: Renewing, marker: Marker) -> Marker:
        """Past all memories, those that are done already aside; how far it is then."""
        last = marker.after
        while True:
            # Begins with the last one, whatever may come after it in their order.
            start, limit = (None, AT_ONCE) if last is None else (layout.text_name(last), AT_ONCE + 1)
            scan = StateScan(layout.text_name(), start, limit)
            result = await self._core.read(ReadPlan(self._record_id, scans=(scan,)))
            ids = [layout.id_of(each.name) for scanned in result.scans for each in scanned]
            new = [each for each in ids if each != last]
            self._count(await renewing.renew(new, self._also(marker, is_in_order=True)))
            self._tell(step="reading", looked=self._so_far.looked + len(new))
            last = new[-1] if new else last
            if len(ids) < limit:
                return await self._note(marker, after=last)
            # The log of changes is kept short: they are followed on the way.
            marker = await self._catch_up(renewing, marker)

    async def _catch_up(self, renewing: Renewing, marker: Marker) -> Marker:
        """Past all changes but a few; how far it is then."""
        for _ in range(ROUNDS):
            upto, count = await self._follow(renewing, marker.upto, self._also(marker))
            if count:
                marker = await self._note(marker, upto=upto)
            if count <= FEW:
                break
        return marker

    async def _follow(self, renewing: Renewing, after: int, also: Also) -> tuple[int, int]:
        """Past some changes: the last of them, and how many they were."""
        result = await self._core.read(
            ReadPlan(self._record_id, (LogRange(layout.CHANGES, after=after, limit=PAGE),))
        )
        if result.record is None:
            raise _Moved
        if after < result.record.tail(layout.CHANGES).base:
            await self._start_over()
        entries = await self._core.coding.decode_entries(self._record_id, layout.CHANGES, result.entries[0])
        ids = list(dict.fromkeys(each for entry in entries for each in entry.value["ids"]))
        if ids:
            self._count(await renewing.renew(ids, also))
        return (entries[-1].seq, len(entries)) if entries else (after, 0)

    async def _start_over(self) -> None:
        """The changes that were to be followed are no more: all memories are looked at again."""
        look = await self._look()
        if look.read.record is not None and look.marker is not None and look.marker.old is None:
            upto = look.read.record.tail(layout.CHANGES).last
            await self._write(look, replace(look.marker, after=None, upto=upto))
        raise _Moved

    async def _switch(self, marker: Marker) -> None:
        look = await self._look()
        if look.marker is None or not same_work(look.marker, marker) or look.model is None:
            raise _Moved
        batch = Batch(self._core, self._record_id)
        batch.state.set(layout.MODEL, marker.model.to_dict(), if_version=look.model_version)
        over = replace(look.marker, old=look.model)
        batch.state.set(layout.REINDEX, over.to_dict(), if_version=look.marker_version)
        # So that whoever has read the scope before commits no vector after it.
        batch.append({"ids": []}, log=layout.CHANGES, dedupe=False)
        await batch.commit("memory.reindex")

    # Removing

    async def _tidy(self, model: Model, marker: Marker) -> None:
        """Remove what is in use no more."""
        if model == marker.model and model == self._began:
            await self._follow_rest(marker)
        if model == marker.model and marker.old is not None:
            await self._drop_old(marker.old, model)
        while await self._remove_some(model, marker):
            pass

    async def _follow_rest(self, marker: Marker) -> None:
        """What was added with the old model until the new one came into use, and just after."""
        renewing = Renewing(self._core, self._record_id, self._embedding, marker.model)
        upto = marker.upto
        for _ in range(ROUNDS):
            try:
                upto, count = await self._follow(renewing, upto, self._also(marker))
            except _Moved:
                # Others remove too, or the changes are no more; whoever searches sees to the rest.
                return
            if count <= FEW:
                return

    async def _remove_some(self, model: Model, marker: Marker) -> bool:
        """Whether there may be more."""
        prefix = model.other_vector_name()
        look = await self._look(StateScan(prefix, limit=AT_ONCE))
        if look.marker != marker or look.model != model:
            # Others were faster, and may have begun to make new ones under these names.
            raise _Moved
        old = [each for scanned in look.read.scans for each in scanned]
        batch = Batch(self._core, self._record_id)
        for each in old:
            batch.state.delete(each.name, if_version=each.version)
        if not old:
            batch.state.delete(layout.REINDEX, if_version=look.marker_version)
        await batch.commit("memory.reindex")
        self._tell(step="removing", removed=self._so_far.removed + len(old))
        return bool(old)

    # How it stands

    async def _look(self, *scans: StateScan) -> _Look:
        read = await self._core.read(
            ReadPlan(self._record_id, names=(layout.MODEL, layout.REINDEX), scans=scans)
        )
        items = await decoded(self._core, self._record_id, read.values)
        version = next((each.version for each in items if each.name == layout.MODEL), 0)
        return _Look(read, model_in(items), version, *Marker.in_items(items))

    async def _write(self, look: _Look, marker: Marker) -> None:
        batch = Batch(self._core, self._record_id)
        batch.state.set(layout.REINDEX, marker.to_dict(), if_version=look.marker_version)
        await batch.commit("memory.reindex")

    async def _note(self, marker: Marker, **changes: Any) -> Marker:
        """Say how far it is, unless others are further."""
        look = await self._look()
        if look.marker is None or not same_work(look.marker, marker):
            raise _Moved
        noted = replace(look.marker, **changes)
        await self._write(look, noted)
        return noted

    def _also(self, marker: Marker, *, is_in_order: bool = False) -> Also:
        """Have a commit of vectors say how far it is, on condition that nobody else is at something else.

        Args:
            marker: as it was read.
            is_in_order: whether all before the last id have theirs.
        """

        def also(batch: Batch, items: Sequence[StateItem], last: str) -> None:
            there, version = Marker.in_items(items)
            if there is None or not same_work(there, marker):
                raise _Moved
            noted = replace(there, after=last) if is_in_order else there
            batch.state.set(layout.REINDEX, noted.to_dict(), if_version=version)

        return also

    def _count(self, made: int) -> None:
        self._so_far = replace(self._so_far, made=self._so_far.made + made)

    def _tell(self, **changes: Any) -> None:
        self._so_far = replace(self._so_far, **changes)
        if self._progress is not None:
            self._progress(self._so_far)
