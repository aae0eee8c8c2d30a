"""Many change conversations of few names at once: every change has one place in their order."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence

import pytest

pytest.importorskip("pydantic_ai.conversation_store")

from pydantic_ai.conversation import Conversation
from pydantic_ai.conversation_store import ConversationConflict, ConversationEntry, ConversationRecord
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import ModelRequest

from miniagent_store import open_store
from miniagent_store.integrations.pydantic_ai import MiniAgentConversationStore

NAMES = ["a", "b", "c", "d"]


class Recorded(MiniAgentConversationStore):
    """Remembers which revision each change of it took, and which it gave."""

    changes: list[tuple[str, str | None, str | None]]

    async def write_record(
        self,
        record: ConversationRecord,
        *,
        new_entries: Sequence[ConversationEntry] = (),
        expected_revision: str | None,
    ) -> None:
        await super().write_record(record, new_entries=new_entries, expected_revision=expected_revision)
        self.changes.append((record.conversation_id, expected_revision, record.revision))

    async def delete_record(self, conversation_id: str, *, expected_revision: str) -> None:
        await super().delete_record(conversation_id, expected_revision=expected_revision)
        self.changes.append((conversation_id, expected_revision, None))


async def work(store: MiniAgentConversationStore, dice: random.Random, steps: int) -> None:
    for step in range(steps):
        name, other = dice.sample(NAMES, 2)
        try:
            match dice.choice(["save", "save", "fork", "branch", "delete"]):
                case "save":
                    conversation = await store.load(name) or Conversation(conversation_id=name)
                    conversation.messages.append(ModelRequest.user_text_prompt(f"{step} {dice.random()}"))
                    await store.save(conversation)
                case "fork":
                    at = dice.choice([None, 0, 1])
                    await store.fork(name, at=at, new_conversation_id=other)
                case "branch":
                    record = await store.read_record(name)
                    if record is not None:
                        await store.branch(name, at=1, expected_revision=record.revision)
                case _:
                    await store.delete(name)
        except (ConversationConflict, UserError):
            pass


async def fight(url: str, seed: int, workers: int, steps: int) -> None:
    async with open_store(url) as near:
        stores = [Recorded(near) for _ in range(workers)]
        changes: list[tuple[str, str | None, str | None]] = []
        for store in stores:
            store.changes = changes
        dice = [random.Random(seed * 1000 + number) for number in range(workers)]
        await asyncio.gather(*map(work, stores, dice, [steps] * workers))

        fresh = MiniAgentConversationStore(near)
        for name in NAMES:
            taken = Counter(before for each, before, _ in changes if each == name and before is not None)
            given = [after for each, _, after in changes if each == name and after is not None]
            # No revision was built upon twice, and none that was never there.
            assert all(count == 1 for count in taken.values())
            assert set(taken) <= set(given)
            made = sum(before is None for each, before, _ in changes if each == name)
            deleted = sum(after is None for each, _, after in changes if each == name)
            left = [revision for revision in given if revision not in taken]
            record = await fresh.read_record(name)
            assert left == ([] if record is None else [record.revision])
            assert made == deleted + len(left)
            if record is not None:
                for head in [record.head_id, *record.branches]:
                    await fresh.read_history(head)
        listed = [record.conversation_id for record in await fresh.list_conversations()]
        assert len(listed) == len(set(listed))


async def test_names_are_fought_over(url: str) -> None:
    await fight(url, seed=1, workers=4, steps=15)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
async def test_names_are_fought_over_for_long(url: str, seed: int) -> None:
    await fight(url, seed=seed, workers=8, steps=60)
