"""A TCP proxy in front of a server that breaks what passes through it, as told.

    with Proxy("127.0.0.1", server.port) as proxy:
        fault = proxy.inject(Action.DROP, on="reply", after=b"EVALSHA")
        ...                        # the client calls; the server does it; the reply is lost
        fault.wait()

It runs in a thread of its own, so that tests with and without an event loop can use it. What one read of
the socket brings counts as one request or reply: for exact faults let a single command be under way.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal, TypeVar

from miniagent_store.testing.startable import Startable

HOST = "127.0.0.1"
Direction = Literal["request", "reply"]
_CHUNK = 64 * 1024
_LONGEST_TRIGGER = 1024
_T = TypeVar("_T")


class Action(Enum):
    """What is done to a request or reply."""

    DROP = "lost, and the connection is cut"
    HALVE = "half of it passes, then the connection is cut"
    CUT = "it passes, then the connection is cut"
    DELAY = "it passes later, and so does what follows it on this connection"
    BLACK_HOLE = "it is lost, and so is all that follows in this direction; nothing is cut"
    TRICKLE = "it passes byte by byte"
    GARBLE = "as many question marks pass instead"


@dataclass(slots=True, eq=False)
class Fault:
    """Something to be done when it is its turn; made by `Proxy.inject`.

    Attributes:
        action: what is done.
        on: to requests or to replies.
        after: only once a request with these bytes has passed on the same connection; with on="request",
            that very request is the one concerned. None for whatever comes next.
        times: how many times; None for always.
        seconds: of a delay.
    """

    action: Action
    on: Direction
    after: bytes | None
    times: int | None
    seconds: float
    _happened: threading.Event = field(default_factory=threading.Event)

    @property
    def happened(self) -> bool:
        """Whether it was done at least once."""
        return self._happened.is_set()

    def wait(self, timeout: float = 10.0) -> None:
        """Until it was done once.

        Args:
            timeout: seconds.

        Raises:
            TimeoutError: it was not.
        """
        if not self._happened.wait(timeout):
            raise TimeoutError(f"no {self.on} to {self.action.name} has passed within {timeout:g} s")


class Proxy(Startable):
    """Forwards loopback connections to a server.

    Args:
        host: of the server.
        port: of the server.

    Attributes:
        port: where the proxy listens, once it is started.
        accepted: how many connections have come in so far.
    """

    port: int
    accepted: int

    def __init__(self, host: str, port: int) -> None:
        self._host, self._upstream_port = host, port
        self.port = self.accepted = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._listener: socket.socket | None = None
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._faults: list[Fault] = []

    @property
    def host(self) -> str:
        """Where the proxy listens."""
        return HOST

    @property
    def connections(self) -> int:
        """How many connections pass through it now."""
        return self._call(lambda: len(self._links))

    def start(self) -> None:
        """Listen; returns when it does."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._run(self._listen())

    def stop(self) -> None:
        """Cut all connections and end the thread."""
        if self._loop is None or self._thread is None:
            return
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = None

    def inject(
        self,
        action: Action,
        *,
        on: Direction = "reply",
        after: bytes | None = None,
        times: int | None = 1,
        seconds: float = 0.0,
    ) -> Fault:
        """Break something that is to come.

        Args:
            action: what to do.
            on: to a request or to a reply.
            after: bytes of a request, such as b"EVALSHA": its reply, or itself, is the one concerned.
            times: how many times, on whichever connection; None for always, until `heal`.
            seconds: of a delay.

        Returns:
            The fault, to wait for.

        Raises:
            ValueError: `after` is empty or long.
        """
        if after is not None and not 1 <= len(after) <= _LONGEST_TRIGGER:
            raise ValueError(f"after= takes 1 to {_LONGEST_TRIGGER} bytes, not {len(after)}")
        fault = Fault(action, on, after, times, seconds)
        self._call(lambda: self._faults.append(fault))
        return fault

    def heal(self) -> None:
        """Forget all faults. What a black hole has swallowed stays lost: cut its connection."""
        self._call(self._faults.clear)

    def cut(self) -> None:
        """Cut all connections; new ones are served."""
        self._call(self._cut)

    def refuse(self) -> None:
        """Refuse new connections, until `accept`; those that are open go on."""
        self._run(self._stop_listening())

    def accept(self) -> None:
        """Listen again, on the same port."""
        self._run(self._listen())

    def _call(self, function: Callable[[], _T]) -> _T:
        async def in_loop() -> _T:
            return function()

        result: _T = self._run(in_loop())
        return result

    def _run(self, work: Any) -> Any:
        if self._loop is None:
            work.close()
            raise RuntimeError("the proxy is not started")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    # In the loop's thread. No asyncio.Server: one that is closed while it accepts loses sockets.

    async def _listen(self) -> None:
        if self._listener is None:
            self._listener = socket.create_server((HOST, self.port), backlog=1024)
            self._listener.setblocking(False)
            self.port = self._listener.getsockname()[1]
            asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        assert self._listener is not None
        with contextlib.suppress(OSError):  # the client may be gone already
            accepted, _ = self._listener.accept()
            self.accepted += 1
            task = asyncio.create_task(self._serve(accepted))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _stop_listening(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    async def _end(self) -> None:
        await self._stop_listening()
        while self._tasks:
            self._cut()
            await asyncio.wait(self._tasks, timeout=0.05)
        # A transport that was aborted is closed in one of the next turns of the loop.
        for _ in range(3):
            await asyncio.sleep(0)

    def _cut(self) -> None:
        for link in self._links:
            link.cut()

    async def _serve(self, accepted: socket.socket) -> None:
        accepted.setblocking(False)
        client = await asyncio.open_connection(sock=accepted)
        try:
            server = await asyncio.open_connection(self._host, self._upstream_port)
        except OSError:
            client[1].transport.abort()
            return
        link = _Link(client, server, self._faults)
        self._links.add(link)
        try:
            await link.run()
        finally:
            self._links.discard(link)


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Link:
    """One connection through the proxy."""

    def __init__(self, client: Stream, server: Stream, faults: list[Fault]) -> None:
        self._client, self._server, self._faults = client, server, faults
        self._seen: set[Fault] = set()
        self._tail = b""
        self._holes: set[Direction] = set()

    async def run(self) -> None:
        """Forward until one side closes or the connection is cut."""
        pumps = [
            asyncio.create_task(self._pump("request", self._client[0], self._server[1])),
            asyncio.create_task(self._pump("reply", self._server[0], self._client[1])),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.wait(pumps)
            self.cut()

    def cut(self) -> None:
        for _, writer in (self._client, self._server):
            writer.transport.abort()

    async def _pump(
        self, direction: Direction, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(_CHUNK):
                if direction in self._holes:
                    # Before the look for faults: what is lost anyway takes none away from others.
                    continue
                fault = self._fault_for(direction, data)
                if fault is None:
                    sink.write(data)
                    await sink.drain()
                elif not await self._apply(fault, data, sink):
                    return

    async def _apply(self, fault: Fault, data: bytes, sink: asyncio.StreamWriter) -> bool:
        """Do it; whether the connection goes on."""
        try:
            return await self._do(fault, data, sink)
        finally:
            # Also where an end of the connection did not wait for it.
            fault._happened.set()

    async def _do(self, fault: Fault, data: bytes, sink: asyncio.StreamWriter) -> bool:
        action = fault.action
        if action is Action.DELAY:
            await asyncio.sleep(fault.seconds)
            sink.write(data)
        elif action is Action.TRICKLE:
            for byte in data:
                sink.write(bytes((byte,)))
                await sink.drain()
                # Lets the receiver run in between, so that it sees the bytes apart.
                await asyncio.sleep(0)
        elif action is Action.BLACK_HOLE:
            self._holes.add(fault.on)
        elif action is Action.HALVE:
            sink.write(data[: len(data) // 2])
        elif action is Action.GARBLE:
            sink.write(b"?" * len(data))
        elif action is Action.CUT:
            sink.write(data)
        goes_on = action not in (Action.DROP, Action.HALVE, Action.CUT)
        if not goes_on:
            # An abort would throw away what is to pass.
            sink.close()
            await sink.wait_closed()
        return goes_on

    def _fault_for(self, direction: Direction, data: bytes) -> Fault | None:
        """The fault whose turn it is with these bytes, counted."""
        if direction == "request":
            self._look_for_triggers(data)
        for fault in self._faults:
            if fault.on != direction or fault.times == 0:
                continue
            if fault.after is not None and fault not in self._seen:
                continue
            self._seen.discard(fault)
            if fault.times is not None:
                fault.times -= 1
            return fault
        return None

    def _look_for_triggers(self, data: bytes) -> None:
        # A command may come in two reads: each trigger is looked for across their border, but not twice.
        for fault in self._faults:
            if fault.after is None:
                continue
            already = max(0, len(self._tail) - len(fault.after) + 1)
            if fault.after in self._tail[already:] + data:
                self._seen.add(fault)
        self._tail = (self._tail + data)[-_LONGEST_TRIGGER:]
