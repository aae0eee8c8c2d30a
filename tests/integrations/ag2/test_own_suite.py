"""The cases of AG2's own tests, on all places.

Its sdist brings no tests, so these are written anew after those of its repository:
`test/beta/streams/test_redis_stream.py`. LEFT_OUT says what is not.
"""

from uuid import uuid4

from ag2 import MemoryStream
from ag2.context import ConversationContext as Context
from ag2.events import ModelMessage, ModelRequest, TextInput, ToolCallEvent
from ag2.task import Task, TaskSpec

from miniagent_store.integrations.ag2 import MiniAgentCheckpointStore, MiniAgentStorage

LEFT_OUT = {
    "TestRedisStream: test_cross_instance_pubsub, _bidirectional_pubsub, _where_filter_with_pubsub": (
        "about messages between streams of several processes, which is not in the contract of a storage"
    ),
    "TestRedisStream::test_send_notifies_subscribers, test_multiple_subscribers_same_instance": (
        "about MemoryStream, no storage is asked"
    ),
}


def call(name: str) -> ToolCallEvent:
    return ToolCallEvent(name, arguments="test")


class TestStorage:
    async def test_saves_and_gets(self, storage: MiniAgentStorage) -> None:
        stream = MemoryStream(storage)
        event = call("one")
        await storage.save_event(event, Context(stream))
        (found,) = await storage.get_history(stream.id)
        assert found == event
        assert found.created_at == event.created_at

    async def test_sets(self, storage: MiniAgentStorage) -> None:
        stream_id = uuid4()
        events = [call("one"), call("two")]
        await storage.set_history(stream_id, events)
        assert list(await storage.get_history(stream_id)) == events

    async def test_sets_anew(self, storage: MiniAgentStorage) -> None:
        stream_id = uuid4()
        await storage.set_history(stream_id, [call("old"), call("older")])
        new = call("new")
        await storage.set_history(stream_id, iter([new]))
        assert list(await storage.get_history(stream_id)) == [new]
        await storage.set_history(stream_id, [])
        assert list(await storage.get_history(stream_id)) == []

    async def test_drops(self, storage: MiniAgentStorage) -> None:
        stream_id = uuid4()
        await storage.set_history(stream_id, [call("one")])
        await storage.drop_history(stream_id)
        assert list(await storage.get_history(stream_id)) == []
        await storage.drop_history(stream_id)

    async def test_nothing_is_there(self, storage: MiniAgentStorage) -> None:
        assert list(await storage.get_history(uuid4())) == []


class TestStream:
    async def test_what_is_sent_is_saved_once(self, storage: MiniAgentStorage) -> None:
        stream = MemoryStream(storage)
        another = MemoryStream(storage, id=stream.id)
        sent = [call("one"), ModelRequest([TextInput("hello")])]
        for event in sent:
            await stream.send(event, Context(stream))
        # What is transient is left out by the stream.
        await stream.send(ModelMessage("hello"), Context(stream))
        assert list(await stream.history.get_events()) == sent
        assert list(await another.history.get_events()) == sent

    async def test_another_instance_finds_it(self, storage: MiniAgentStorage, url: str) -> None:
        stream = MemoryStream(storage)
        sent = call("one")
        await stream.send(sent, Context(stream))
        another = MiniAgentStorage(url)
        assert list(await MemoryStream(another, id=stream.id).history.get_events()) == [sent]
        await another.aclose()


class TestCheckpoints:
    async def test_a_task_is_resumed(self, url: str) -> None:
        checkpoints = MiniAgentCheckpointStore(url)
        spec = TaskSpec("count")
        async with Task(owner_id="me", spec=spec, checkpoint_store=checkpoints) as task:
            assert task.resumed_state is None
            await task.checkpoint({"step": 1})
            await task.checkpoint({"step": 2, "deep": {"list": [1, None, "x"]}})
        again = MiniAgentCheckpointStore(url)
        async with Task(
            owner_id="me", spec=spec, checkpoint_store=again, resume_from=task.task_id
        ) as resumed:
            assert resumed.resumed_state == {"step": 2, "deep": {"list": [1, None, "x"]}}
        assert await again.read("another") is None
        await checkpoints.aclose()
        await again.aclose()
