"""Fault 1: the reply of each changing call is lost; the call does what it does without a fault, once."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from miniagent_backends.redis.scripts import digest_of, source_of
from miniagent_store import Message, Session, SessionNotFoundError, SessionStore, open_store
from miniagent_store.testing.oracle import Report
from miniagent_store.testing.proxy import Action
from miniagent_store.testing.servers import Server
from tests.faults.conftest import Record
from tests.faults.deployments import Deployment

Operation = Callable[[SessionStore, str], Awaitable[Any]]


async def batch(store: SessionStore, session_id: str) -> Any:
    async with store.batch(session_id) as batch:
        batch.append(Message.user("batched"))
        batch.append({"a": 1}, log="notes")
        batch.state.add("n", 2)
        batch.state.set("b", 2)
        batch.metadata = {"by": "batch"}
    assert batch.result is not None
    return batch.result.counters


async def turn(store: SessionStore, session_id: str) -> None:
    async with store.turn(session_id) as turn:
        turn.append(Message.user("taken in turn"))


async def lock(store: SessionStore, session_id: str) -> None:
    async with store.lock(f"lock-{session_id}") as lease:
        await store.append(session_id, Message.user("locked"), fence=lease)


# What is done, and the scripts of which a reply is lost, each once.
OPERATIONS: Mapping[str, tuple[Operation, tuple[str, ...]]] = {
    "create": (lambda store, name: store.create(f"{name}-new", user_id="u"), ("commit",)),
    "append": (lambda store, name: store.append(name, Message.user("x"), Message.user("y")), ("append",)),
    "append with an id": (lambda store, name: store.append(name, Message.user("x", id="i")), ("commit",)),
    "append, create=True": (
        lambda store, name: store.append(f"{name}-new", Message.user("x"), create=True),
        ("commit",),
    ),
    "batch": (batch, ("commit",)),
    "turn": (turn, ("lease", "commit")),
    "lock": (lock, ("lease", "commit")),
    "update": (lambda store, name: store.update(name, metadata={"a": 2}, tags=["t"]), ("commit",)),
    "touch": (lambda store, name: store.touch(name, "2h"), ("touch",)),
    "pop": (lambda store, name: store.pop(name, 2), ("commit",)),
    "replace": (lambda store, name: store.replace(name, [Message.user("r")], from_seq=2), ("commit",)),
    "redact": (lambda store, name: store.redact(name, 2, reason="asked for"), ("commit",)),
    "trim": (lambda store, name: store.trim(name, before=2), ("commit",)),
    "clear": (lambda store, name: store.clear(name), ("commit",)),
    "rewind": (lambda store, name: store.rewind(name, to=1), ("commit",)),
    "fork": (lambda store, name: store.fork(name, new_id=f"{name}-new"), ("publish",)),
    "state.set": (lambda store, name: store.state(name).set("a", 7), ("commit",)),
    "state.set_if_absent": (lambda store, name: store.state(name).set_if_absent("c", 7), ("commit",)),
    "state.add": (lambda store, name: store.state(name).add("n", 3), ("commit",)),
    "state.delete": (lambda store, name: store.state(name).delete("a"), ("commit",)),
    "state.delete_prefix": (lambda store, name: store.state(name).delete_prefix(""), ("commit",)),
    "delete": (lambda store, name: store.delete(name), ("delete",)),
}


async def prepare(store: SessionStore, session_id: str) -> None:
    async with store.batch(session_id, create=True) as batch:
        batch.append(*(Message.user(text) for text in "abc"))
        batch.append({"event": 1}, log="events")
        batch.state.set("a", 1)
        batch.state.add("n", 5)
    # So that the store knows the session as it is now: what follows goes the fast way, if it may.
    await store.append(session_id, Message.assistant("d"))


async def picture(store: SessionStore, session_id: str) -> Any:
    """All of a session that does not depend on its name or on the time; None if it is not there."""
    try:
        seen = await store.snapshot(session_id, logs=("messages", "events", "notes"), state=True)
    except SessionNotFoundError:
        return None
    session = seen.session
    logs = {
        log: [(entry.seq, entry.value.get("content"), entry.version) for entry in entries]
        for log, entries in seen.logs.items()
    }
    return session.version, session.metadata, session.tags, session.ttl, logs, dict(seen.state)


def plain(result: Any) -> Any:
    """A result without what differs from one session to the next."""
    if isinstance(result, Session):
        return result.version, result.message_count
    return [message.content for message in result] if isinstance(result, list) else result


def load_scripts(server: Server) -> None:
    """So that a NOSCRIPT is not the reply that is lost."""
    for _, scripts in OPERATIONS.values():
        for script in scripts:
            server.command("SCRIPT", "LOAD", source_of(script))


@pytest.mark.parametrize(
    ("action", "how"),
    [
        (Action.DROP, "lost"),
        pytest.param(Action.HALVE, "halved", marks=pytest.mark.slow),
        (Action.BLACK_HOLE, "swallowed"),
    ],
    ids=str,
)
async def test_each_operation_happens_once(
    deployment: Deployment, action: Action, how: str, record: Record
) -> None:
    namespace = uuid.uuid4().hex
    report = Report()
    for master in deployment.masters():
        load_scripts(master)
    with deployment.proxied() as proxied:
        # Short only where nothing else tells that a reply is lost: a busy machine may take its time.
        timeout = "250ms" if action is Action.BLACK_HOLE else "5s"
        options = {"namespace": namespace, "socket_timeout": timeout, **proxied.options}
        async with (
            open_store(deployment.url, namespace=namespace) as other,
            open_store(proxied.url, **options) as store,
        ):
            for number, (what, (operation, scripts)) in enumerate(OPERATIONS.items()):

                async def run(name: str, operation: Operation = operation) -> Any:
                    result = plain(await operation(store, name))
                    return result, await picture(other, name), await picture(other, f"{name}-new")

                twin = f"{number}-twin"
                await prepare(store, twin)
                wanted = await run(twin)
                for script in scripts:
                    name = f"{number}-{script}"
                    await prepare(store, name)
                    fault = proxied.inject(
                        key_of(namespace, what, name, script),
                        action,
                        on="reply",
                        after=digest_of(script).encode(),
                    )
                    assert await run(name) == wanted, what
                    assert fault.happened, f"{what}: no reply of {script} was lost"
                    report.acknowledged += 1
    record(f"1 reply of each operation {how}", deployment.topology, report, binary=deployment.binary)


def key_of(namespace: str, what: str, name: str, script: str) -> str:
    """Who has this key is who runs the script."""
    if what == "lock" and script == "lease":
        return f"{namespace}/lock:{{lock-{name}}}"
    makes_another = what in {"create", "append, create=True", "fork"}
    return f"{namespace}/session:{name}{'-new' if makes_another else ''}"
