"""A turn of an agent as operations: "invoke_agent", and in it "chat" and "execute_tool"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import Context, ContextVar, copy_context
from typing import Any

from miniagent_store.agent.config import AgentConfig
from miniagent_store.operation import AgentOperation, Place
from miniagent_store.store.observing import Observing
from miniagent_store.store.protocol import SessionStore
from miniagent_store.store.store import Store

IN_PROCESS = frozenset({"echo", "custom"})
_NOWHERE = Place("")


class TurnObserver:
    """Shows what an agent does in one turn to the observers of its store. Without any it does nothing.

    Args:
        store: whose observers are shown it.
        session_id: the conversation.
        config: the agent's.
        model: what answers, as "openai:gpt-4o", "echo", or the name of a function or class.
    """

    def __init__(self, store: SessionStore, session_id: str, config: AgentConfig, model: str) -> None:
        self._observing: Observing | None = store._core.observing if isinstance(store, Store) else None
        self._counts = isinstance(store, Store) and store._core.usage is not None
        self._session_id, self._agent = session_id, config.name
        provider, colon, rest = model.partition(":")
        if not colon:
            provider, rest = (model, model) if model == "echo" else (config.provider or "custom", model)
        self._provider, self._model = provider, rest
        self._invocation: AgentOperation | None = None
        self._context: Context | None = None
        self._tools: dict[Any, tuple[AgentOperation, AbstractContextManager[Any], Context]] = {}

    @property
    def wants_usage(self) -> bool:
        """Whether anybody is told of tokens, so that the model should tell them."""
        return self._observing is not None or self._counts

    def _operation(self, name: str) -> AgentOperation:
        place = _NOWHERE if self._observing is None else self._observing.place
        return AgentOperation(
            name,
            self._session_id,
            place,
            agent=self._agent,
            provider=self._provider,
            model=self._model,
            in_process=self._provider in IN_PROCESS,
        )

    @contextmanager
    def invocation(self) -> Iterator[None]:
        """Around the whole turn."""
        if self._observing is None:
            yield
            return
        with self._observing.around(self._operation("invoke_agent")) as operation:
            self._invocation = operation
            # The tools' operations are in the turn's, not in that of the model which asks for them.
            self._context = copy_context()
            try:
                yield
            finally:
                for key in list(self._tools):
                    self._end_tool(key)

    @contextmanager
    def chat(self, asked: Sequence[Any]) -> Iterator[AgentOperation]:
        """Around a call of the model.

        Args:
            asked: the messages that it is given.
        """
        operation = self._operation("chat")
        if self._observing is None:
            yield operation
            return
        operation.asked = asked
        with self._observing.around(operation):
            yield operation
            self._add_to_invocation(operation)

    def belongs_to(self, user_id: str | None) -> None:
        """Whose session it is."""
        if self._invocation is not None:
            self._invocation.user_id = user_id

    def _add_to_invocation(self, chat: AgentOperation) -> None:
        invocation = self._invocation
        if invocation is None:
            return
        for name in ("input_tokens", "output_tokens"):
            tokens = getattr(chat, name)
            if tokens is not None:
                setattr(invocation, name, (getattr(invocation, name) or 0) + tokens)

    # Tools

    def tool_called(self, call_id: Any, tool: Any, arguments: Any) -> None:
        """A tool is being executed; until its result comes."""
        if self._observing is None or self._context is None:
            return
        operation = self._operation("execute_tool")
        operation.tool, operation.tool_call_id = tool, call_id
        operation.asked = (arguments,) if arguments is not None else ()
        # Several tools may run at once, and end in any order: each has a context of its own.
        context = self._context.copy()
        entered = self._observing.around(operation)
        context.run(entered.__enter__)
        self._tools[call_id if call_id is not None else tool] = (operation, entered, context)

    def tool_answered(self, call_id: Any, tool: Any, result: Any) -> None:
        """A tool's result has come."""
        for key in (call_id, tool):
            if key in self._tools:
                self._tools[key][0].answered = (result,) if result is not None else ()
                self._end_tool(key)
                return

    def _end_tool(self, key: Any) -> None:
        _, entered, context = self._tools.pop(key)
        context.run(entered.__exit__, None, None, None)


# The turn under way in this task, for agents that tell of their tools by events.
turn_observer: ContextVar[TurnObserver | None] = ContextVar("turn_observer", default=None)
