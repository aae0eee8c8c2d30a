"""The cases of LlamaIndex's own tests, on all places.

Its sdist brings no tests, so these are written anew after those of its repository: `tests/memory/
test_memory_custom_chat_store.py` and `test_memory_base.py`, `tests/storage/chat_store/test_sql.py` and
`test_simple_chat_store.py`, `tests/storage/kvstore/test_simple_kvstore.py`. LEFT_OUT says what is not.
"""

import pytest
from llama_index.core.base.llms.types import ChatMessage, ToolCallBlock
from llama_index.core.memory import ChatMemoryBuffer, Memory
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.storage.chat_store.base_db import MessageStatus
from llama_index.core.storage.docstore.keyval_docstore import KVDocumentStore

from miniagent_store.integrations.llama_index import (
    MiniAgentChatStore,
    MiniAgentKVStore,
    MiniAgentLegacyChatStore,
)

LEFT_OUT = {
    "test_memory_custom_chat_store.py::test_from_defaults_without_chat_store_still_uses_sql_store": (
        "about the default store"
    ),
    "test_memory_custom_chat_store.py::test_concurrent_aput_does_not_over_archive": (
        "about a lock in Memory, which the release that is tested may not have"
    ),
    "test_memory_base.py::test_estimate_token_count*": "about counting tokens, no store is asked",
    "test_simple_chat_store.py::test_add_messages, its end": "`idx` is not in the contract",
    "test_simple_chat_store.py::test_persist*, test_simple_kvstore.py::test_kvstore_persist, _dict": (
        "about files of stores in memory"
    ),
}
USER, BOT = "user", "assistant"


def message(content: str, role: str = USER) -> ChatMessage:
    return ChatMessage(role=role, content=content)


def contents(messages: list[ChatMessage]) -> list[str | None]:
    return [each.content for each in messages]


class TestAsyncChatStore:
    async def test_adds_and_gets(self, chat_store: MiniAgentChatStore) -> None:
        await chat_store.add_message("one", message("hello"))
        await chat_store.add_message("one", message("world", BOT))
        assert await chat_store.get_messages("one") == [message("hello"), message("world", BOT)]
        assert await chat_store.get_messages("another") == []

    async def test_adds_many(self, chat_store: MiniAgentChatStore) -> None:
        await chat_store.add_messages("one", [message("a"), message("b", BOT), message("c")])
        assert contents(await chat_store.get_messages("one")) == ["a", "b", "c"]
        await chat_store.add_messages("two", [])
        assert await chat_store.get_keys() == ["one"]

    async def test_counts(self, chat_store: MiniAgentChatStore) -> None:
        await chat_store.add_messages("one", [message("a"), message("b", BOT), message("c")])
        assert await chat_store.count_messages("one") == 3
        assert await chat_store.count_messages("another") == 0

    async def test_sets(self, chat_store: MiniAgentChatStore) -> None:
        await chat_store.add_messages("one", [message("a"), message("b")])
        await chat_store.archive_oldest_messages("one", 1)
        await chat_store.set_messages("one", [message("c"), message("d", BOT)])
        assert contents(await chat_store.get_messages("one", status=None)) == ["c", "d"]
        assert await chat_store.count_messages("one") == 2

    async def test_deletes_one(self, chat_store: MiniAgentChatStore) -> None:
        await chat_store.add_messages("one", [message("a"), message("b"), message("c")])
        assert await chat_store.delete_message("one", 1) == message("b")
        assert contents(await chat_store.get_messages("one")) == ["a", "c"]
        assert await chat_store.delete_message("one", 2) is None

    async def test_deletes_all(self, chat_store: MiniAgentChatStore) -> None:
        await chat_store.add_message("one", message("a"))
        await chat_store.add_message("two", message("b"))
        await chat_store.delete_messages("one")
        assert await chat_store.get_messages("one") == []
        assert contents(await chat_store.get_messages("two")) == ["b"]

    async def test_deletes_oldest(self, chat_store: MiniAgentChatStore) -> None:
        await chat_store.add_messages("one", [message("a"), message("b"), message("c")])
        assert contents(await chat_store.delete_oldest_messages("one", 1)) == ["a"]
        assert contents(await chat_store.get_messages("one")) == ["b", "c"]

    async def test_archives_oldest(self, chat_store: MiniAgentChatStore) -> None:
        await chat_store.add_messages("one", [message("a"), message("b"), message("c")])
        assert contents(await chat_store.archive_oldest_messages("one", 1)) == ["a"]
        assert contents(await chat_store.get_messages("one")) == ["b", "c"]
        archived = await chat_store.get_messages("one", status=MessageStatus.ARCHIVED)
        assert contents(archived) == ["a"]

    async def test_limit_and_offset(self, chat_store: MiniAgentChatStore) -> None:
        await chat_store.add_messages("one", [message(text) for text in "abcde"])
        assert contents(await chat_store.get_messages("one", limit=2)) == ["a", "b"]
        assert contents(await chat_store.get_messages("one", offset=2)) == ["c", "d", "e"]
        assert contents(await chat_store.get_messages("one", limit=2, offset=1)) == ["b", "c"]

    async def test_keys(self, chat_store: MiniAgentChatStore) -> None:
        for key in ("one", "two", "three"):
            await chat_store.add_message(key, message("a"))
        assert set(await chat_store.get_keys()) == {"one", "two", "three"}


