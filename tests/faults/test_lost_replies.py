"""Faults 1 and 2: replies and requests that are lost, halved or swallowed on the way."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from miniagent_store import Message, open_store
from miniagent_store.testing.oracle import Report
from miniagent_store.testing.proxy import Action
from miniagent_store.testing.workload import MIX, Workload
from tests.faults.conftest import Record
from tests.faults.deployments import Deployment

NAMES = {
    Action.DROP: "lost",
    Action.HALVE: "halved",
    Action.TRICKLE: "in single bytes",
    Action.DELAY: "too late",
    Action.BLACK_HOLE: "swallowed, and all after it",
}
# Tried always; the others with the full counts.
USUAL = {("reply", Action.DROP), ("reply", Action.BLACK_HOLE), ("request", Action.HALVE)}


@pytest.mark.parametrize("lost", [60, pytest.param(600, marks=pytest.mark.slow)])
async def test_of_many_lost_replies_each_message_is_stored_once(
    every_deployment: Deployment, lost: int, record: Record
) -> None:
    deployment, namespace = every_deployment, uuid.uuid4().hex
    with deployment.proxied() as proxied:
        async with open_store(proxied.url, namespace=namespace, **proxied.options) as store:
            await store.append("s", Message.user("first"), create=True)
            for number in range(lost):
                fault = proxied.inject(f"{namespace}/session:s", Action.DROP, on="reply", after=b"EVALSHA")
                await store.append("s", Message.user(str(number)))
                assert fault.happened
            contents = [message.content for message in await store.history("s")]
            session = await store.get("s")
            retries = (await store.stats()).retries

    wanted = ["first", *map(str, range(lost))]
    report = Report(acknowledged=lost + 1, lost=len(set(wanted) - set(contents)))
    report.doubled = len(contents) - len(set(contents))
    record(f"1 {lost} lost replies, one by one", deployment.topology, report, binary=deployment.binary)
    assert contents == wanted
    assert session.version == lost + 1
    assert retries >= lost


@pytest.mark.parametrize(
    ("on", "action"),
    [
        pytest.param(on, action, marks=[] if (on, action) in USUAL else pytest.mark.slow)
        for on in ("reply", "request")
        for action in NAMES
    ],
)
async def test_writers_through_a_bad_line(
    deployment: Deployment, on: str, action: Action, record: Record
) -> None:
    """Eight writers, and again and again something of theirs breaks."""
    direction = "reply" if on == "reply" else "request"
    # A turn that is asked for late is taken by no one, and holds up the next for as long as a lease lasts.
    mix = ("append", "state", "counter") if action is Action.DELAY else MIX
    times = 8 if action in {Action.BLACK_HOLE, Action.DELAY} else 25
    with deployment.proxied() as proxied:
        async with Workload(proxied.url, socket_timeout="300ms", mix=mix, **proxied.options) as work:
            work.start()
            await work.acknowledge(2)
            work.mark()
            for number in range(times):
                key = f"{work.namespace}/session:{work.session_ids[number % len(work.session_ids)]}"
                fault = proxied.inject(key, action, on=direction, after=b"EVALSHA")
                await asyncio.to_thread(fault.wait, 30.0)
            await work.acknowledge(2)
            await work.stop()
            async with open_store(deployment.url, namespace=work.namespace) as store:
                report = await work.report(store, servers=deployment.masters())
    fault_name = f"{1 if on == 'reply' else 2} {on} {NAMES[action]}"
    record(fault_name, deployment.topology, report, binary=deployment.binary)
    report.check()
    assert not report.errors
    assert not report.unknown
