"""The log of changes, kept short: whoever is further behind than it goes back reads everything anew."""

from __future__ import annotations

import contextlib

from miniagent_store.backend import Expected
from miniagent_store.errors import StoreError
from miniagent_store.store.batch import Batch
from miniagent_store.store.core import StoreCore
from miniagent_store.store.memory import layout
from miniagent_store.store.memory.following import PAGE
from miniagent_store.values import BatchResult

# Of changes so many stay at least, more than are followed one by one; they are looked at after so many.
KEPT, EVERY = PAGE + 12, 256


async def trim_changes(core: StoreCore, record_id: str, result: BatchResult) -> None:
    """Remove old changes, if it is time to; of those who add, each sequence belongs to one.

    Args:
        core: of the store.
        record_id: of the scope.
        result: of a commit that has added a change.
    """
    last = result.position.seq(layout.CHANGES)
    if last % EVERY or last <= KEPT:
        return
    batch = Batch(core, record_id, expected=Expected(incarnation=result.session.incarnation))
    batch.trim(before=last - KEPT + 1, log=layout.CHANGES)
    # The next one will.
    with contextlib.suppress(StoreError):
        await batch.commit("memory.trim")
