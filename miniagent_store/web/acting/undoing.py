"""Takes back what was cleared, rewound or deleted, by the copy that was kept."""

from __future__ import annotations

from dataclasses import replace

from miniagent_store.errors import SessionNotFoundError, VersionConflictError
from miniagent_store.ids import new_session_id
from miniagent_store.values import Session
from miniagent_store.web.acting import audit, keeping
from miniagent_store.web.acting.forking import Fork
from miniagent_store.web.acting.kind import AskAgainError, Asking, Kind, Told, counted, noted, written_down
from miniagent_store.web.acting.removing import Delete
from miniagent_store.web.acting.renewing import ChangeTTL, Touch

# They leave what a session holds as it is; that they were done stands in its log all the same.
HARMLESS = (Touch.name, ChangeTTL.name, Fork.name)


class Undo(Kind):
    """Puts back what a copy holds."""

    name = "undo"
    verb = "Undo"
    question = "Undo this?"
    undo = "The copy is used up by it."
    anyhow = True

    async def told(self, asking: Asking) -> Told:
        copy = await _copy(asking)
        holds = counted((await asking.store.get(copy.name)).message_count, "message")
        act = copy.act
        goes = [f"{act.what} by {act.who} ({act.told}) is taken back: it holds {holds} again."]
        if asking.session is not None and copy.act.what == Delete.name:
            goes.append("Another session has its id by now, and stays: this one comes back under a new id.")
        return Told(tuple(goes), hidden={"kept": copy.name})

    async def do(self, asking: Asking) -> None:
        store, copy = asking.store, await _copy(asking)
        act = asking.act(self.name, f"{copy.act.what}: {copy.act.told}")
        there = asking.session
        if there is None:

            async def work() -> None:
                await keeping.restore(store, copy, asking.session_id)
                await noted(store, asking.session_id, copy.act, act)

        elif copy.act.what == Delete.name or "beside" in asking.fields:
            new_id = new_session_id()
            act = replace(act, told=f"{act.told}; as {new_id}")

            async def work() -> None:
                await keeping.restore(store, copy, new_id)
                await noted(store, new_id, act)
                await noted(store, asking.session_id, act)

        else:
            await _check_untouched(asking, copy, there)

            async def work() -> None:
                # With the last look at whether it was written to since.
                now = await store.append(there.id, act.value(), log=audit.LOG, expected_version=there)
                await keeping.restore(store, copy, there.id, instead_of=now)

        try:
            await written_down(store, act, work)
        except VersionConflictError as error:
            raise _written_to() from error
        await store.delete(copy.name)


async def _copy(asking: Asking) -> keeping.Kept:
    name = asking.fields.get("kept", "")
    gone = "it was used, or its time was over: copies are kept for 15 minutes"
    try:
        copy = await keeping.kept(asking.store, name)
    except SessionNotFoundError:
        raise SessionNotFoundError(name, hint=gone) from None
    if copy.act.session_id != asking.session_id:
        raise SessionNotFoundError(name, hint="it is of another session")
    return copy


async def _check_untouched(asking: Asking, copy: keeping.Kept, there: Session) -> None:
    """Raise if something was written since the act: undoing it would lose that."""
    acts = await audit.acts_of(asking.store, there.id)
    # Of several acts only the last: what was written between them is in its copy, not in those before.
    act = next((act for act in reversed(acts) if act.kept is not None), None)
    if act is None or act.kept != copy.name:
        raise _written_to()
    harmless = {each.version for each in acts if each.version > act.version and each.what in HARMLESS}
    if there.version - act.version != len(harmless):
        raise _written_to()


def _written_to() -> AskAgainError:
    return AskAgainError(
        "It was written to since, which would be lost. What was taken away can come back as a session of "
        "its own, beside this one.",
        "beside",
    )
