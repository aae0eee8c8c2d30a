"""Random programs against `MiniAgentConversationStore` and the framework's own in-memory store."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("pydantic_ai.conversation_store")

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from pydantic_ai.conversation import Conversation
from pydantic_ai.conversation_store import (
    ConversationConflict,
    ConversationStore,
    InMemoryConversationStore,
)
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, UserPromptPart
from pydantic_ai.usage import RunUsage

from miniagent_store import SessionStore, open_store
from miniagent_store.integrations.pydantic_ai import MiniAgentConversationStore

NAMES = st.sampled_from(["a", "b", "c", "d/e", "{f}"])
SCOPES = st.sampled_from([None, None, "ada", "bob"])
DROPS = st.sampled_from([0, 0, 0, 1, 2])
TEXTS = st.lists(st.sampled_from(["x", "y", "z", "grüße 🌍"]), max_size=3)


def message(text: str) -> ModelMessage:
    return ModelRequest([UserPromptPart(text)]) if text != "y" else ModelResponse([TextPart(text)])


class Programs(RuleBasedStateMachine):
    """Each step is done with both stores; what it gives, and what can be seen afterwards, is the same.

    Entry ids and revisions are minted by the framework for each store, so they are compared by what they
    stand for: the history that ends there.
    """

    url = "memory://"

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.near: SessionStore = open_store(self.url, namespace=uuid.uuid4().hex)
        self.stores: tuple[ConversationStore, ConversationStore] = (
            InMemoryConversationStore(),
            MiniAgentConversationStore(self.near),
        )
        # What callers hold, perhaps stale: by name, one conversation for each store.
        self.held: dict[str, list[tuple[Conversation, Conversation]]] = {}

    def teardown(self) -> None:
        self.loop.run_until_complete(self.near.close())
        self.loop.close()

    def both(self, call: Any) -> tuple[Any, Any]:
        """What the call gives with each store, or the kind of error; the two must agree in that."""

        async def one(number: int) -> Any:
            try:
                return await call(self.stores[number], number)
            except (ConversationConflict, UserError, LookupError) as error:
                return type(error)

        results = [self.loop.run_until_complete(one(number)) for number in (0, 1)]
        errors = [each if isinstance(each, type) else None for each in results]
        assert errors[0] == errors[1], errors
        return results[0], results[1]

    def hold(self, name: str, pair: tuple[Any, Any]) -> None:
        if all(isinstance(each, Conversation) for each in pair):
            assert contents(pair[0]) == contents(pair[1])
            assert pair[0].usage == pair[1].usage
            self.held.setdefault(name, []).append(pair)

    @rule(name=NAMES, texts=TEXTS, scope=SCOPES, count=st.integers(0, 3))
    def save_new(self, name: str, texts: list[str], scope: str | None, count: int) -> None:
        def made() -> Conversation:
            return Conversation(
                conversation_id=name,
                messages=[message(text) for text in texts],
                usage=RunUsage(requests=count),
            )

        pair = (made(), made())
        first, _ = self.both(lambda store, n: store.save(pair[n], scope=scope))
        if isinstance(first, list):
            self.hold(name, pair)

    @rule(
        name=NAMES, pick=st.integers(0, 9), texts=TEXTS, scope=SCOPES, drop=st.sampled_from([0, 0, 0, 1, 2])
    )
    def save_on(self, name: str, pick: int, texts: list[str], scope: str | None, drop: int) -> None:
        """Go on from what is held, perhaps with a rewritten history."""
        held = self.held.get(name)
        if not held:
            return
        pair = held[-1 - pick % len(held)]
        new = [message(text) for text in texts]
        changed = tuple(
            replace(each, messages=[*each.messages[: len(each.messages) - drop], *new]) for each in pair
        )
        if not drop:
            for each in pair:
                each.messages.extend(new)
            changed = pair
        first, second = self.both(lambda store, n: store.save(changed[n], scope=scope))
        if isinstance(first, list):
            assert plain([each.message for each in first]) == plain([each.message for each in second])
            self.hold(name, (changed[0], changed[1]))

    @rule(name=NAMES, limit=st.none() | st.integers(0, 4), scope=SCOPES)
    def load(self, name: str, limit: int | None, scope: str | None) -> None:
        self.hold(name, self.both(lambda store, n: store.load(name, limit=limit, scope=scope)))

    @rule(name=NAMES, at=st.integers(0, 5), stale=st.booleans())
    def branch(self, name: str, at: int, stale: bool) -> None:
        async def call(store: ConversationStore, n: int) -> Any:
            record = await store.read_record(name)
            revision = "stale" if stale or record is None else record.revision
            return await store.branch(name, at=at, expected_revision=revision)

        self.hold(name, self.both(call))

    @rule(name=NAMES, pick=st.integers(0, 9))
    def branch_back(self, name: str, pick: int) -> None:
        async def call(store: ConversationStore, n: int) -> Any:
            record = await store.read_record(name)
            if record is None or not record.branches:
                return None
            tip = record.branches[pick % len(record.branches)]
            return await store.branch(name, from_entry=tip, expected_revision=record.revision)

        self.hold(name, self.both(call))

    @rule(name=NAMES, new=NAMES, at=st.none() | st.integers(0, 5), scope=SCOPES)
    def fork(self, name: str, new: str, at: int | None, scope: str | None) -> None:
        self.hold(
            new,
            self.both(lambda store, n: store.fork(name, at=at, new_conversation_id=new, scope=scope)),
        )

    @rule(name=NAMES, scope=SCOPES)
    def delete(self, name: str, scope: str | None) -> None:
        self.both(lambda store, n: store.delete(name, scope=scope))

    @rule(fresh=st.booleans(), scope=SCOPES, limit=st.none() | st.integers(0, 4))
    def look(self, fresh: bool, scope: str | None, limit: int | None) -> None:
        """All that can be seen, perhaps by a store object that has read nothing yet."""
        if fresh:
            self.stores = (self.stores[0], MiniAgentConversationStore(self.near))

        async def call(store: ConversationStore, n: int) -> Any:
            seen = []
            for record in await store.list_conversations(scope=scope, limit=limit):
                seen.append((record.conversation_id, record.scope, record.forked_from, record.usage))
                seen.append([each.message for each in await store.read_history(record.head_id)])
                for tip in record.branches:
                    line = await store.read_history(tip)
                    seen.append([each.message for each in line])
                    assert (await store.read_entry(tip)).message == line[-1].message
            return seen

        first, second = self.both(call)
        assert plain(first) == plain(second)


def contents(conversation: Conversation) -> Any:
    return plain(conversation.messages)


def plain(value: Any) -> Any:
    """Without times, which differ since each store is given its own copy."""
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    parts = getattr(value, "parts", None)
    return value if parts is None else [(part.part_kind, part.content) for part in parts]


def run_programs(url: str, examples: int) -> None:
    class Here(Programs):
        pass

    Here.url = url
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_random_programs() -> None:
    run_programs("memory://", 40)


@pytest.mark.slow
def test_many_random_programs(url: str) -> None:
    # Each program has a namespace of its own.
    run_programs(f"{url.partition('?')[0]}?deadline=60s", 250)