class TestMemory:
    def memory(self, chat_store: MiniAgentChatStore, limit: int = 1000, flush: int = 700) -> Memory:
        return Memory(
            token_limit=limit,
            token_flush_size=flush,
            chat_history_token_ratio=0.9 if limit == 1000 else 0.5,
            session_id="one",
            sql_store=chat_store,
        )

    async def test_takes_it(self, chat_store: MiniAgentChatStore) -> None:
        memory = self.memory(chat_store)
        await memory.aput(message("a"))
        await memory.aput_messages([message("b", BOT), message("c")])
        assert contents(await memory.aget()) == ["a", "b", "c"]
        assert memory.sql_store is chat_store
        assert contents(await memory.aget_all(status=MessageStatus.ACTIVE)) == ["a", "b", "c"]

    async def test_from_defaults_with_a_history(self, chat_store: MiniAgentChatStore) -> None:
        memory = Memory.from_defaults(
            session_id="one", token_limit=1000, chat_history=[message("seed")], chat_store=chat_store
        )
        assert memory.sql_store is chat_store
        assert contents(await memory.aget()) == ["seed"]

    async def test_archives_what_is_over_the_limit(self, chat_store: MiniAgentChatStore) -> None:
        memory = self.memory(chat_store)
        await memory.aput_messages([message("x " * 500), message("y " * 500, BOT), message("z " * 500)])
        assert contents(await memory.aget()) == ["z " * 500]
        assert await chat_store.count_messages("one", status=MessageStatus.ARCHIVED) == 2

    async def test_sets_and_resets(self, chat_store: MiniAgentChatStore) -> None:
        memory = self.memory(chat_store)
        await memory.aset([message("a"), message("b", BOT)])
        assert contents(await memory.aget()) == ["a", "b"]
        await memory.areset(status=MessageStatus.ACTIVE)
        assert await memory.aget() == []

    @pytest.mark.parametrize(
        "messages",
        [
            [message("x " * 100), message("ok", BOT)],
            [message("a " * 50), message("b " * 50, BOT), message("c " * 50), message("d " * 50, BOT)],
            [message("a " * 40), message("b " * 20, BOT), message("c " * 20, "tool"), message("d", BOT)],
            [message("x " * 50), message("call", BOT), message("result", "tool")],
        ],
    )
    async def test_a_queue_begins_with_a_user(
        self, chat_store: MiniAgentChatStore, messages: list[ChatMessage]
    ) -> None:
        memory = self.memory(chat_store, limit=100, flush=50)
        await memory.aput_messages(messages)
        queue = await memory.aget()
        assert not queue or queue[0].role == USER
        assert await chat_store.count_messages("one", status=None) == len(messages)

    async def test_tool_calls_come_back(self, chat_store: MiniAgentChatStore) -> None:
        memory = self.memory(chat_store)
        call = ToolCallBlock(tool_call_id="c1", tool_name="search", tool_kwargs={"deep": [{"er": 1}]})
        said = ChatMessage(role=BOT, blocks=[call], additional_kwargs={"tool_calls": [{"id": "c1"}]})
        await memory.aput(said)
        assert await memory.aget() == [said]

    def test_blocking_calls(self, url: str) -> None:
        memory = Memory(token_limit=1000, session_id="one", sql_store=MiniAgentChatStore(url))
        memory.put(message("one"))
        memory.put(message("two"))
        assert contents(memory.get_all()) == ["one", "two"]
        assert contents(memory.get()) == ["one", "two"]


