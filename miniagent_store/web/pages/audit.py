"""Who did what: to one session, or to all of them."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from miniagent_store.errors import StoreError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.web.acting import audit
from miniagent_store.web.acting.audit import Act
from miniagent_store.web.acting.forking import number_of
from miniagent_store.web.acting.keeping import kept
from miniagent_store.web.asked import rendering_of, store_of

PAGE = 100
# So far back it is looked in the viewer's log for what was done to one session.
LOOKED_THROUGH = 1000


async def page(request: Request) -> Response:
    """Acts, newest first: of the session ``id=``, or all; ``done=`` tells of the one just done."""
    store, asked = store_of(request), request.query_params
    session_id = asked.get("id", "")
    before = number_of(asked.get("before", ""), "before")
    if session_id:
        acts, is_there = await _of(store, session_id)
    else:
        acts, is_there = await audit.recorded(store, before=before, limit=PAGE), False
    # Of the newest ones only, which may have a copy yet.
    undoable = {act.kept for act in acts if act.can_be_undone and await _is_kept(store, act)}
    return rendering_of(request).page(
        request,
        "audit.html",
        acts=acts,
        session_id=session_id,
        is_there=is_there,
        done=acts[0] if asked.get("done") and acts else None,
        undoable=undoable,
        older=acts[-1].seq if not session_id and acts and acts[-1].seq > 1 else None,
    )


async def _of(store: SessionStore, session_id: str) -> tuple[list[Act], bool]:
    """Acts of a session, and whether it is there."""
    everyone = await audit.recorded(store, limit=LOOKED_THROUGH)
    recorded = [act for act in everyone if act.session_id == session_id]
    try:
        own = await audit.acts_of(store, session_id)
    except StoreError:
        return recorded[:PAGE], False
    # What failed, or may have, is written down in the viewer's log only.
    own += [act for act in recorded if act.failed is not None]
    return sorted(own, key=_when, reverse=True), True


def _when(act: Act) -> tuple[float, int]:
    return act.time.timestamp() if act.time else 0.0, act.seq


async def _is_kept(store: SessionStore, act: Act) -> bool:
    try:
        await kept(store, act.kept or "")
    except StoreError:
        return False
    return True
