"""Who takes part at a place, opened, and given histories."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from miniagent_store.bench import peers
from miniagent_store.bench.by_hand import by_hand
from miniagent_store.bench.figures import BY_HAND
from miniagent_store.bench.ours import Ours, Sealed, can_seal
from miniagent_store.bench.peers.base import Peer, Where
from miniagent_store.bench.places import Place
from miniagent_store.bench.rounds import Run, describe
from miniagent_store.bench.texts import TURN
from miniagent_store.errors import MissingExtraError, StoreError

# Messages of one append while a history is made.
CHUNK = 500


@asynccontextmanager
async def contestants(run: Run, place: Place, *, with_peers: bool) -> AsyncIterator[dict[str, Peer]]:
    """This package, the same sealed, hand-written code, and peers, by name.

    Peers keep what they keep where they like, so that they take part in places made for the run only.

    Args:
        run: is told who cannot take part.
        place: where.
        with_peers: whether peers are invited, whose imports may take seconds.
    """
    invited: list[Peer] = [Ours(place)]
    if place.own and can_seal():
        invited.append(Sealed(place))
    if (floor := floor_of(place)) is not None:
        invited.append(floor)
    if place.own and with_peers and run.has_time_for_peers(place.kind):
        kinds: tuple[Where, ...] = ("memory", "redis", "sqlite")
        invited += [peer() for kind in kinds if kind == place.kind for peer in peers.available(kind)]
    async with AsyncExitStack() as stack:
        opened: dict[str, Peer] = {}
        for peer in invited:
            try:
                await peer.open(url_for(place, peer.name))
            except Exception as problem:
                if isinstance(problem, StoreError) and not isinstance(problem, MissingExtraError):
                    raise
                run.note(f"{place.kind}: {peer.name} could not be opened: {describe(problem)}")
                continue
            stack.push_async_callback(peer.close)
            opened[peer.name] = peer
        yield opened


def floor_of(place: Place) -> Peer | None:
    """Hand-written code that can work at a place without touching anything there."""
    if place.own:
        return by_hand(place.kind)
    if place.kind == "redis" and place.tenant:
        return by_hand("redis", f"{place.namespace}/by-hand:")
    return None if place.kind == "redis" else by_hand(place.kind)


def url_for(place: Place, name: str) -> str:
    """What a peer is given: on Redis a database of its own, on SQLite a file beside the store's."""
    if place.kind == "redis" and place.own and is_peer(name):
        names = [peer.name for peer in peers.available("redis")]
        return replace(place.url, path=f"/{1 + names.index(name)}").render()
    if place.kind != "sqlite":
        return place.url.render()
    beside = Path(place.url.path[1:]).parent
    return f"sqlite:///{beside / ''.join(each if each.isalnum() else '-' for each in name)}.db"


async def fill(
    run: Run, where: str, subjects: Mapping[str, Peer], sessions: Mapping[str, int]
) -> dict[str, Peer]:
    """Give each the same histories; those that got them all in time.

    Args:
        run: is told who did not.
        where: for notes: what is measured, and where.
        subjects: by name.
        sessions: their lengths, by session.
    """
    ready: dict[str, Peer] = {}
    for name, peer in subjects.items():
        patience = run.plan.patience if is_peer(name) else float("inf")
        began = time.perf_counter()
        try:
            for session, length in sessions.items():
                for first in range(0, length, CHUNK):
                    await peer.append(session, (TURN * (CHUNK // 2))[: min(CHUNK, length - first)])
                    if time.perf_counter() - began > patience:
                        raise TimeoutError(f"making the histories took more than {patience:g} s")
        except Exception as problem:
            if not is_peer(name):
                raise
            run.note(f"{where}: {name} was left out: {describe(problem)}")
            continue
        ready[name] = peer
    return ready


def is_peer(name: str) -> bool:
    """Whether it is neither of this package nor hand-written."""
    return not name.startswith(Ours.name) and name != BY_HAND
