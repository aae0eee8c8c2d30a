"""One turn of a conversation: read, ask, stream, and commit once."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from miniagent_store.agent.compaction import Compaction
from miniagent_store.agent.config import AgentConfig
from miniagent_store.agent.context_window import ContextWindow
from miniagent_store.agent.events import Event, EventType
from miniagent_store.agent.memory.recalling import Recalled, Recalling, Seen
from miniagent_store.agent.memory.remembering import Remembering
from miniagent_store.agent.models import ModelRequest, Responder
from miniagent_store.agent.observing import TurnObserver
from miniagent_store.agent.prompting import Prompting, tokens_of_schemas
from miniagent_store.agent.session_thread import SessionThread
from miniagent_store.agent.thread_changes import METADATA_PREFIX, ThreadChanges
from miniagent_store.agent.window_reading import FIRST_PAGE, WindowView, read_window
from miniagent_store.errors import ContextTooLargeError, LockLostError, SessionNotFoundError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.store.turn import Turn
from miniagent_store.values import EVENTS, MESSAGES, Message, Session, Snapshot

StreamTo = Callable[[str], Any]


def conversation(session: Session | None, session_id: str) -> Session:
    """The session, if it is one: records of other kinds share the ids, and are nobody's chat.

    Raises:
        SessionNotFoundError: it is not.
    """
    if session is None or session.kind != "session":
        raise SessionNotFoundError(session_id)
    return session


def thread_limit(config: AgentConfig, window: ContextWindow | None) -> int | None:
    """How many of the last messages and events are read into a thread; None for all."""
    return config.history_limit if window is None else max(window.messages or 0, FIRST_PAGE)


async def read_thread(
    store: SessionStore, session_id: str, last: int | None
) -> tuple[SessionThread, Snapshot]:
    """A session's thread as it is stored, and the snapshot it is made of.

    Raises:
        SessionNotFoundError: there is no such session.
    """
    snapshot = await store.snapshot(session_id, last=last, logs=(MESSAGES, EVENTS), state=METADATA_PREFIX)
    conversation(snapshot.session, session_id)
    thread = SessionThread(session_id, store)
    thread.take(snapshot)
    return thread, snapshot


@dataclass(slots=True)
class Answering:
    """Asks a model within a turn, whose one commit stores the whole answer.

    Attributes:
        store: where the session is.
        turn: the session's, taken.
        responder: the model.
        config: the agent's.
        tell: to be called with each event.
        stream_to: to be called with each piece of the answer, if anybody wants them.
        streaming: whether anybody does.
        observer: to be told of calls of models and tools.
        window: what of the history the model sees; None for all that the turn has read.
        compaction: how the rest is summarised.
        remembering, recalling: what was said in other sessions; None for an agent without memory.
    """

    store: SessionStore
    turn: Turn
    responder: Responder
    config: AgentConfig
    tell: Callable[[Any], Awaitable[None]]
    observer: TurnObserver
    stream_to: StreamTo | None = None
    streaming: bool = False
    window: ContextWindow | None = None
    compaction: Compaction | None = None
    remembering: Remembering | None = None
    recalling: Recalling | None = None
    _recalled: Recalled = field(default_factory=Recalled)
    _snapshot: Snapshot | None = None
    _changes: ThreadChanges = field(default_factory=ThreadChanges)
    _started: bool = False

    async def answer(self, user_input: str, context: str | None) -> str:
        """Ask, and put all that is said into the turn, which commits it when it ends."""
        turn = self.turn
        self._snapshot = turn.snapshot
        session = conversation(turn.session, turn.session_id)
        prompts = [Message.system(text) for text in (self.config.system_prompt, context) if text]
        prompting = Prompting(prompts, history=turn.history)
        if self.window is not None:
            await self._look_through(self.window, prompting, user_input)
        elif self.recalling is not None:
            last, limit = session.position.seq(), self.config.history_limit
            start = 1 if limit is None else last - limit + 1
            await self._recall(self.recalling, prompting, user_input, Seen(start))
        text, self._changes = await self.responder.respond(
            ModelRequest(
                session,
                user_input,
                context,
                prompting,
                self.config,
                self.store,
                self.streaming,
                self._deliver,
                self._emit,
                self._read_thread,
                self.observer,
                self._check,
            )
        )
        self._recalled.mark(self._changes.messages)
        self._changes.write(turn)
        if self.remembering is not None:
            self.remembering.anchor(turn, session)
        return text

    async def _look_through(self, window: ContextWindow, prompting: Prompting, user_input: str) -> None:
        prompting.window = window
        prompting.overhead = tokens_of_schemas(window, self.responder.schemas)
        taken = prompting.overhead + window.count([*prompting.prompts, Message.user(user_input)])
        budget = 0 if self.recalling is None else self.recalling.budget(window)
        taken += budget
        view = await read_window(self.store, self.turn.session_id, window, self.compaction, taken=taken)
        prompting.pinned, prompting.summary, prompting.history = view.pinned, view.summary, view.history
        self._snapshot = view.snapshot
        view.write(self.turn)
        if self.recalling is not None:
            seen = self._seen(window, prompting, view, user_input, budget)
            if seen is not None:
                await self._recall(self.recalling, prompting, user_input, seen, budget)

    def _seen(
        self, window: ContextWindow, prompting: Prompting, view: WindowView, user_input: str, tokens: int
    ) -> Seen | None:
        """What the model will see with so many tokens of memories; None where these have no room."""
        try:
            chosen = window.choose(
                prompting.history,
                always=[*prompting.prompts, *prompting.pinned],
                summary=prompting.summary,
                question=[Message.user(user_input)],
                overhead=prompting.overhead + tokens,
            )
        except ContextTooLargeError:
            return None
        shown = set(map(id, chosen))
        sequences = zip(prompting.history, view.sequences, strict=True)
        none = view.snapshot.position.seq() + 1
        start = next((seq for message, seq in sequences if id(message) in shown), none)
        return Seen(start, view.pinned_sequences)

    async def _recall(
        self,
        recalling: Recalling,
        prompting: Prompting,
        user_input: str,
        seen: Seen,
        tokens: int | None = None,
    ) -> None:
        assert self.turn.session is not None
        self._recalled = await recalling.recall(self.turn.session, user_input, seen, tokens)
        prompting.recalled = list(self._recalled.messages)

    async def committed(self) -> SessionThread:
        """Tell that the stream has ended; the thread as it is now. To be called after the turn."""
        if self._started:
            await self._emit(Event(EventType.STREAM_END))
        thread = SessionThread(self.turn.session_id, self.store)
        if self._snapshot is not None and self.turn.result is not None:
            thread.take(self._snapshot)
            thread.committed(self._changes, self.turn.result)
        return thread

    async def _read_thread(self) -> SessionThread:
        last = thread_limit(self.config, self.window)
        thread, self._snapshot = await read_thread(self.store, self.turn.session_id, last)
        return thread

    def _check(self) -> None:
        if self.turn.lease.lost:
            # The commit would be refused; whoever listens should not hear more of what is not kept.
            raise LockLostError(self.turn.session_id)

    async def _deliver(self, chunk: str) -> None:
        self._check()
        if not self.streaming:
            return
        if not self._started:
            self._started = True
            await self._emit(Event(EventType.STREAM_START))
        if self.stream_to is not None:
            told = self.stream_to(chunk)
            if inspect.isawaitable(told):
                await told
        await self._emit(Event(EventType.STREAM_CHUNK, chunk))

    async def _emit(self, event: Event) -> None:
        await self.tell(replace(event, metadata={"session_id": self.turn.session_id, **event.metadata}))
