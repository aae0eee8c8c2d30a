"""Appends under no condition, as most commits are: the shortest way from the call to the backend.

What is done is what `StoreCore.commit` does where nobody looks on, nothing is limited or counted, and no
session has a key of its own; whatever is not as usual goes there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from miniagent_store.backend import Commit, Create
from miniagent_store.store.draft import CommitDraft
from miniagent_store.store.retrying import FORESEEN

if TYPE_CHECKING:
    from miniagent_store.store.core import StoreCore
    from miniagent_store.values import Session


async def append_plainly(
    core: StoreCore, session_id: str, log: str, messages: Sequence[Mapping[str, Any]], create: Create | None
) -> Session | None:
    """Append and commit; None, and nothing done, where it has to go the general way.

    Raises:
        StoreError: as `StoreCore.commit`.
    """
    if not core.is_ready():
        await core.ready()
    if not core.is_plain(session_id):
        return None
    backend, writer = core.backend, core.writer
    now_ms = backend.now_ms()
    append = core.coding.encode_messages(session_id, log, messages, now_ms)
    if append is None:
        return None
    identity = writer.begin_lone(session_id, now_ms)
    if identity is None:
        identity = await writer.begin(session_id, backend.now_ms)
    max_size = core.options.max_session_size
    commit = Commit(
        session_id, identity, now_ms, create, None, (), None, (append,), (), None, None, None, max_size
    )
    started = time.monotonic()
    try:
        result = await backend.commit(commit)
        core.retrying.reached = True
    except FORESEEN as error:
        result = await core.retrying.go_on(
            "append", session_id, partial(core.bring, commit), error, started, commit_id=str(identity)
        )
    finally:
        writer.end(session_id, identity)
    core.commits += 1
    if result.created or result.replaced is not None:
        core.tell_committed(result, CommitDraft(session_id))
    return core.coding.session(result.record)
