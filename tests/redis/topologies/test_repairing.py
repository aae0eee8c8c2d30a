"""A repair of a Cluster: parts, records and indexes are on different nodes."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from miniagent_backends.redis import repairing
from miniagent_backends.redis.keys import Keys
from miniagent_store import Message, open_store
from miniagent_store.testing.cluster import ClusterGroup
from miniagent_store.testing.conformance import backend_of

pytestmark = pytest.mark.slow
COUNT = 40


@pytest.fixture(scope="module")
def cluster() -> Iterator[ClusterGroup]:
    with ClusterGroup(masters=3, replicas=0) as group:
        yield group


async def test_everything_is_found_on_all_nodes(
    cluster: ClusterGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repairing, "LAG_SECONDS", 0.1)
    namespace = uuid.uuid4().hex
    keys = Keys(namespace)

    def does(name: str, key: str, *more: Any) -> Any:
        return cluster.owner(cluster.slot_of(key)).command(name, key, *more)

    async with open_store(cluster.url, namespace=namespace, ttl="1h") as store:
        for number in range(COUNT):
            async with store.batch(f"s{number}", create=True) as batch:
                batch.append(Message.user("hello", id="one"), Message.user("again"))
                batch.state.add("turns")
        await backend_of(store).settle()
        assert (await store.repair(dry_run=True)).damages == []
        for number in range(COUNT):
            session_id = f"s{number}"
            parts = keys.parts(session_id)
            match number % 5:
                case 0:
                    does("PERSIST", parts["thread"])
                case 1:
                    does("DEL", parts["ids"])
                case 2:
                    does("DEL", keys.record(session_id))
                case 3:
                    does("DEL", parts["thread"])
                case _:
                    does("RPUSH", f"{keys.stage(session_id, 'x')}log:messages", "element")
        each = COUNT // 5

        found = (await store.repair(dry_run=True)).found
        report = await store.repair(salvage=True)

        # Each orphan is five keys. What an evicted record had will be told of by a sweep.
        assert dict(found) == {
            "expiry": each,
            "part": each,
            "orphan": 5 * each,
            "lost": each,
            "stage": each,
        }
        assert report.left == 0
        assert (await store.repair(dry_run=True)).damages == []
        counts = [(await store.get(f"s{n}")).message_count for n in range(COUNT) if n % 5 != 2]
        assert counts == [2, 2, 0, 2] * each
