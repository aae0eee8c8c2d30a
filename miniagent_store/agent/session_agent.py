"""An agent whose conversations are kept."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from miniagent_store.agent.answering import Answering, StreamTo, conversation, read_thread, thread_limit
from miniagent_store.agent.compaction import Compaction
from miniagent_store.agent.config import AgentConfig
from miniagent_store.agent.context_window import ContextWindow
from miniagent_store.agent.events import Event, EventType, emitter_of
from miniagent_store.agent.housekeeping import Housekeeping
from miniagent_store.agent.known_threads import KnownThreads
from miniagent_store.agent.memory.agent_memory import AgentMemory
from miniagent_store.agent.memory.recalling import Recalling
from miniagent_store.agent.memory.remembering import Remembering
from miniagent_store.agent.messages import history_dict
from miniagent_store.agent.observing import TurnObserver
from miniagent_store.agent.resolve import resolve_model
from miniagent_store.agent.session_listing import ANONYMOUS, list_all
from miniagent_store.agent.session_thread import HasStore, SessionThread
from miniagent_store.agent.store_source import HasURL, StoreSource
from miniagent_store.cancellation import to_the_end
from miniagent_store.errors import ConfigurationError, SessionNotFoundError, StoreClosedError
from miniagent_store.plugins import shared_plugins
from miniagent_store.store.protocol import SessionStore
from miniagent_store.store.store import Store
from miniagent_store.store.sweeper import Sweeper
from miniagent_store.url import StoreURL
from miniagent_store.values import MESSAGES, Health, Session, Snapshot

logger: logging.Logger = logging.getLogger("miniagent_store")
ENDED_AT = "agent.ended_at"


class SessionAgent:
    """Answers in sessions that survive restarts, shared by as many instances as there are.

    Starts by itself on first use; `initialize` does it now, and says at once if the store cannot be
    reached. ``async with agent:`` starts and ends it.

    Args:
        config: an `AgentConfig`, or MiniAgent's own.
        tools: what the model may call: functions with type hints, see `tool`; or what an agent's class
            takes as its own.
        callbacks: told of events: `Callbacks`, MiniAgent's object with ``emit``, or functions.
        redis_config: whose ``to_url()`` names the store, as in the seed.
        store: instead, a URL; or a `SessionStore`, or who has one as `store`, which its owner closes.
            Neither: `open_store()` decides.
        model: what answers: a string ("echo", "openai:gpt-4o"), an async function (see `ChatModel`), an
            agent with ``async run(user_input, thread=…)``, or the class of one. By default what the
            config says (see `AgentConfig.model`), else "echo".
        window: what of a long conversation the model sees; by default all of it, or the last
            `AgentConfig.history_limit` messages.
        compaction: how what the window no longer holds is summarised; by default it is just not seen.
        memory: what is remembered from one session to the next; by default nothing.
        max_sessions: so many threads are held in memory, those used last.
        turn_wait: seconds a question waits for the ones before it in its session.
        sweep_interval, health_interval: seconds between sweeps of what expired, which one of all instances
            does, and looks at the store.

    Attributes:
        sessions: the threads in memory by session id, as last seen by this agent.
        redis_manager: the manager of a `RedisConfig`, or the one that was given as `store`; None otherwise.
        last_health: what the last look at the store found.

    Raises:
        ConfigurationError: store or model cannot be used; says what can.
        MissingExtraError: an optional package is not installed.
    """

    redis_manager: Any

    def __init__(
        self,
        config: Any = None,
        tools: Any = None,
        callbacks: Any = None,
        redis_config: HasURL | None = None,
        *,
        store: str | StoreURL | SessionStore | HasStore | None = None,
        model: Any = None,
        window: ContextWindow | None = None,
        compaction: Compaction | None = None,
        memory: AgentMemory | None = None,
        max_sessions: int = 1000,
        turn_wait: float = 300,
        sweep_interval: float = 60,
        health_interval: float = 30,
    ) -> None:
        self.config: AgentConfig = AgentConfig.of(config)
        self._emitter = emitter_of(callbacks)
        self.callbacks: Any = self._emitter if callbacks is None else callbacks
        self._responder = resolve_model(
            model,
            config=config,
            tools=tools,
            tell=self._emitter.emit,
            callbacks=callbacks,
            plugins=shared_plugins(),
        )
        if compaction is not None and window is None:
            raise ConfigurationError("compaction= needs window=, which says what has to be summarised")
        self._window, self._compaction = window, compaction
        self._source = StoreSource(store, redis_config)
        self._store = self._source.store()
        self._memory = memory
        self._remembering: Remembering | None = None
        self._recalling: Recalling | None = None
        self.redis_manager = self._source.manager
        self.sessions: KnownThreads = KnownThreads(max_sessions)
        self.last_health: Health | None = None
        self._turn_wait = turn_wait
        self._sweep_interval = sweep_interval
        self._sweeper: Sweeper | None = None
        self._housekeeping = Housekeeping(
            [
                (sweep_interval, self._clean_up),
                (health_interval, self.check_health),
                (sweep_interval, self._look_after_memory),
            ]
        )
        self._starting = asyncio.Lock()
        self._running = self._ended = False

    @property
    def store(self) -> SessionStore:
        """The store that the sessions are in."""
        return self._store

    # Life cycle

    async def initialize(self) -> None:
        """Open the store and start the background tasks; may be called twice, and after `shutdown`.

        Raises:
            StoreError: the store cannot be reached; says why.
        """
        async with self._starting:
            if self._running:
                return
            if self._ended and self._source.owned:
                self._store = self._source.store()
                self.redis_manager = self._source.manager
            await self._store.open()
            self._sweeper = self._store.sweeper(every=self._sweep_interval)
            self._housekeeping.start()
            if self._memory is not None:
                self._remembering = Remembering(self._store, self._memory)
                self._recalling = Recalling(self._store, self._memory)
                self._remembering.start()
            self._running, self._ended = True, False

    async def shutdown(self) -> None:
        """End the background tasks and close the store if it was opened here; may be called twice.

        All of it is done even if the caller is cancelled meanwhile. Questions under way fail with
        `StoreClosedError`, and nothing of them is stored.
        """
        await to_the_end(self._stop())

    async def _stop(self) -> None:
        async with self._starting, AsyncExitStack() as last_things:
            self._running, self._ended = False, True
            if self._source.owned:
                last_things.push_async_callback(self._source.close, self._store)
            last_things.push_async_callback(self._responder.aclose)
            if self._compaction is not None:
                last_things.push_async_callback(self._compaction.aclose)
            if self._sweeper is not None:
                await self._sweeper.stop()
            await self._housekeeping.stop()
            if self._remembering is not None:
                await self._remembering.stop()
            await self.sessions.save_all()

    async def __aenter__(self) -> Self:
        await self.initialize()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.shutdown()

    async def _ready(self) -> None:
        if self._ended:
            raise StoreClosedError("this agent's store")
        if not self._running:
            await self.initialize()

    # Sessions

    async def create_session(
        self,
        user_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        session_id: str | None = None,
    ) -> str:
        """Make a session; its id. Without a user it is of "anonymous".

        Raises:
            SessionExistsError: `session_id` was given, and is taken.
        """
        await self._ready()
        session = await self._store.create(
            session_id, user_id=user_id or ANONYMOUS, agent=self.config.name or None, metadata=metadata
        )
        thread = SessionThread(session.id, self._store)
        thread.take(Snapshot(session, {}, {}))
        await self.sessions.remember(thread)
        await self._tell(EventType.SESSION_CREATED, session.id, user_id=user_id)
        return session.id

    async def resume_session(self, session_id: str) -> bool:
        """Take up a session that is stored; False if there is none."""
        await self._ready()
        try:
            thread = await self._load(session_id)
        except SessionNotFoundError:
            return False
        await self._resumed(session_id)
        await self.sessions.remember(thread)
        return True

    async def end_session(self, session_id: str) -> bool:
        """Note that a conversation has ended; False if there is none.

        It stays stored, as in the seed, and can be taken up again. To remove it: ``store.delete``.
        """
        await self._ready()
        try:
            await self.sessions.save(session_id)
            self.sessions.forget(session_id)
            conversation(await self._store.get(session_id), session_id)
            async with self._store.batch(session_id) as batch:
                batch.state.set(ENDED_AT, datetime.now(UTC).isoformat())
        except SessionNotFoundError:
            return False
        tell_plugins(self._store, "session_ended", session_id=session_id)
        await self._tell(EventType.SESSION_ENDED, session_id)
        return True

    async def clear_session_history(self, session_id: str) -> bool:
        """Empty the history of a session, which goes on; False if there is none."""
        await self._ready()
        try:
            conversation(await self._store.get(session_id), session_id)
            await self._store.clear(session_id)
            if session_id in self.sessions:
                await self.sessions.remember(await self._load(session_id))
        except SessionNotFoundError:
            self.sessions.forget(session_id)
            return False
        return True

    async def get_session_history(self, session_id: str) -> list[dict[str, Any]] | None:
        """The messages of a session; None if there is no session.

        Returns:
            Dicts of ``role`` and ``content`` (never None), and ``tool_calls``, ``tool_call_id`` and
            ``name`` where there are any. A redacted message says that it was redacted.
        """
        await self._ready()
        try:
            snapshot = await self._store.snapshot(session_id)
            conversation(snapshot.session, session_id)
        except SessionNotFoundError:
            return None
        return [history_dict(entry) for entry in snapshot.logs[MESSAGES]]

    async def list_active_sessions(self, user_id: str | None = None) -> list[dict[str, Any]]:
        """All sessions that are stored, those last active first; of one user if one is given.

        Returns:
            Dicts of ``session_id``, ``user_id``, ``created_at`` and ``last_activity`` (ISO 8601), and
            ``message_count``.
        """
        await self._ready()
        return await list_all(self._store, user_id)

    # Answering

    async def run_session(
        self,
        session_id: str,
        user_input: str,
        context: str | None = None,
        stream: bool | StreamTo | None = None,
    ) -> str:
        """Answer in a session. Question and answer are stored together, once, or not at all.

        Args:
            session_id: a session that exists.
            user_input: what the user says.
            context: more for the model to know this time; not stored.
            stream: True, or a function (sync or async) that is called with each piece of the answer;
                callbacks hear them as STREAM_CHUNK. By default as `AgentConfig.stream_by_default` says.

        Raises:
            SessionNotFoundError: there is no such session, or it was deleted while the model answered.
            LockTimeoutError: the questions before took longer than `turn_wait`.
            LockLostError, FencedError: another instance took the turn over; nothing was stored.
            ToolLoopError: the model called tools `AgentConfig.max_iterations` times, and never answered.
            ContextTooLargeError: what the model must see does not fit into the context window.
            Exception: whatever the model or `stream` raised; nothing was stored.
        """
        await self._ready()
        observer = TurnObserver(self._store, session_id, self.config, self._responder.name)
        try:
            with observer.invocation():
                return await self._answer(session_id, user_input, context, stream, observer)
        except Exception as error:
            if isinstance(error, SessionNotFoundError):
                self.sessions.forget(session_id)
            await self._tell(
                EventType.SESSION_ERROR, session_id, error=str(error), error_type=type(error).__name__
            )
            raise

    async def _answer(
        self,
        session_id: str,
        user_input: str,
        context: str | None,
        stream: bool | StreamTo | None,
        observer: TurnObserver,
    ) -> str:
        await self.sessions.save(session_id)
        streaming = self.config.stream_by_default if stream is None else bool(stream)
        reads_itself = self._responder.reads_thread or self._window is not None
        last = 0 if reads_itself else self.config.history_limit
        async with self._store.turn(session_id, wait=self._turn_wait, last=last) as turn:
            observer.belongs_to(conversation(turn.session, session_id).user_id)
            await self._resumed(session_id, turn.session)
            answering = Answering(
                self._store,
                turn,
                self._responder,
                self.config,
                self._emitter.emit,
                observer,
                stream if callable(stream) else None,
                streaming,
                self._window,
                self._compaction,
                self._remembering,
                self._recalling,
            )
            text = await answering.answer(user_input, context)
        if self._remembering is not None and turn.session is not None:
            self._remembering.said(turn.session)
        await self.sessions.remember(await answering.committed())
        return text

    # Threads in memory

    async def _load(self, session_id: str) -> SessionThread:
        await self.sessions.save(session_id)
        last = thread_limit(self.config, self._window)
        return (await read_thread(self._store, session_id, last))[0]

    async def _resumed(self, session_id: str, session: Session | None = None) -> None:
        """Tell that a session is taken up that this agent did not have at hand."""
        if session_id not in self.sessions:
            tell_plugins(
                self._store, "session_resumed", session=session or await self._store.get(session_id)
            )
            await self._tell(EventType.SESSION_RESUMED, session_id)

    # Housekeeping

    async def sweep(self) -> None:
        """Reclaim what expired in the store, and forget the threads of sessions that are gone."""
        await self._store.sweep()
        await self.forget_gone()

    async def _clean_up(self) -> None:
        if self._sweeper is not None:
            await self._sweeper.start()
        await self.forget_gone()

    async def settle_memory(self) -> None:
        """Wait until what was said has been remembered, also by agents that ended before they had.

        It is done by itself soon after each answer; this is for who cannot wait, such as a program that
        ends. What fails is told in the log, and tried again later.
        """
        await self._ready()
        if self._remembering is not None:
            await self._remembering.settled()

    async def _look_after_memory(self) -> None:
        if self._remembering is not None:
            await self._remembering.look_after()

    async def forget_gone(self) -> None:
        """Forget the threads of sessions that are gone."""
        await self.sessions.forget_gone(self._store)

    async def check_health(self) -> None:
        """Look at the store; a change is logged, and `last_health` has what was found."""
        before, self.last_health = self.last_health, await self._store.health()
        if not self.last_health.ok and (before is None or before.ok):
            logger.warning("the session store is not well: %s", "; ".join(self.last_health.problems))
        elif self.last_health.ok and before is not None and not before.ok:
            logger.info("the session store is well again")

    async def _tell(self, kind: EventType, session_id: str, **data: Any) -> None:
        event = Event(kind, {"session_id": session_id, **data}, {"session_id": session_id})
        await self._emitter.emit(event)


def tell_plugins(store: SessionStore, hook: str, **arguments: Any) -> None:
    """Call an observing hook of the store's plugins, if it is a store that has any."""
    if isinstance(store, Store):
        store._core.tell(hook, **arguments)
