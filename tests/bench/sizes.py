"""A run small enough for tests."""

from __future__ import annotations

from dataclasses import replace

from miniagent_store.bench.plan import QUICK

TINY = replace(
    QUICK,
    name="tiny",
    rounds=3,
    turn_seconds=0.001,
    turn_calls=2,
    contest_seconds=5.0,
    lengths=(10, 30),
    crowds=(1, 4),
    crowd_seconds=0.005,
    sessions=20,
    users=2,
    peer_length=0,
    memory_length=50,
    chains=("msgpack", "msgpack+aesgcm"),
    sizes=(100,),
    starts=1,
    handovers=1,
)
