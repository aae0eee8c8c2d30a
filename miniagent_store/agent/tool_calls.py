"""Calls of tools as models ask for them, and how they are run."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from enum import Enum
from typing import Any

from miniagent_store.agent.events import Event, EventType
from miniagent_store.agent.tools import Tool, ToolContext
from miniagent_store.errors import InvalidArgumentError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import Message, Session

logger: logging.Logger = logging.getLogger("miniagent_store")
CACHE_NAMESPACE = "tools"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """What a model yields to have a tool called; stored in the message with the text before it.

    Attributes:
        id: names the call in the answer; its result has it as ``tool_call_id``.
        name: the tool's.
        arguments: a mapping, or the text of a JSON object.
    """

    id: str
    name: str
    arguments: Mapping[str, Any] | str = ""

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a message's ``tool_calls``."""
        given = self.arguments
        text = given if isinstance(given, str) else json.dumps(dict(given), ensure_ascii=False)
        function = {"name": self.name, "arguments": text or "{}"}
        return {"id": self.id, "type": "function", "function": function}

    @classmethod
    def from_dict(cls, call: Mapping[str, Any]) -> ToolCall:
        """Of a message's ``tool_calls``, in whichever of the usual forms.

        Raises:
            InvalidArgumentError: it has no id, or no name.
        """
        function = call.get("function", call)
        if not call.get("id") or not function.get("name"):
            raise InvalidArgumentError("a call of a tool needs an id, and the tool's name")
        return cls(str(call.get("id")), str(function.get("name")), function.get("arguments") or "")

    def parsed(self) -> dict[str, Any]:
        """The arguments as a dict.

        Raises:
            InvalidArgumentError: they are not a JSON object.
        """
        given: Any = self.arguments or "{}"
        try:
            if isinstance(given, str):
                given = json.loads(given)
        except ValueError as error:
            raise InvalidArgumentError(f"the arguments are not JSON: {error}") from None
        if not isinstance(given, Mapping):
            raise InvalidArgumentError("the arguments must be a JSON object")
        return dict(given)


class ToolRunner:
    """Runs what a model wants to have run, all calls of one answer at once.

    Args:
        tools: those that may be called.
        store: whose cache has the results of cacheable tools.
        session: in which it is asked.
        timeout: seconds, for tools that have no time-out of their own.
        emit: to be called with CACHE_HIT and CACHE_MISS.
    """

    def __init__(
        self,
        tools: Sequence[Any],
        store: SessionStore,
        session: Session,
        *,
        timeout: float,
        emit: Callable[[Event], Awaitable[None]],
    ) -> None:
        self._tools = {each.name: each for each in tools if isinstance(each, Tool)}
        self._store, self._session, self._timeout, self._emit = store, session, timeout, emit

    async def run(
        self, calls: Sequence[ToolCall], told: Callable[[Message], Awaitable[None]]
    ) -> list[Message]:
        """The results, in the order of the calls.

        A tool that fails, or takes too long, has an error as its result: the model may try something else.

        Args:
            calls: of one answer.
            told: to be called with each result as it comes.
        """

        async def one(call: ToolCall) -> Message:
            result = await self._result(call)
            await told(result)
            return result

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(call)) for call in calls]
        return [task.result() for task in tasks]

    async def _result(self, call: ToolCall) -> Message:
        tool = self._tools.get(call.name)
        if tool is None:
            known = ", ".join(self._tools) or "none"
            return _failed(call, "UnknownTool", f"there is no tool {call.name!r}; there are: {known}")
        limit = self._timeout if tool.timeout is None else tool.timeout
        time = asyncio.timeout(None if limit == math.inf else limit)
        try:
            async with time:
                return _answered(call, await self._called(tool, call))
        except Exception as error:
            if isinstance(error, TimeoutError) and time.expired():
                return _failed(call, "TimeoutError", f"no result within {limit:g} s")
            logger.warning("the tool %r failed with %s", call.name, type(error).__name__)
            logger.debug("the tool %r failed", call.name, exc_info=True)
            return _failed(call, type(error).__name__, str(error))

    async def _called(self, tool: Tool, call: ToolCall) -> Any:
        given = call.parsed()
        context = ToolContext(self._store, self._session, call.id)
        if not tool.cacheable:
            return await tool.run(given, context)
        computed = False

        async def compute(arguments: dict[str, Any]) -> str:
            nonlocal computed
            computed = True
            return content_of(await tool.run(arguments, context))

        # What the cache makes its keys of.
        compute.__module__, compute.__qualname__ = "tool", tool.name
        result = await self._store.cache.cached(tool.ttl, namespace=CACHE_NAMESPACE)(compute)(given)
        kind = EventType.CACHE_MISS if computed else EventType.CACHE_HIT
        await self._emit(Event(kind, {"tool": tool.name, "tool_call_id": call.id}))
        return result


def _answered(call: ToolCall, result: Any) -> Message:
    if getattr(result, "success", True) is False and (error := getattr(result, "error", None)):
        return _failed(call, "ToolError", str(error))  # MiniAgent's ToolResult
    return Message.tool(content_of(result), tool_call_id=call.id, name=call.name)


def _failed(call: ToolCall, kind: str, problem: str) -> Message:
    return Message.tool(
        f"Error: {kind}: {problem}" if problem else f"Error: {kind}",
        tool_call_id=call.id,
        name=call.name,
        metadata={"error": kind},
    )


def content_of(result: Any) -> str:
    """What a model is told of a function's result: a text as it is, all else as JSON."""
    if hasattr(result, "success") and hasattr(result, "data"):  # MiniAgent's ToolResult
        result = getattr(result, "llm_content", None) or result.data
    return result if isinstance(result, str) else json.dumps(result, default=_plain, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if callable(dump := getattr(value, "model_dump", None)):
        return dump(mode="json")
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return str(value)
