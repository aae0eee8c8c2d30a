"""A store belongs to its event loop and process, and says so."""

from __future__ import annotations

import asyncio
import os

import pytest

from miniagent_store import Message, WrongLoopError, open_store, open_store_sync
from miniagent_store.testing.servers import Server


def test_a_second_event_loop_is_refused(server: Server) -> None:
    store = open_store(f"{server.url}?namespace=loops")
    with asyncio.Runner() as first, asyncio.Runner() as second:
        first.run(store.append("s", Message.user("x"), create=True))

        with pytest.raises(WrongLoopError, match="another event loop"):
            second.run(store.get("s"))

        first.run(store.close())


def test_a_forked_process_is_refused(server: Server) -> None:
    store = open_store(f"{server.url}?namespace=forks")
    with asyncio.Runner() as runner:
        runner.run(store.append("s", Message.user("x"), create=True))
        child = os.fork()
        if child == 0:
            try:
                # A loop of its own: the parent's would read the parent's replies.
                asyncio.new_event_loop().run_until_complete(store.get("s"))
            except WrongLoopError:
                os._exit(7)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)

        assert os.waitstatus_to_exitcode(status) == 7
        assert runner.run(store.count("s")) == 1
        runner.run(store.close())


def test_the_blocking_face_works_on_redis(server: Server) -> None:
    with open_store_sync(f"{server.url}?namespace=blocking") as store:
        session = store.create("s")
        with store.turn("s") as turn:
            turn.append(Message.user("hello"))
        assert next(store.watch("s", after=session.position)).type == "appended"
        assert [message.content for message in store.history("s")] == ["hello"]
