"""How much is measured: the sizes of a run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self


@dataclass(frozen=True, slots=True)
class Plan:
    """The sizes of a run.

    Attributes:
        name: what results call it.
        rounds: how often all that is compared takes its turn; fewer where time is up.
        turn_seconds: how long something works in one round, at most `turn_calls` calls.
        turn_calls: see there.
        contest_seconds: after so long no further round begins, once there were `least_rounds`.
        least_rounds: see there.
        lengths: messages of the histories.
        crowds: how many tasks work at once.
        crowd_seconds: how long a crowd works in one round.
        sessions: how many the page of a user's is read from.
        users: among how many users they are divided.
        patience: seconds that may go into making one peer's history; beyond them it is left out there.
        peer_length: the longest history that peers are given; 0 for no peers.
        peer_crowd: the largest crowd that peers are given; 0 for no peers there.
        writer_peers: whether peers take part where four processes write to one session.
        peers_until: after so many seconds of a run no peer takes part in what then begins.
        memory_length: messages of the history whose memory is measured.
        chains: of serializer and layers.
        sizes: bytes of the messages that are encoded.
        starts: how often processes are started to see how long it takes.
        handovers: how often a lock changes hands, and an event is waited for, in one round.
    """

    name: str
    rounds: int
    turn_seconds: float
    turn_calls: int
    contest_seconds: float
    least_rounds: int
    lengths: tuple[int, ...]
    crowds: tuple[int, ...]
    crowd_seconds: float
    sessions: int
    users: int
    patience: float
    peer_length: int
    peer_crowd: int
    writer_peers: bool
    peers_until: float
    memory_length: int
    chains: tuple[str, ...]
    sizes: tuple[int, ...]
    starts: int
    handovers: int

    def for_guests(self) -> Self:
        """The same, but no more than one may ask of somebody's own store."""
        return replace(
            self,
            lengths=tuple(sorted({min(length, GUEST_LENGTH) for length in self.lengths})),
            sessions=min(self.sessions, GUEST_SESSIONS),
            peer_length=0,
            peer_crowd=0,
            writer_peers=False,
        )


GUEST_LENGTH = 10_000
GUEST_SESSIONS = 2_000
CHAINS = (
    "msgpack",
    "orjson",
    "json",
    "msgpack+crc32",
    "msgpack+hmac",
    "msgpack+aesgcm",
    "msgpack+chacha",
    "msgpack+zlib",
    "msgpack+zstd",
    "msgpack+zstd+aesgcm",
)

FULL = Plan(
    name="full",
    rounds=15,
    turn_seconds=0.1,
    turn_calls=100,
    contest_seconds=8.0,
    least_rounds=3,
    lengths=(10, 1_000, 100_000),
    crowds=(1, 16, 64, 1_000),
    crowd_seconds=0.4,
    sessions=100_000,
    users=100,
    patience=15.0,
    peer_length=100_000,
    peer_crowd=1_000,
    writer_peers=True,
    peers_until=float("inf"),
    memory_length=1_000,
    chains=CHAINS,
    sizes=(100, 400, 4_000, 100_000),
    starts=15,
    handovers=20,
)
QUICK = replace(
    FULL,
    name="quick",
    rounds=5,
    turn_seconds=0.02,
    turn_calls=50,
    contest_seconds=0.6,
    lengths=(10, 1_000),
    crowds=(1, 64),
    crowd_seconds=0.08,
    sessions=1_000,
    users=10,
    patience=1.0,
    peer_length=1_000,
    peer_crowd=0,
    writer_peers=False,
    peers_until=30.0,
    chains=("msgpack", "orjson", "msgpack+aesgcm", "msgpack+zstd+aesgcm"),
    sizes=(400, 4_000),
    starts=5,
    handovers=5,
)
