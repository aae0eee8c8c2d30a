"""What stands in the store: nothing readable where it is encrypted, and no value that is not ours."""

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.memory import Memory

from miniagent_store import DecodeError, EncodeError, InvalidArgumentError, open_store
from miniagent_store.integrations.llama_index import MiniAgentChatStore, MiniAgentKVStore
from tests.integrations.conftest import Encrypted
from tests.integrations.llama_index.model import agent

CANARY = "canary"


async def test_a_word_is_nowhere(encrypted: Encrypted) -> None:
    store = MiniAgentChatStore(encrypted.url)
    memory = Memory.from_defaults("s", chat_store=store)
    # The tool's call, its result and the answer repeat the question.
    await agent().run(CANARY, memory=memory)
    assert CANARY in str(await memory.aget())
    await store.archive_oldest_messages("s", 2)
    kv = MiniAgentKVStore(encrypted.url)
    await kv.aput("k", {"word": CANARY})
    encrypted.assert_absent(CANARY.encode())
    await store.aclose()
    kv.close()


async def test_what_has_no_json_is_refused(url: str) -> None:
    store = MiniAgentChatStore(url)
    message = ChatMessage(content=CANARY, additional_kwargs={"it": object()})
    with pytest.raises(EncodeError) as refused:
        await store.add_message("s", message)
    assert CANARY not in str(refused.value)
    assert await store.get_keys() == []
    with pytest.raises(EncodeError):
        await MiniAgentKVStore(url).aput("k", {CANARY: object()})
    await store.aclose()


async def test_what_is_no_message_is_refused(url: str) -> None:
    store = MiniAgentChatStore(url)
    await store.add_message("s", ChatMessage(content="a"))
    async with open_store(url) as opened:
        await opened.append("llama_index/s", {"role": "user", "blocks": [{"block_type": CANARY}]})
    with pytest.raises(DecodeError) as refused:
        await store.get_messages("s")
    assert CANARY not in str(refused.value)
    assert refused.value.__context__ is None
    await store.aclose()


async def test_what_a_newer_release_has_added_survives(url: str) -> None:
    store = MiniAgentChatStore(url)
    async with open_store(url) as opened:
        newer = {
            "role": "user",
            "blocks": [{"block_type": "text", "text": "a", "new": 1}],
            "newer": {"b": 2},
        }
        await opened.append("llama_index/s", newer, create=True)
        await store.add_messages("s", [ChatMessage(content="b"), ChatMessage(content="c")])
        await store.archive_oldest_messages("s", 1)
        await store.delete_message("s", 1)
        assert [message.content for message in await store.get_messages("s", status=None)] == ["a", "b"]
        assert dict((await opened.history("llama_index/s"))[0]) == newer
    await store.aclose()


async def test_the_session_stays_where_messages_are_set(url: str) -> None:
    store = MiniAgentChatStore(f"{url}&ttl=1h")
    await store.add_message("s", ChatMessage(content="a"))
    async with open_store(url) as opened:
        before = await opened.get("llama_index/s")
        await opened.state("llama_index/s").set("mine", 1)
        await opened.update("llama_index/s", tags=["mine", *before.tags])
        await store.set_messages("s", [ChatMessage(content="b")])
        after = await opened.get("llama_index/s")
        assert (after.created_at, after.ttl) == (before.created_at, 3600)
        assert "mine" in after.tags
        assert await opened.state("llama_index/s").get("mine") == 1
    await store.aclose()


async def test_wrong_arguments(url: str) -> None:
    store = MiniAgentChatStore(url)
    with pytest.raises(InvalidArgumentError):
        await store.get_messages("s", limit=-1)
    with pytest.raises(InvalidArgumentError):
        await store.get_messages("s" * 600)
    assert await store.archive_oldest_messages("s", 3) == []
    assert await store.delete_oldest_messages("s", -1) == []
    for key in ("", "a/b", "{c}", "ü\n", "%"):
        await store.add_message(key, ChatMessage(content=key))
    assert sorted(await store.get_keys()) == sorted(["", "a/b", "{c}", "ü\n", "%"])
    assert [message.content for message in await store.get_messages("ü\n")] == ["ü\n"]
    await store.aclose()
