"""What Prometheus scrapes."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from miniagent_store import BackendUnavailableError, Message, SessionNotFoundError, open_store
from miniagent_store.observing import Prometheus
from miniagent_store.observing.ending import MOST_VALUES
from miniagent_store.session import SessionAgent
from miniagent_store.testing.servers import Server

CANARIES = ["c4nary-question", "c4nary-user", "c4nary-session", "c4nary-key"]


def samples(registry: CollectorRegistry) -> dict[tuple[str, ...], float]:
    """Values by name and label values, in the order of the labels' names, of what a scrape gives."""
    text = generate_latest(registry).decode()
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_a_turn_is_counted_and_timed(place: str) -> None:
    registry = CollectorRegistry()
    backend = place.partition(":")[0]
    store = open_store(place, plugins=[Prometheus(registry)])
    async with store, SessionAgent(store=store, model="echo") as agent:
        await agent.create_session("c4nary-user", session_id="c4nary-session")
        await agent.run_session("c4nary-session", "c4nary-question")
        await store.cache.set("c4nary-key", 1)
        await store.cache.get_many(["c4nary-key", "c4nary-other"])
        with pytest.raises(SessionNotFoundError):
            await store.get("nobody")
        await store.delete("c4nary-session")

    found = samples(registry)
    assert found["miniagent_store_operation_seconds_count", backend, "turn"] == 1
    assert found["miniagent_store_operation_seconds_sum", backend, "turn"] > 0
    assert found["miniagent_store_lock_wait_seconds_count", "turn"] == 1
    assert found["miniagent_store_commits_total",] == 2
    assert found["miniagent_store_entries_total",] == 2
    assert found["miniagent_store_sessions_total", "created"] == 1
    assert found["miniagent_store_sessions_total", "ended"] == 1
    assert found["miniagent_store_errors_total", backend, "SessionNotFoundError", "get"] == 1
    assert found["miniagent_store_cache_requests_total", "hit"] == 1
    assert found["miniagent_store_cache_requests_total", "miss"] == 1
    assert found["miniagent_agent_operation_seconds_count", "echo", "chat", "echo"] == 1
    assert found["miniagent_agent_operation_seconds_count", "echo", "invoke_agent", "echo"] == 1
    assert found["miniagent_agent_tokens_total", "echo", "echo", "output"] == 5
    text = generate_latest(registry).decode()
    assert [canary for canary in CANARIES if canary in text] == []


async def test_retries_lost_locks_and_connections_are_counted() -> None:
    registry = CollectorRegistry()
    with Server() as server:
        async with open_store(f"{server.url}/0", plugins=[Prometheus(registry)], deadline=1.5) as store:
            session = await store.create()
            server.stop()
            with pytest.raises(BackendUnavailableError):
                await store.get(session.id)

    found = samples(registry)
    assert sum(value for name, value in found.items() if name[0] == "miniagent_store_retries_total") >= 1
    assert found["miniagent_store_connection_events_total", "lost"] >= 1


async def test_several_stores_share_the_metrics_of_a_registry() -> None:
    registry = CollectorRegistry()
    for _ in range(2):
        async with open_store("memory://", plugins=[Prometheus(registry)]) as store:
            await store.create()

    assert samples(registry)["miniagent_store_operation_seconds_count", "memory", "create"] == 2


async def test_names_that_callers_give_cannot_fill_the_memory() -> None:
    registry = CollectorRegistry()
    async with open_store("memory://", plugins=[Prometheus(registry)]) as store:
        session = await store.create()
        for number in range(2 * MOST_VALUES):
            batch = store.batch(session.id)
            batch.append(Message.user("hello"))
            await batch.commit(f"named-{number}")

    names = {name[2] for name in samples(registry) if name[0] == "miniagent_store_operation_seconds_count"}
    assert len(names) == MOST_VALUES + 1
    assert "other" in names
