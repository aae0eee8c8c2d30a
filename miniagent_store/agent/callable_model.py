"""A function that answers, and that may call tools until it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Any

from miniagent_store.agent.annotations import accepted
from miniagent_store.agent.collecting import Collected, chunks_of
from miniagent_store.agent.events import Event, EventType
from miniagent_store.agent.models import ChatModel, ClosableModel, ModelRequest
from miniagent_store.agent.thread_changes import ThreadChanges
from miniagent_store.agent.tool_calls import ToolRunner
from miniagent_store.agent.tools import Tool, tools_of
from miniagent_store.errors import ConfigurationError, ToolLoopError
from miniagent_store.values import Message


class CallableResponder:
    """Asks a `ChatModel`, runs the tools that it calls, and asks it again until it answers.

    Args:
        model: the model.
        name: shown in events.
        tools: for a model that takes ``tools``; see `tools_of`.
        owned: whether to close it.

    Raises:
        ConfigurationError: there are tools, and the model cannot take them, or they are none.
    """

    name: str
    reads_thread: bool

    def __init__(self, model: ChatModel, *, name: str, tools: Any = None, owned: bool = False) -> None:
        self._tools = tools_of(tools)
        if self._tools and not accepted(model, {"tools": tools}):
            raise ConfigurationError(
                f"the model {name!r} takes no tools; pass model= a function with a parameter 'tools', "
                "or an agent's class that is made with tools"
            )
        self.name, self.reads_thread = name, False
        self.schemas: Sequence[Mapping[str, Any]] = [
            each.schema if isinstance(each, Tool) else each for each in self._tools
        ]
        self._model, self._owned = model, owned

    async def respond(self, request: ModelRequest) -> tuple[str, ThreadChanges]:
        """Call the model and collect what it says, until it calls no more tools."""
        collected = Collected(Message.user(request.user_input), request)
        config = request.config
        runner = ToolRunner(
            self._tools, request.store, request.session, timeout=config.tool_timeout, emit=request.emit
        )
        for iteration in range(1, config.max_iterations + 1):
            request.check()
            is_last = iteration == config.max_iterations
            await self._ask(request, collected, "none" if is_last and iteration > 1 else "auto")
            calls = collected.open_calls() if self._tools else []
            if not calls:
                return collected.finish()
            if not is_last:
                collected.changes.messages += await runner.run(calls, collected.tell_result)
        raise ToolLoopError(request.session.id, iterations=config.max_iterations)

    async def _ask(self, request: ModelRequest, collected: Collected, tool_choice: str) -> None:
        question, *rounds = collected.changes.messages
        prompt = request.prompting.messages(question, rounds)
        asked: dict[str, Any] = {"model": self.name, "messages": len(prompt)}
        if (tokens := request.prompting.tokens(prompt)) is not None:
            asked["tokens"] = tokens
        await request.emit(Event(EventType.LLM_CALL, asked))
        with request.observer.chat(prompt) as chat:
            answer = await chunks_of(
                self._model,
                prompt,
                request.config,
                tools=list(self._tools),
                tool_choice=tool_choice,
                stream=request.stream,
                session=request.session,
                usage=request.observer.wants_usage,
            )
            async with aclosing(answer) as chunks:
                await collected.answer(chunks, chat)

    async def aclose(self) -> None:
        """Close the model if it was made for this agent and can be closed."""
        if self._owned and isinstance(self._model, ClosableModel):
            await self._model.aclose()
