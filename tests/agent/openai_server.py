"""A small server that speaks ``/v1/chat/completions``, streamed and not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

USAGE = {"prompt_tokens": 7, "completion_tokens": 4, "total_tokens": 11}


class OpenAIServer:
    """Answers every question with `words`.

    Attributes:
        requests: headers and bodies of what it was asked.
        words: the answer.
        status: of its replies.
        cut: whether a stream ends before it is finished.
        pause: if set, waited for after the first word of a stream.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.words = ["Hello", ", ", "world", "!"]
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
            if self.status != 200:
                self._reply(writer, {"error": {"message": "no"}})
            elif body.get("stream"):
                wants_usage = body.get("stream_options", {}).get("include_usage", False)
                await self._stream(writer, wants_usage)
            else:
                message = {"role": "assistant", "content": "".join(self.words)}
                answer = _completion("chat.completion", message=message, finish_reason="stop")
                self._reply(writer, {**answer, "usage": USAGE})
            await writer.drain()
        except ConnectionError:
            pass  # the client has gone, as some tests want it to
        finally:
            writer.close()

    def _reply(self, writer: asyncio.StreamWriter, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        head = f"HTTP/1.1 {self.status} X\r\nContent-Type: application/json\r\nConnection: close\r\n"
        writer.write(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)

    async def _stream(self, writer: asyncio.StreamWriter, wants_usage: bool) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        for word in self.words:
            self._event(writer, json.dumps(_completion("chat.completion.chunk", delta={"content": word})))
            await writer.drain()
            if self.pause is not None:
                await self.pause.wait()
        if not self.cut:
            last = _completion("chat.completion.chunk", delta={}, finish_reason="stop")
            self._event(writer, json.dumps(last))
            if wants_usage:
                chunk = {**_completion("chat.completion.chunk"), "choices": [], "usage": USAGE}
                self._event(writer, json.dumps(chunk))
            self._event(writer, "[DONE]")

    def _event(self, writer: asyncio.StreamWriter, data: str) -> None:
        writer.write(f"data: {data}\n\n".encode())


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
