"""A small server that speaks ``/v1/chat/completions``, streamed and not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

USAGE = {"prompt_tokens": 7, "completion_tokens": 4, "total_tokens": 11}


class OpenAIServer:
    """Answers every question with `words`, and first calls the tools that it is told to.

    Attributes:
        requests: headers and bodies of what it was asked.
        words: the answer.
        rounds: of calls of tools, as (name, arguments), one round a request, before it answers.
        failures: so many requests fail first, with status 503.
        status: of its replies.
        cut: whether a stream ends before it is finished.
        pause: if set, waited for after the first word of a stream.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.words = ["Hello", ", ", "world", "!"]
        self.rounds: list[list[tuple[str, dict[str, Any]]]] = []
        self.failures = 0
        self.status = 200
        self.cut = False
        self.pause: asyncio.Event | None = None
        self.url = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            fields = (line.partition(": ") for line in head[1:] if line)
            headers = {name.lower(): value for name, _, value in fields}
            body = json.loads(await reader.readexactly(int(headers["content-length"])))
            self.requests.append((headers, body))
            assert head[0] == "POST /v1/chat/completions HTTP/1.1"
            if self.status != 200 or self.failures > 0:
                self.failures -= 1
                self._reply(
                    writer, {"error": {"message": "no"}}, 503 if self.status == 200 else self.status
                )
                return
            calls = self._calls(body)
            words = ["Let me ", "see."] if calls else self.words
            reason = "tool_calls" if calls else "stop"
            if body.get("stream"):
                wants_usage = body.get("stream_options", {}).get("include_usage", False)
                await self._stream(writer, words, calls, reason, wants_usage)
            else:
                message: dict[str, Any] = {"role": "assistant", "content": "".join(words)}
                message |= {"tool_calls": calls} if calls else {}
                answer = _completion("chat.completion", message=message, finish_reason=reason)
                self._reply(writer, {**answer, "usage": USAGE})
            await writer.drain()
        except ConnectionError:
            pass  # the client has gone, as some tests want it to
        finally:
            writer.close()

    def _calls(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        if not self.rounds or not body.get("tools") or body.get("tool_choice") == "none":
            return []
        return [
            {
                "id": f"call-{len(self.requests)}-{at}",
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(arguments)},
            }
            for at, (name, arguments) in enumerate(self.rounds.pop(0))
        ]

    def _reply(self, writer: asyncio.StreamWriter, body: dict[str, Any], status: int = 200) -> None:
        data = json.dumps(body).encode()
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nConnection: close\r\n"
        writer.write(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)

    async def _stream(
        self,
        writer: asyncio.StreamWriter,
        words: list[str],
        calls: list[dict[str, Any]],
        reason: str,
        wants_usage: bool,
    ) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        for word in words:
            self._event(writer, json.dumps(_completion("chat.completion.chunk", delta={"content": word})))
            await writer.drain()
            if self.pause is not None:
                await self.pause.wait()
        for piece in _pieces(calls):
            delta = {"tool_calls": [piece]}
            self._event(writer, json.dumps(_completion("chat.completion.chunk", delta=delta)))
        if not self.cut:
            last = _completion("chat.completion.chunk", delta={}, finish_reason=reason)
            self._event(writer, json.dumps(last))
            if wants_usage:
                chunk = {**_completion("chat.completion.chunk"), "choices": [], "usage": USAGE}
                self._event(writer, json.dumps(chunk))
            self._event(writer, "[DONE]")

    def _event(self, writer: asyncio.StreamWriter, data: str) -> None:
        writer.write(f"data: {data}\n\n".encode())


def _pieces(calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Calls as they are streamed: first the names, then the arguments of all in small pieces, mixed."""
    first = [
        {**call, "index": at, "function": {"name": call["function"]["name"], "arguments": ""}}
        for at, call in enumerate(calls)
    ]
    texts = [call["function"]["arguments"] for call in calls]
    more = [
        {"index": at, "function": {"arguments": text[start : start + 5]}}
        for start in range(0, max(map(len, texts), default=0), 5)
        for at, text in enumerate(texts)
        if text[start : start + 5]
    ]
    return first + more


def _completion(kind: str, **choice: Any) -> dict[str, Any]:
    choices = [{"index": 0, "finish_reason": None, **choice}]
    return {"id": "c1", "object": kind, "created": 1, "model": "tiny", "choices": choices}


@asynccontextmanager
async def openai_server() -> AsyncIterator[OpenAIServer]:
    """The server, on a free port."""
    fake = OpenAIServer()
    server = await asyncio.start_server(fake.handle, "127.0.0.1", 0)
    fake.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield fake
    finally:
        server.close()
        await server.wait_closed()
