"""A tombstone in the place of an entry."""

from __future__ import annotations

from miniagent_store.errors import InvalidArgumentError, SerializationError, SessionDamagedError
from miniagent_store.values import MESSAGES, Entry
from miniagent_store.web.acting import audit, keeping
from miniagent_store.web.acting.forking import number_of
from miniagent_store.web.acting.kind import AskAgainError, Asking, Kind, Told, recognised, written_down


class Redact(Kind):
    """Removes what an entry says, for good."""

    name = "redact"
    verb = "Redact"
    question = "Redact an entry of this session?"
    danger = True
    undo = (
        "This cannot be undone. Copies of this session that were kept to undo earlier acts go too, since "
        "they hold the entry; forks and exports are not touched."
    )

    async def told(self, asking: Asking) -> Told:
        asking.there()
        log, seq = _place(asking)
        if seq is None:
            return Told(ready=False)
        entry = await _entry(asking, log, seq)
        hidden = {"log": log, "seq": str(seq)}
        if entry is None:
            return Told((f"Entry {seq} of {log}, which cannot be read.",), hidden=hidden)
        return Told(
            (f"What entry {seq} of {log} says.",),
            ("Its place, and when and why it was redacted.",),
            (recognised(entry),) if asking.content else (),
            hidden | {"entry": entry.id},
        )

    async def do(self, asking: Asking) -> None:
        store, session = asking.store, asking.there()
        log, seq = _place(asking)
        reason = asking.fields.get("reason", "").strip()
        if seq is None:
            raise InvalidArgumentError("say which entry")
        if not reason:
            raise InvalidArgumentError("say why: the reason stands in the place of what was said")
        entry = await _entry(asking, log, seq)
        if entry is not None and entry.id != asking.fields.get("entry"):
            raise AskAgainError(f"Entry {seq} of {log} is another one by now; see what goes.")
        act = asking.act(self.name, f"entry {seq} of {log}: {reason}")

        async def work() -> None:
            batch = store.batch(session.id)
            batch.redact(seq, reason=reason, log=log)
            audit.add_to(batch, act)
            batch.last_activity = session.last_activity
            await batch.commit(self.name)
            await keeping.drop(store, session.id)

        await written_down(store, act, work)


def _place(asking: Asking) -> tuple[str, int | None]:
    log = asking.fields.get("log", "").strip() or MESSAGES
    if log == audit.LOG:
        raise InvalidArgumentError("what was done is not redacted from here")
    return log, number_of(asking.fields.get("seq", ""), "the entry")


async def _entry(asking: Asking, log: str, seq: int) -> Entry | None:
    """The entry; None if it cannot be read.

    Raises:
        InvalidArgumentError: there is none.
    """
    try:
        found = await asking.store.entries(
            asking.session_id, log=log, after=max(seq - 1, 0), before=seq + 1
        )
    except (SerializationError, SessionDamagedError):
        return None
    if not found:
        raise InvalidArgumentError(f"there is no entry {seq} in {log}")
    return found[0]
