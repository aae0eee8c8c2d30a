"""A copy of a session that goes its own way."""

from __future__ import annotations

from miniagent_store.errors import InvalidArgumentError
from miniagent_store.ids import check_id, new_session_id
from miniagent_store.web.acting.kind import Asking, Kind, Told, counted, noted, written_down


class Fork(Kind):
    """A copy, of all of it or up to a message."""

    name = "fork"
    verb = "Fork"
    question = "Make a fork of this session?"
    undo = "Nothing goes by it. To undo it, delete the fork."

    async def told(self, asking: Asking) -> Told:
        session = asking.there()
        has = f"all {counted(session.message_count, 'message')}"
        return Told(goes=(f"A second session, with {has} or up to the one you name.",))

    async def do(self, asking: Asking) -> None:
        store, session = asking.store, asking.there()
        upto = number_of(asking.fields.get("upto", ""), "the last message")
        new_id = check_id(asking.fields.get("new_id", "").strip() or new_session_id())
        part = "whole" if upto is None else f"up to message {upto}"
        act = asking.act(self.name, f"{part}, as {new_id}")

        async def work() -> None:
            await store.fork(session.id, upto=upto, new_id=new_id)
            await noted(store, session.id, act)
            await noted(store, new_id, asking.act(self.name, f"{part}, of {session.id}"))

        await written_down(store, act, work)


def number_of(text: str, what: str) -> int | None:
    """A whole number that was typed; None if nothing was.

    Raises:
        InvalidArgumentError: it is none.
    """
    text = text.strip()
    if not text:
        return None
    # Digits only: `int` also takes "1_000" and other scripts' digits, and no sequence has 20 of them.
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise InvalidArgumentError(f"{what} is a number, such as 12")
    return int(text)
