"""What each call costs a lone caller, by the length of the history."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from miniagent_store.bench.contestants import contestants, fill, floor_of, is_peer, url_for
from miniagent_store.bench.figures import BY_HAND, OURS
from miniagent_store.bench.ours import Ours
from miniagent_store.bench.peers.base import Peer
from miniagent_store.bench.places import Place
from miniagent_store.bench.rounds import Call, Run, gather
from miniagent_store.bench.texts import QUESTION, TURN
from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import Message

AREA = "operations"
APPEND, LAST, WHOLE = "append a turn", "last 20", "whole history"
PAGE = 50
# What grows is divided among so many sessions, so that a history stays about as long as it is said to be.
_SHORT, _SPREAD, _LONG = 100, 16, 10_000
_MAKERS = 64


async def measure_histories(run: Run, place: Place) -> None:
    """Append a turn, read the last 20 and read all, for each length: this package, by hand, peers."""
    with_peers = run.plan.peer_length >= min(run.plan.lengths)
    async with contestants(run, place, with_peers=with_peers) as subjects:
        for length in run.plan.lengths:
            run.tell(f"{place.kind}: histories of {length:,}")
            where = f"{place.kind}, history of {length:,}"
            invited = {
                name: peer
                for name, peer in subjects.items()
                if length <= run.plan.peer_length or not is_peer(name)
            }
            sessions = [f"h{length}-{number}" for number in range(_spread(length))]
            ready = await fill(run, where, invited, dict.fromkeys(sessions, length))
            keep = partial(run.add, area=AREA, place=place.kind, unit="µs", baseline=BY_HAND, length=length)
            for operation, calls in _calls(ready, sessions).items():
                growing = operation == APPEND
                samples = await run.contest(f"{where}: {operation}", calls, growing=growing)
                keep(samples, operation=operation)
            for peer in ready.values():
                for session in sessions:
                    await peer.clear(session)


def _spread(length: int) -> int:
    return _SPREAD if length <= _SHORT else 4 if length < _LONG else 1


def _calls(subjects: Mapping[str, Peer], sessions: list[str]) -> dict[str, dict[str, Call]]:
    """Reading comes first, since appending makes histories longer."""

    def append(peer: Peer, number: int) -> Any:
        return peer.append(sessions[number % len(sessions)], TURN)

    def last(peer: Peer, number: int) -> Any:
        return peer.last(sessions[number % len(sessions)], 20)

    def whole(peer: Peer, number: int) -> Any:
        return peer.whole(sessions[number % len(sessions)])

    return {
        operation: {name: partial(call, peer) for name, peer in subjects.items()}
        for operation, call in ((LAST, last), (WHOLE, whole), (APPEND, append))
    }


async def measure_calls(run: Run, place: Place) -> None:
    """What hand-written code does not have, as multiples of its append: records, pages, turns, state."""
    run.tell(f"{place.kind}: {run.plan.sessions:,} sessions to list")
    ours, floor = Ours(place), floor_of(place)
    await ours.open()
    try:
        if floor is not None:
            await floor.open(url_for(place, floor.name))
        store = ours.store
        await make_sessions(store, place, run.plan.sessions, run.plan.users)
        session_id = place.id("calls")
        await store.append(session_id, *[Message(**QUESTION)] * 1_000, create=True)
        state = store.state(session_id)
        await state.set("plan", QUESTION)

        async def turn(number: int) -> None:
            async with store.turn(session_id, last=20) as turn:
                turn.append(*(Message(**each) for each in TURN))

        user = user_of(place, 0)
        run.tell(f"{place.kind}: calls")
        calls: dict[str, Call] = {
            "get": lambda _: store.get(session_id),
            "list a page": lambda _: store.list(user_id=user, limit=PAGE),
            "turn": turn,
            "state set": lambda _: state.set("plan", QUESTION),
            "state get": lambda _: state.get("plan"),
        }
        if floor is not None:
            calls[BY_HAND] = lambda _: floor.append("calls", TURN)
        samples = await run.contest(f"{place.kind}: calls", calls)
        run.add(samples, area=AREA, place=place.kind, unit="µs", baseline=BY_HAND, subject=OURS)
        if floor is not None:
            await floor.clear("calls")
    finally:
        await ours.close()
        if floor is not None:
            await floor.close()


def user_of(place: Place, number: int) -> str:
    """Whose sessions are listed; a name that no user of somebody's store has."""
    return f"{place.start or 'bench-'}user-{number}"


async def make_sessions(store: SessionStore, place: Place, count: int, users: int) -> None:
    """Sessions of so many users, made by many tasks at once."""
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await store.create(place.id(f"listed-{number}"), user_id=user_of(place, number % users))

    await gather(*(work() for _ in range(min(_MAKERS, count))))
