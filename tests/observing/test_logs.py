"""Structured logs: a record an operation, as JSON."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest

from miniagent_store import BackendUnavailableError, SessionNotFoundError, open_store
from miniagent_store.observing import JsonFormatter, StructuredLogs
from miniagent_store.session import SessionAgent
from miniagent_store.testing.servers import Server

CANARIES = ["c4nary-question", "c4nary-user", "c4nary-password", "You said"]


class Lines:
    """A logger whose JSON lines are kept."""

    def __init__(self) -> None:
        self._stream = io.StringIO()
        self.logger = logging.Logger("lines")
        handler = logging.StreamHandler(self._stream)
        handler.setFormatter(JsonFormatter())
        self.logger.addHandler(handler)

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    @property
    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    def named(self, message: str) -> list[dict[str, Any]]:
        return [line for line in self.all if line["message"] == message]


async def test_each_operation_is_a_line_of_json(place: str) -> None:
    lines = Lines()
    store = open_store(place, plugins=[StructuredLogs(lines.logger)])
    async with store, SessionAgent(store=store, model="echo") as agent:
        session_id = await agent.create_session("c4nary-user")
        await agent.run_session(session_id, "c4nary-question")
        with pytest.raises(SessionNotFoundError):
            await store.get("nobody")

    (turn,) = lines.named("turn")
    assert turn["level"] == "INFO"
    assert turn["session_id"] == session_id
    assert turn["backend"] == place.partition(":")[0]
    assert turn["entries"] == 2
    assert 0 < turn["seconds"] < 60
    (chat,) = lines.named("chat")
    assert (chat["model"], chat["provider"], chat["output_tokens"]) == ("echo", "echo", 5)
    (failed,) = lines.named("get")
    assert (failed["level"], failed["error_type"]) == ("ERROR", "SessionNotFoundError")
    assert [canary for canary in CANARIES if canary in lines.text] == []


async def test_trouble_is_a_warning_and_shows_no_secret() -> None:
    lines = Lines()
    with Server(password="c4nary-password") as server:
        store = open_store(f"{server.url}/0", plugins=[StructuredLogs(lines.logger)], deadline=1.5)
        async with store:
            session = await store.create()
            server.stop()
            with pytest.raises(BackendUnavailableError):
                await store.get(session.id)

    assert {line["level"] for line in lines.named("retry")} == {"WARNING"}
    assert {line["level"] for line in lines.named("connection lost")} == {"WARNING"}
    (failed,) = lines.named("get")
    assert failed["retries"] == len(lines.named("retry"))
    assert failed["server"].startswith("127.0.0.1:")
    assert "c4nary-password" not in lines.text


async def test_a_level_that_nobody_wants_is_not_written() -> None:
    lines = Lines()
    lines.logger.setLevel(logging.INFO)
    async with open_store("memory://", plugins=[StructuredLogs(lines.logger, logging.DEBUG)]) as store:
        await store.create()
        with pytest.raises(SessionNotFoundError):
            await store.get("nobody")

    assert [line["message"] for line in lines.all] == ["get"]


def test_an_exception_is_one_line_too() -> None:
    lines = Lines()
    try:
        raise ValueError("two\nlines")
    except ValueError:
        lines.logger.exception("failed", extra={"attempt": 3, "what": object})

    (line,) = lines.all
    assert line["attempt"] == 3
    assert "ValueError: two\nlines" in line["exception"]
