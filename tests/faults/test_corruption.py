"""Fault 22: bytes that are not what was written; an error says so, and the rest goes on."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable

import pytest

from miniagent_store import (
    DecodeError,
    Message,
    SessionDamagedError,
    SessionStore,
    StoreError,
    open_store,
)
from miniagent_store.testing.oracle import Report
from tests.faults.conftest import Record
from tests.faults.deployments import Deployment

# Bytes before the payload of an entry; those of a value are fewer.
HEAD = 23
TEXT = "the text of a message, long enough to be hit"


def cut_short(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def garbled(data: bytes, chance: random.Random) -> bytes:
    # What stands in front, such as its time, has no check of its own.
    return data[:HEAD] + chance.randbytes(len(data) - HEAD)


def emptied(data: bytes, chance: random.Random) -> bytes:
    return b""


DAMAGES: list[Callable[[bytes, random.Random], bytes]] = [cut_short, garbled, emptied]


async def fill(store: SessionStore, name: str) -> None:
    async with store.batch(name, create=True) as batch:
        batch.append(Message.user(TEXT), Message.assistant(TEXT))
        batch.append({"event": 1}, log="events")
        batch.state.set("a", TEXT)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
async def test_what_is_corrupt_is_said_to_be(
    deployment: Deployment, damage: Callable[[bytes, random.Random], bytes], record: Record
) -> None:
    namespace, chance, rounds = uuid.uuid4().hex, random.Random(22), 12
    told = 0
    async with open_store(deployment.url, namespace=namespace) as store:
        for number in range(rounds):
            name = f"s{number}"
            await fill(store, name)
            await fill(store, f"{name}-sound")
            tag = f"{{{namespace}/session:{name}}}"
            owner = deployment.owner(tag)
            thread, state = f"{namespace}/thread:{tag}", f"{namespace}/state:{tag}"
            entry, value = owner.command("LINDEX", thread, 1), owner.command("HGET", state, "a")
            owner.command("LSET", thread, 1, damage(entry, chance))
            owner.command("HSET", state, "a", damage(value, chance))

            with pytest.raises((DecodeError, SessionDamagedError)) as problem:
                await store.history(name)
            assert TEXT not in str(problem.value)
            with pytest.raises((DecodeError, SessionDamagedError)):
                await store.state(name).get("a")
            told += 2
            # What is sound can be read, and what is not can be got rid of.
            assert [entry.value for entry in await store.entries(name, log="events")] == [{"event": 1}]
            assert [message.content for message in await store.history(f"{name}-sound")] == [TEXT, TEXT]
            assert await store.delete(name)
    note = f"{told} of {told} corrupt values are said to be"
    report = Report(acknowledged=told)
    record(
        f"22 values {damage.__name__.replace('_', ' ')}",
        deployment.topology,
        report,
        binary=deployment.binary,
        note=note,
    )


async def test_a_corrupt_record_is_a_damaged_session(deployment: Deployment) -> None:
    namespace, chance = uuid.uuid4().hex, random.Random(22)
    async with open_store(deployment.url, namespace=namespace) as store:
        for number, damage in enumerate(DAMAGES * 3):
            name = f"s{number}"
            await fill(store, name)
            key = f"{namespace}/session:{name}"
            owner = deployment.owner(key)
            packed = owner.command("HGET", key, "m")
            owner.command("HSET", key, "m", damage(packed, chance))
            for what, call in {
                "read": lambda name: store.history(name),
                "commit": lambda name: store.state(name).set("a", 2),
                "touch": lambda name: store.touch(name),
                "list": lambda name: store.list(),
            }.items():
                problem: StoreError | None = None
                try:
                    await call(name)
                except SessionDamagedError as error:
                    problem = error
                assert problem is not None, f"{what} of a record {damage.__name__}"
                assert name in str(problem)
            owner.command("HSET", key, "m", packed)
            assert len(await store.history(name)) == 2
