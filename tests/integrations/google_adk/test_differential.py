"""Random programs, on ours and on ADK's own service in memory: the same answers, errors and sessions."""

from __future__ import annotations

import random
import uuid
from typing import Any

import pytest
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.sessions import BaseSessionService, InMemorySessionService, Session
from google.adk.sessions.base_session_service import GetSessionConfig
from google.genai import types

from miniagent_store.integrations.google_adk import MiniAgentSessionService
from miniagent_store.url import StoreURL

VALUES: list[Any] = [None, 0, -1.5, "", "é\n", True, [], {"a": [1, {"b": None}]}, "x" * 2000]
KEYS = ["a", "b", "user:a", "user:c", "app:a", "app:%", "temp:t", "user:"]


class Program:
    """One random program, and the objects that it holds of each service."""

    def __init__(self, seed: int, ours: BaseSessionService) -> None:
        self.random = random.Random(seed)
        self.services = (ours, InMemorySessionService())
        self.sessions: dict[tuple[str, str, str], tuple[Session, Session]] = {}
        self.clock = 1_000_000.0

    async def both(self, call: str, *arguments: Any, **named: Any) -> tuple[Any, Any]:
        """The answers or errors of both."""
        answers = []
        for number, service in enumerate(self.services):
            mine = [each[number] if isinstance(each, tuple) else each for each in arguments]
            try:
                answers.append(await getattr(service, call)(*mine, **named))
            except (AlreadyExistsError, SessionNotFoundError) as error:
                answers.append(type(error))
        return answers[0], answers[1]

    def state(self) -> dict[str, Any]:
        keys = self.random.sample(KEYS, self.random.randrange(4))
        return {key: self.random.choice(VALUES) for key in keys}

    def place(self) -> tuple[str, str, str]:
        return self.random.choice("xy"), self.random.choice(["u", "v/"]), self.random.choice(["1", "2"])

    async def step(self) -> None:
        app, user, session_id = self.place()
        names = {"app_name": app, "user_id": user}
        kind = self.random.choice(["create", "get", "list", "user", "delete", *["append"] * 6])
        if kind == "create":
            answers = await self.both(
                "create_session", **names, session_id=f" {session_id}", state=self.state() or None
            )
            self.compare(*answers, timed=False)
            if isinstance(answers[0], Session):
                self.sessions[app, user, session_id] = answers
        elif kind == "get":
            config = GetSessionConfig(
                num_recent_events=self.random.choice([None, 0, 1, 3]),
                after_timestamp=self.random.choice([None, self.clock - self.random.random() * 5]),
            )
            self.compare(*await self.both("get_session", **names, session_id=session_id, config=config))
        elif kind == "list":
            lists = await self.both("list_sessions", app_name=app, user_id=self.random.choice([None, user]))
            found = [{(each.user_id, each.id): each for each in answer.sessions} for answer in lists]
            assert found[0].keys() == found[1].keys()
            for key in found[0]:
                self.compare(found[0][key], found[1][key])
        elif kind == "user":
            ours, theirs = await self.both("get_user_state", **names)
            assert ours == theirs
        elif kind == "delete":
            await self.both("delete_session", **names, session_id=session_id)
            self.compare(*await self.both("get_session", **names, session_id=session_id))
        elif (app, user, session_id) in self.sessions:
            await self.append(self.sessions[app, user, session_id])

    async def append(self, sessions: tuple[Session, Session]) -> None:
        # In whole milliseconds or not, and sometimes twice the same.
        self.clock += self.random.choice([0, 0.25, 1, 1 / 3])
        event = Event(
            id=str(uuid.UUID(int=self.random.getrandbits(128))),
            author=self.random.choice(["user", "agent"]),
            invocation_id=str(self.random.randrange(5)),
            timestamp=self.clock,
            partial=self.random.random() < 0.1 or None,
            content=types.Content(role="user", parts=[types.Part(text=str(self.random.choice(VALUES)))]),
            actions=EventActions(state_delta=self.state()),
        )
        # Theirs keeps the object that is given.
        events = (event, event.model_copy(deep=True))
        ours, theirs = await self.both("append_event", sessions, events)
        if isinstance(ours, type) or isinstance(theirs, type):
            assert ours == theirs
            return
        assert ours.model_dump() == theirs.model_dump()
        self.compare(*sessions)
        if self.random.random() < 0.2:
            assert await self.both("append_event", sessions, events)
            self.compare(*sessions)

    def compare(self, ours: Any, theirs: Any, *, timed: bool = True) -> None:
        if not isinstance(ours, Session):
            assert ours == theirs
            return
        # Before the first event each has its own time of creation.
        excluded = set() if timed and (ours.events or theirs.events) else {"last_update_time"}
        assert ours.model_dump(exclude=excluded) == theirs.model_dump(exclude=excluded)


async def run(url: str, programs: range, steps: int) -> None:
    for seed in programs:
        named = StoreURL.parse(url).with_options(namespace=uuid.uuid4().hex)
        async with MiniAgentSessionService(named, keep_events_of=seed % 3) as ours:
            program = Program(seed, ours)
            for _ in range(steps):
                await program.step()


async def test_as_the_service_in_memory(url: str) -> None:
    await run(url, range(3), 60)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_as_the_service_in_memory_for_long(url: str) -> None:
    await run(url, range(100, 160), 150)
