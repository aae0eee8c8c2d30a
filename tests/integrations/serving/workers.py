"""Workers of the example, as processes of their own, and a client of theirs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from miniagent_store.testing.servers import free_port

ROOT = Path(__file__).parents[3]
USERS = 400
PATIENCE = httpx.Timeout(60)


@dataclass
class Worker:
    """A uvicorn process.

    Attributes:
        process: it.
        url: where it listens.
        log: what it writes.
    """

    process: subprocess.Popen[bytes]
    url: str
    log: Path


@contextmanager
def worker(store_url: str, folder: Path, **settings: str) -> Iterator[Worker]:
    """A worker that answers, ended at the end."""
    port = free_port()
    log = folder / f"worker-{port}.log"
    environment = {
        **os.environ,
        "MINIAGENT_STORE_URL": store_url,
        "TOKENS": ",".join(f"token-{number}=user-{number}" for number in range(USERS)),
        "PAUSE": "0.01",
        "RATE_LIMIT": "5",
        **settings,
    }
    command = [sys.executable, "-m", "uvicorn", "--app-dir", "examples", "serve.app:app"]
    arguments = ["--port", str(port), "--timeout-graceful-shutdown", "20", "--no-access-log"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, *arguments], cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    started = Worker(process, f"http://127.0.0.1:{port}", log)
    try:
        _wait_for(started)
        yield started
    finally:
        process.kill()
        process.wait()


def _wait_for(worker: Worker) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and worker.process.poll() is None:
        try:
            if httpx.get(f"{worker.url}/health", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"the worker does not answer: {worker.log.read_text()}")


@dataclass(frozen=True)
class Told:
    """One server-sent event."""

    id: str
    name: str
    data: Any


class Client:
    """A user's client of one conversation, at any worker."""

    def __init__(self, http: httpx.AsyncClient, user: int, conversation: str = "") -> None:
        self.http, self.user, self.conversation = http, user, conversation
        self.headers = {"Authorization": f"Bearer token-{user}"}

    async def begin(self, at: Worker) -> None:
        """Make the conversation."""
        answer = await self.http.post(
            f"{at.url}/conversations", json={"title": "test"}, headers=self.headers
        )
        assert answer.status_code == 201, answer.text
        self.conversation = answer.json()["id"]

    async def read(self, at: Worker) -> dict[str, Any]:
        """Messages and position."""
        answer = await self.http.get(self._path(at), headers=self.headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def contents(self, at: Worker) -> list[str]:
        """What was said."""
        return [message["content"] for message in (await self.read(at))["messages"]]

    @asynccontextmanager
    async def asking(
        self, at: Worker, content: str, after: int | None = None
    ) -> AsyncIterator[httpx.Response]:
        """The response to a question, whose stream is to be read."""
        question = {"content": content, "after": after}
        async with self.http.stream(
            "POST", f"{self._path(at)}/messages", json=question, headers=self.headers
        ) as response:
            yield response

    async def ask(self, at: Worker, content: str, after: int | None = None) -> list[Told]:
        """All that is told until the answer is stored, or that it was refused."""
        async with self.asking(at, content, after) as response:
            if response.status_code != 200:
                return [Told("", "refused", response.status_code)]
            return [told async for told in events(response)]

    @asynccontextmanager
    async def following(self, at: Worker, last_event_id: str = "") -> AsyncIterator[AsyncIterator[Told]]:
        """The events of the conversation, from an event on."""
        headers = {**self.headers, "Last-Event-ID": last_event_id}
        async with self.http.stream("GET", f"{self._path(at)}/events", headers=headers) as response:
            response.raise_for_status()
            yield events(response)

    def _path(self, at: Worker) -> str:
        return f"{at.url}/conversations/{self.conversation}"


async def events(response: httpx.Response) -> AsyncIterator[Told]:
    """The server-sent events of a response."""
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
            continue
        if "event" in fields:
            yield Told(fields.get("id", ""), fields["event"], json.loads(fields["data"]))
        fields = {}


class View:
    """What a client shows: the messages it was told, and the answer that streams."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.streaming = ""
        self._answer = ""

    def take(self, told: Told) -> None:
        """Put in what was told; what comes twice, or not in its place, fails."""
        if told.name == "messages":
            for message in told.data:
                self.messages.append(message["content"])
                assert message["seq"] == len(self.messages)
            self.streaming = self._answer = ""
        elif told.name == "pieces":
            for piece in told.data:
                if piece["answer"] != self._answer:
                    self._answer, self.streaming = piece["answer"], ""
                assert piece["at"] == len(self.streaming)
                self.streaming += piece["text"]
