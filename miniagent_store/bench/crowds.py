"""How much many tasks of one process do together."""

from __future__ import annotations

from functools import partial
from statistics import median

from miniagent_store.bench.contestants import contestants, is_peer
from miniagent_store.bench.figures import BY_HAND
from miniagent_store.bench.peers.base import Peer
from miniagent_store.bench.places import Place
from miniagent_store.bench.rounds import Call, Run
from miniagent_store.bench.texts import TURN

AREA = "concurrency"
THROUGHPUT, TAIL = "throughput", "p99"
# Seconds that all tasks of a peer may take for one append each.
LONGEST_ROUND = 3.0


async def measure_crowds(run: Run, place: Place) -> None:
    """Tasks that append turns at once, each to a session of its own: turns a second, and the p99 of one."""
    with_peers = run.plan.peer_crowd >= min(run.plan.crowds)
    async with contestants(run, place, with_peers=with_peers) as subjects:
        paces: dict[str, float] = {}
        for tasks in run.plan.crowds:
            run.tell(f"{place.kind}: {tasks:,} tasks at once")
            calls: dict[str, Call] = {}
            for name, peer in subjects.items():
                took = tasks / paces.get(name, float("inf"))
                if is_peer(name) and took > LONGEST_ROUND:
                    run.note(f"{place.kind}, {tasks:,} tasks: {name} was left out: too slow, {took:.0f} s")
                elif tasks <= run.plan.peer_crowd or not is_peer(name):
                    calls[name] = partial(_append, peer)
            rates, tails = await run.crowd(f"{place.kind}: {tasks:,} tasks", calls, tasks)
            paces |= {name: median(own) for name, own in rates.items() if own}
            keep = partial(run.add, area=AREA, place=place.kind, baseline=BY_HAND, tasks=tasks)
            keep(rates, operation=THROUGHPUT, unit="turns/s", better="higher")
            keep(tails, operation=TAIL, unit="ms")
        for peer in subjects.values():
            for number in range(max(run.plan.crowds)):
                await peer.clear(f"crowd-{number}")


async def _append(peer: Peer, number: int) -> None:
    await peer.append(f"crowd-{number}", TURN)
