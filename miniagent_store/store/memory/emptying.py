"""Forgetting a whole scope: in commits that hold up nobody for long, and the record at the end.

Whoever dies on the way has forgotten a part; the next one to forget goes on from there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from miniagent_store.backend import Create, Expected, ReadPlan, StateScan
from miniagent_store.errors import SessionDamagedError
from miniagent_store.store.batch import Batch
from miniagent_store.store.core import StoreCore
from miniagent_store.store.memory import layout
from miniagent_store.store.memory.anchoring import CONFLICTS
from miniagent_store.store.memory.trimming import trim_changes

# State values of one commit.
AT_ONCE = 500

Progress = Callable[[int], object]


async def forget_all(core: StoreCore, record_id: str, progress: Progress | None) -> bool:
    """Forget all that a scope holds, and what followed sessions have said until now; whether it was there.

    Args:
        core: of the store.
        record_id: of the scope.
        progress: is told how many memories are gone, after each commit.
    """
    now_ms = core.backend.now_ms()
    was_there, gone = True, 0
    # Of what is damaged nothing can be listed, and it goes as a whole.
    with contextlib.suppress(SessionDamagedError):
        was_there, gone = await _emptied(core, record_id, now_ms, progress)

    async def once(retry: bool) -> bool:
        return await core.backend.delete(record_id, None) or retry

    await core.retrying.attempt("delete", record_id, once)
    core.keys.forget(record_id)
    # Also where nothing was there: what was said may be about to be remembered.
    await _forget_until(core, record_id, now_ms)
    if progress is not None:
        progress(gone)
    return was_there


async def _forget_until(core: StoreCore, record_id: str, now_ms: int) -> None:
    """Have what was said until now forgotten too, though those who follow sessions did not see it yet."""
    batch = Batch(core, record_id, create=Create(kind=layout.KIND, keep_existing=True))
    batch.state.set(layout.FORGOTTEN, now_ms)
    await batch.commit("memory.forget")


async def _emptied(
    core: StoreCore, record_id: str, now_ms: int, progress: Progress | None
) -> tuple[bool, int]:
    """Whether anything was there, and how many memories; those of the last commit go with the record."""
    gone = 0
    was_there = is_told = False
    for prefix in layout.OF_MEMORIES:
        start: str | None = None
        while True:
            scan = StateScan(prefix, start, AT_ONCE + 1)
            result = await core.read(ReadPlan(record_id, scans=(scan,)))
            if result.record is None:
                return was_there, gone
            names = [each.name for each in result.scans[0]]
            was_there = was_there or bool(names)
            is_text = prefix == layout.text_name()
            if len(names) <= AT_ONCE:
                gone += len(names) if is_text else 0
                break
            if not is_told:
                await _forget_until(core, record_id, now_ms)
                is_told = True
            start, names = names[AT_ONCE], names[:AT_ONCE]
            batch = Batch(core, record_id, expected=Expected(incarnation=result.record.incarnation))
            for name in names:
                batch.state.delete(name)
            if is_text:
                ids = [layout.id_of(each) for each in names]
                batch.append({"ids": ids}, log=layout.CHANGES, dedupe=False)
            try:
                done = await batch.commit("memory.forget")
            except CONFLICTS:
                # Somebody else has forgotten all of it.
                return was_there, gone
            if is_text:
                gone += len(names)
                await trim_changes(core, record_id, done)
                if progress is not None:
                    progress(gone)
    return was_there, gone
