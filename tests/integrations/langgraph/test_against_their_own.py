"""Random programs on ours, through savers that know nothing of each other, and on LangGraph's own."""

from __future__ import annotations

import os
import uuid
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.memory import InMemorySaver

from miniagent_store.handle import StoreHandle
from miniagent_store.integrations.langgraph import MiniAgentSaver

THREAD = "thread"
EXAMPLES = int(os.environ.get("EXAMPLES", 10))
CHANNELS = ("items", "other", "text")
namespaces = st.sampled_from(["", "child:1", "child/2|%~"])
savers = st.integers(0, 1)
tasks = st.sampled_from(["t1", "t2"])
paths = st.sampled_from(["", "a", "b"])
items = st.lists(st.one_of(st.integers(0, 3), st.none(), st.binary(max_size=3)), max_size=4)


class Program(RuleBasedStateMachine):
    """Checkpoints anywhere in a tree of forks, their writes, and removals."""

    def __init__(self) -> None:
        super().__init__()
        url = f"memory://{uuid.uuid4().hex}"
        # One of them remembers next to nothing.
        self.ours = [MiniAgentSaver(StoreHandle(url), remembered=size) for size in ("1MB", 200)]
        self.theirs = InMemorySaver()
        self.known: list[tuple[str, str]] = []
        self.step = 0

    def teardown(self) -> None:
        for saver in self.ours:
            saver.handle.close()

    def config(self, namespace: str, checkpoint_id: str | None = None) -> Any:
        named = {"thread_id": THREAD, "checkpoint_ns": namespace}
        return {"configurable": named | ({"checkpoint_id": checkpoint_id} if checkpoint_id else {})}

    @rule(data=st.data(), namespace=namespaces, who=savers)
    def put(self, data: st.DataObject, namespace: str, who: int) -> None:
        ids = [checkpoint_id for ns, checkpoint_id in self.known if ns == namespace]
        parent = data.draw(st.sampled_from(ids[-3:] or [None]))
        # A run reads what it goes on from.
        before = self.ours[who].get_tuple(self.config(namespace, parent)) if parent else None
        old: Any = before.checkpoint if before else empty_checkpoint()
        checkpoint = {**old, "id": str(uuid6(clock_seq=self.step)), "channel_values": {}}
        values = dict(old["channel_values"])
        versions = dict(old["channel_versions"])
        new = {}
        for channel in data.draw(st.lists(st.sampled_from(CHANNELS), unique=True)):
            new[channel] = versions[channel] = self.theirs.get_next_version(versions.get(channel), None)
            added = data.draw(items)
            earlier = values.get(channel) or []
            how = data.draw(st.sampled_from(["add", "cut", "new", "none"]))
            if how == "none":
                values.pop(channel, None)
            else:
                kept = earlier if how == "add" else earlier[: len(earlier) // 2] if how == "cut" else []
                values[channel] = [*kept, *added]
        checkpoint |= {"channel_values": values, "channel_versions": versions}
        self.step += 1
        arguments: Any = (checkpoint, {"source": "loop", "step": self.step, "even": self.step % 2}, new)
        config = self.config(namespace, parent)
        assert self.ours[who].put(config, *arguments) == self.theirs.put(config, *arguments)
        self.known.append((namespace, checkpoint["id"]))

    @precondition(lambda self: self.known)
    @rule(
        data=st.data(), who=savers, task=st.sampled_from(["t1", "t2"]), path=st.sampled_from(["", "a", "b"])
    )
    def put_writes(self, data: st.DataObject, who: int, task: str, path: str) -> None:
        config = self.config(*data.draw(st.sampled_from(self.known)))
        channels = st.sampled_from([*CHANNELS, "__error__", "__interrupt__", "__resume__"])
        writes = data.draw(st.lists(st.tuples(channels, st.integers(0, 9)), min_size=1, max_size=3))
        self.ours[who].put_writes(config, writes, task, path)
        self.theirs.put_writes(config, writes, task, path)

    @rule(who=savers)
    def prune(self, who: int) -> None:
        self.ours[who].prune([THREAD])
        newest = {namespace: max(ids) for namespace, ids in self.theirs.storage[THREAD].items() if ids}
        self.keep(set(newest.items()))

    @rule(who=savers)
    def delete(self, who: int) -> None:
        self.ours[who].delete_thread(THREAD)
        self.theirs.delete_thread(THREAD)
        self.known = []

    def keep(self, kept: set[tuple[str, str]]) -> None:
        """Remove all else from theirs, which cannot."""
        self.known = [each for each in self.known if each in kept]
        for namespace, checkpoints in self.theirs.storage[THREAD].items():
            for checkpoint_id in [each for each in checkpoints if (namespace, each) not in kept]:
                del checkpoints[checkpoint_id]
                self.theirs.writes.pop((THREAD, namespace, checkpoint_id), None)

    @rule(data=st.data(), namespace=namespaces, who=savers)
    def listed(self, data: st.DataObject, namespace: str, who: int) -> None:
        before = data.draw(st.sampled_from([None, *[each for _, each in self.known]]))
        options: Any = {
            "limit": data.draw(st.sampled_from([None, 1, 2])),
            "filter": data.draw(st.sampled_from([None, {"even": 1}])),
            "before": self.config(namespace, before) if before else None,
        }
        ours = list(self.ours[who].list(self.config(namespace), **options))
        assert ours == list(self.theirs.list(self.config(namespace), **options))

    @invariant()
    def both_read_the_same(self) -> None:
        for namespace in {namespace for namespace, _ in self.known}:
            expected = self.theirs.get_tuple(self.config(namespace))
            assert [saver.get_tuple(self.config(namespace)) for saver in self.ours] == [expected] * 2


Program.TestCase.settings = settings(max_examples=EXAMPLES, stateful_step_count=15, deadline=None)
TestProgram = Program.TestCase