class TestBlockingChatStore:
    @pytest.fixture
    def legacy(self, url: str) -> MiniAgentLegacyChatStore:
        return MiniAgentLegacyChatStore(url)

    def test_adds_and_gets(self, legacy: MiniAgentLegacyChatStore) -> None:
        for key in ("one", "two"):
            legacy.add_message(key, message("hello"))
            legacy.add_message(key, message("world"))
            assert legacy.get_messages(key) == [message("hello"), message("world")]
        assert set(legacy.get_keys()) == {"one", "two"}

    def test_deletes_all(self, legacy: MiniAgentLegacyChatStore) -> None:
        legacy.add_message("one", message("hello"))
        legacy.add_message("two", message("world"))
        assert legacy.delete_messages("one") == [message("hello")]
        assert legacy.delete_messages("one") is None
        assert legacy.get_messages("one") == []
        assert legacy.get_keys() == ["two"]

    def test_deletes_one(self, legacy: MiniAgentLegacyChatStore) -> None:
        legacy.set_messages("one", [message("a"), message("b"), message("c")])
        assert legacy.delete_last_message("one") == message("c")
        assert legacy.delete_message("one", 0) == message("a")
        assert legacy.delete_message("one", -2) is None
        assert legacy.get_messages("one") == [message("b")]
        assert legacy.delete_last_message("one") == message("b")
        assert legacy.delete_last_message("one") is None

    async def test_asynchronous_calls(self, legacy: MiniAgentLegacyChatStore) -> None:
        await legacy.aset_messages("one", [message("a"), message("b"), message("c")])
        await legacy.async_add_message("one", message("d"))
        assert await legacy.adelete_message("one", 1) == message("b")
        assert await legacy.adelete_last_message("one") == message("d")
        assert await legacy.aget_messages("one") == [message("a"), message("c")]
        assert await legacy.aget_keys() == ["one"]
        assert await legacy.adelete_messages("one") == [message("a"), message("c")]

    def test_a_buffer_is_written_and_read(self, legacy: MiniAgentLegacyChatStore) -> None:
        buffer = ChatMemoryBuffer.from_defaults(chat_store=legacy, chat_store_key="one", token_limit=1000)
        buffer.put(message("hello"))
        again = ChatMemoryBuffer.from_string(buffer.to_string())
        assert again.get() == [message("hello")]


class TestKVStore:
    def test_puts_and_gets(self, url: str) -> None:
        store = MiniAgentKVStore(url, shards=4)
        store.put("key", {"a": 1})
        assert store.get("key") == {"a": 1}
        assert store.get("key", collection="another") is None
        assert store.delete("key")
        assert not store.delete("key")

    async def test_many(self, url: str) -> None:
        store = MiniAgentKVStore(url, shards=4)
        pairs = [(f"node/{number}\n{'é' * number}", {"number": number}) for number in range(40)]
        pairs.append(("k" * 2000, {"long": True}))
        await store.aput_all(pairs, batch_size=10)
        assert await store.aget_all() == dict(pairs)
        assert store.get_all() == dict(pairs)
        assert await store.aget("k" * 2000) == {"long": True}

    async def test_documents(self, url: str) -> None:
        documents = KVDocumentStore(MiniAgentKVStore(url, shards=4), batch_size=10)
        nodes = [TextNode(text=f"part {number}", id_=f"file.pdf_part_{number}") for number in range(25)]
        for node in nodes:
            node.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id="file.pdf")
        documents.add_documents(nodes)
        assert len(await documents.aget_nodes([node.node_id for node in nodes])) == 25
        assert len(documents.docs) == 25
        found = await documents.aget_document("file.pdf_part_7")
        assert found is not None
        assert found.get_content() == "part 7"
        info = documents.get_ref_doc_info("file.pdf")
        assert info is not None
        assert len(info.node_ids) == 25
        await documents.adelete_ref_doc("file.pdf")
        assert documents.docs == {}
