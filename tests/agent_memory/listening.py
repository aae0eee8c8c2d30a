"""A model that keeps what it was shown, and an embedder that can be made to fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from miniagent_store import AgentConfig, Message, ToolCall
from miniagent_store.embedding.hashing import HashEmbedder


class Listening:
    """Always says the same, after it has called the tools that it was told to.

    Attributes:
        shown: what it was given, call by call.
    """

    def __init__(self, calls: Sequence[tuple[str, dict[str, Any]]] = ()) -> None:
        self.shown: list[list[Message]] = []
        self._calls = calls

    def __call__(
        self, messages: list[Message], config: AgentConfig, /, *, tools: Any = None
    ) -> AsyncIterator[Any]:
        self.shown.append(messages)
        return self._answer(messages)

    async def _answer(self, messages: list[Message]) -> AsyncIterator[Any]:
        if self._calls and messages[-1].role != "tool":
            yield "Let me look."
            for number, (name, arguments) in enumerate(self._calls):
                yield ToolCall(str(number), name, arguments)
        else:
            yield "So be it"


class Unwell(HashEmbedder):
    """Fails in the way it is told.

    Attributes:
        way: "fails", "hangs" (until `go_on`), "short", "nan"; None for well.
    """

    name: str = "unwell"

    def __init__(self) -> None:
        self.way: str | None = None
        self.go_on = asyncio.Event()

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> Sequence[Sequence[float]]:
        if self.way == "fails":
            raise ConnectionError("nobody there")
        if self.way == "hangs":
            await self.go_on.wait()
        vectors = [list(each) for each in await super().embed(texts, query=query)]
        if self.way == "short":
            return vectors[1:]
        if self.way == "nan":
            vectors[0][0] = float("nan")
        return vectors
