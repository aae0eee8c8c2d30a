"""How long a session lasts."""

from __future__ import annotations

from miniagent_store.options import parse_ttl_ms
from miniagent_store.values import Session
from miniagent_store.web.acting.kind import Asking, Kind, Told, noted, written_down


class ChangeTTL(Kind):
    """A new time to live, from now on."""

    name = "ttl"
    verb = "Change"
    question = "Change how long this session lasts?"
    undo = "To undo it, set the earlier time in the same way."

    async def told(self, asking: Asking) -> Told:
        session = asking.there()
        return Told(
            goes=(f"It lasts {lasting(session.ttl)} now. What you say counts from this moment on.",)
        )

    async def do(self, asking: Asking) -> None:
        store, session = asking.store, asking.there()
        wanted = asking.fields.get("ttl", "").strip()
        ttl_ms = parse_ttl_ms(wanted)
        new = lasting(None if ttl_ms is None else ttl_ms / 1000)
        act = asking.act(self.name, f"from {lasting(session.ttl)} to {new}")

        async def work() -> None:
            await store.touch(session.id, wanted)
            await noted(store, session.id, act)

        await written_down(store, act, work)


class Touch(Kind):
    """As long again as it had."""

    name = "touch"
    verb = "Touch"
    question = "Renew this session?"
    undo = "Nothing goes by it; there is nothing to undo."

    async def told(self, asking: Asking) -> Told:
        session = asking.there()
        if session.ttl is None:
            return Told(goes=("It never expires: this changes nothing.",))
        return Told(goes=(f"It will expire in {lasting(session.ttl)}, counted from now.",))

    async def do(self, asking: Asking) -> None:
        store, session = asking.store, asking.there()
        act = asking.act(self.name, f"renewed for {_for(session)}")

        async def work() -> None:
            await store.touch(session.id)
            await noted(store, session.id, act)

        await written_down(store, act, work)


def lasting(seconds: float | None) -> str:
    """A time to live in the largest unit that it is whole in: "90 min", "7 d", "for ever"."""
    if seconds is None:
        return "for ever"
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:,.0f} {unit}"
    return f"{seconds:,.0f} s"


def _for(session: Session) -> str:
    return "ever" if session.ttl is None else lasting(session.ttl)
