"""Any calls, on ours and on LlamaIndex's own stores in memory: the same is told, and the same stands."""

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock, ToolCallBlock
from llama_index.core.storage.chat_store import SimpleChatStore
from llama_index.core.storage.chat_store.base_db import MessageStatus
from llama_index.core.storage.chat_store.sql import SQLAlchemyChatStore

from miniagent_store.integrations.llama_index import MiniAgentChatStore, MiniAgentLegacyChatStore

ACTIVE, ARCHIVED = MessageStatus.ACTIVE, MessageStatus.ARCHIVED
EXAMPLES = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
MANY = settings(EXAMPLES, max_examples=300)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
kwargs = st.dictionaries(st.text(max_size=4), json_values, max_size=2)
blocks = st.one_of(
    st.text(max_size=8).map(lambda text: TextBlock(text=text)),
    st.builds(ToolCallBlock, tool_name=st.text(max_size=3), tool_kwargs=kwargs),
    st.binary(min_size=1, max_size=4).map(lambda image: ImageBlock(image=image, image_mimetype="image/a")),
)
messages = st.builds(
    ChatMessage,
    role=st.sampled_from(["user", "assistant", "tool", "system"]),
    blocks=st.lists(blocks, max_size=2),
    additional_kwargs=kwargs.filter(lambda given: "images" not in given),
)
keys = st.sampled_from(["a", "b/ü"])
statuses = st.sampled_from([ACTIVE, ACTIVE, ACTIVE, ARCHIVED])
some = st.lists(messages, min_size=1, max_size=4)
counts = st.integers(0, 4)

CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("add_message"), keys, messages, statuses),
        st.tuples(st.just("add_messages"), keys, some, statuses),
        st.tuples(st.just("set_messages"), keys, st.lists(messages, max_size=3), statuses),
        st.tuples(st.just("archive_oldest_messages"), keys, counts),
        st.tuples(st.just("delete_oldest_messages"), keys, counts),
        st.tuples(st.just("delete_messages"), keys, st.sampled_from([None, ACTIVE, ARCHIVED])),
        st.tuples(st.just("get_messages"), keys, statuses, st.none() | counts, counts),
    ),
    max_size=25,
)
LEGACY_CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("add_message"), keys, messages),
        st.tuples(st.just("set_messages"), keys, some),
        st.tuples(st.just("delete_messages"), keys),
        st.tuples(st.just("delete_message"), keys, st.integers(0, 4)),
    ),
    max_size=25,
)


async def compare(url: str, calls: list[tuple[Any, ...]]) -> None:
    ours = MiniAgentChatStore(url)
    # One that reads only at the end, so that it has kept nothing.
    fresh = MiniAgentChatStore(url)
    theirs = SQLAlchemyChatStore(table_name="t", async_database_uri="sqlite+aiosqlite:///:memory:")
    # Places are shared by all examples.
    mine = uuid.uuid4().hex
    try:
        for name, key, *arguments in calls:
            told = await getattr(ours, name)(mine + key, *arguments)
            assert told == await getattr(theirs, name)(key, *arguments), name
        for key in ("a", "b/ü"):
            for status in (None, ACTIVE, ARCHIVED):
                expected = await theirs.get_messages(key, status)
                assert await ours.get_messages(mine + key, status) == expected
                assert await fresh.get_messages(mine + key, status) == expected
                assert await ours.count_messages(mine + key, status) == len(expected)
        known = {key.removeprefix(mine) for key in await ours.get_keys() if key.startswith(mine)}
        assert known == set(await theirs.get_keys())
    finally:
        await ours.aclose()
        await fresh.aclose()
        if theirs._async_engine is not None:
            await theirs._async_engine.dispose()


def compare_blocking(url: str, calls: list[tuple[Any, ...]]) -> None:
    ours, theirs = MiniAgentLegacyChatStore(url), SimpleChatStore()
    mine = uuid.uuid4().hex
    for name, key, *arguments in calls:
        told = getattr(ours, name)(mine + key, *arguments)
        expected = getattr(theirs, name)(key, *arguments)
        # It tells whether an emptied conversation is known; ours and other stores do not.
        assert told == (expected or None), name
    for key in ("a", "b/ü"):
        assert ours.get_messages(mine + key) == theirs.get_messages(key)
    ours.close()


def check(run: Callable[[str, list[tuple[Any, ...]]], Any], how: settings, calls: Any, url: str) -> None:
    @how
    @given(calls)
    def each(example: list[tuple[Any, ...]]) -> None:
        run(url, example)

    each()


def test_against_sqlalchemy_in_memory() -> None:
    check(lambda url, calls: asyncio.run(compare(url, calls)), EXAMPLES, CALLS, "memory://differential")


def test_blocking_against_simple_in_memory() -> None:
    check(compare_blocking, EXAMPLES, LEGACY_CALLS, "memory://differential")


@pytest.mark.slow
def test_against_sqlalchemy(url: str) -> None:
    check(lambda url, calls: asyncio.run(compare(url, calls)), MANY, CALLS, url)


@pytest.mark.slow
def test_blocking_against_simple(url: str) -> None:
    check(compare_blocking, MANY, LEGACY_CALLS, url)
