"""One connection, shared by all tasks of an event loop; knows nothing of sessions.

A command is *queued*, then *written* (its future waits in wire order), then settled by its reply. A lone
caller writes at once; otherwise what was queued in one turn of the loop goes out in one write. What a
failure means is known exactly: `NotSent`, `SentUnknown`, or an error reply.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from itertools import compress
from typing import Any, Self, cast

import hiredis

from miniagent_backends.redis.wire.replies import Busy, NotSent, ReplyError, SentUnknown
from miniagent_backends.redis.wire.takeover import let_go, make_connection, take_over

PIECE = 32
MOST_QUEUED = 100_000
_NOT_ENOUGH = object()
Arg = bytes | str | int | float
Command = Sequence[Arg]


def pack(*args: Arg) -> bytes:
    """A command on the wire (https://redis.io/docs/latest/develop/reference/protocol-spec/)."""
    packed: bytes = hiredis.pack_command(args)  # type: ignore[arg-type]
    return packed


class Replies:
    """The replies to commands that only read, error replies among them: one future for all of them.

    It stands among the futures of a connection, once for each of the commands, and is as much of a future
    as a connection needs. A caller who is cancelled goes on at once.

    Args:
        count: how many there will be.
        loop: whose future it is.
    """

    __slots__ = ("_count", "_got", "done", "future")
    done: Callable[[], bool]

    def __init__(self, count: int, loop: asyncio.AbstractEventLoop) -> None:
        # No subclass of a future: a task that awaits one takes a slower way.
        self.future: asyncio.Future[list[Any]] = loop.create_future()
        self.done = self.future.done
        self._count = count
        self._got: list[Any] = []

    def set_result(self, result: Any) -> None:
        """Take the next reply."""
        self._got.append(result)
        if len(self._got) == self._count:
            self.future.set_result(self._got)

    def set_exception(self, error: Exception) -> None:
        """Take the next reply if it is an error reply, else fail."""
        if isinstance(error, ReplyError):
            self.set_result(error)
        else:
            self.future.set_exception(error)

    def exception(self) -> BaseException | None:
        """Why there are no replies."""
        return self.future.exception()


Owed = asyncio.Future[Any] | Replies


class Connection(asyncio.Protocol):
    """A connection to one node.

    Args:
        timeout: seconds a command may wait for its reply, from when it was queued.
        on_push: called soon with what the server says unasked; one that raises harms no command.
        on_lost: called when it ends without our doing.
        **target: as `make_connection` takes it.
    """

    def __init__(
        self,
        *,
        timeout: float = 5.0,
        connect_timeout: float = 2.0,
        on_push: Callable[[list[Any]], None] | None = None,
        on_lost: Callable[[Exception], None] | None = None,
        **target: Any,
    ) -> None:
        self._timeout, self._connect_timeout = timeout, connect_timeout
        self._on_push, self._on_lost = on_push, on_lost
        self._connection = make_connection(connect_timeout=connect_timeout, **target)
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(replyError=ReplyError, notEnoughData=_NOT_ENOUGH)
        self._transport: asyncio.Transport | None = None
        self._queued: list[bytes] = []
        self._queued_futures: list[Sequence[Owed]] = []
        self._queued_at: list[float] = []
        self._written: deque[Owed] = deque()
        self._paused_at: float | None = None
        self._flushing = self._is_stalled = self._is_retired = False
        self._last_write = 0
        self._marks: deque[tuple[float, int]] = deque()
        self._sent_count = self._settled_count = 0
        self._timer: asyncio.TimerHandle | None = None
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._heard_at = self._asked_at = self._loop.time()
        self._aborted = False

    # Life cycle

    async def connect(self) -> None:
        """Connect and shake hands.

        Raises:
            redis.exceptions.RedisError, OSError, TimeoutError: it could not.
        """
        await take_over(self._connection, self, self._connect_timeout)

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.close()

    @property
    def is_open(self) -> bool:
        """Whether commands can be given to it."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def is_stalled(self) -> bool:
        """Whether a command was given up and nothing was heard since: the other end may be gone."""
        return self._is_stalled

    @property
    def is_waiting(self) -> bool:
        """Whether commands have no reply yet."""
        return bool(self._written or self._queued)

    @property
    def idle_for(self) -> float:
        """Seconds since something was heard."""
        return self._loop.time() - self._heard_at

    @property
    def silent_for(self) -> float:
        """Seconds that the oldest command has waited while nothing was heard; 0 if none waits."""
        if not self.is_waiting or not self.is_open:
            return 0.0
        return self._loop.time() - max(self._heard_at, self._asked_at)

    def retire(self) -> None:
        """Close when what was sent is answered, or given up."""
        self._is_retired = True
        if not self.is_waiting:
            self.abort()

    def abort(self) -> None:
        """Close now; commands without a reply fail."""
        if self._transport is None:
            return
        self._aborted = True
        self._fail(ConnectionResetError("closed"))
        let_go(self._connection)
        if not self._ended.done():
            self._transport.abort()

    async def close(self) -> None:
        """Close now, and wait for it. Leaves no task, timer or socket."""
        if self._transport is not None:
            self.abort()
            await self._ended

    # Commands

    def send(self, *commands: bytes) -> list[asyncio.Future[Any]]:
        """Queue packed commands as one piece, written back to back; a future a reply.

        Raises:
            NotSent: the connection is gone.
            Busy: too much is queued.
        """
        self._check_room()
        futures = [self._loop.create_future() for _ in commands]
        self._queue(commands[0] if len(commands) == 1 else b"".join(commands), futures)
        return futures

    def look(self, piece: bytes, count: int) -> asyncio.Future[list[Any]]:
        """Queue packed commands that only read, `count` of them, as one piece.

        The future is of their replies, error replies among them.

        Raises:
            NotSent, Busy: as `send`.
        """
        self._check_room()
        replies = Replies(count, self._loop)
        self._queue(piece, [replies] * count)
        return replies.future

    def post(self, command: bytes) -> asyncio.Future[Any]:
        """Queue a packed command; the future of its reply.

        Whoever gives it up (cancels the future) before it is written withdraws it; see `outlast`.

        Raises:
            NotSent, Busy: as `send`.
        """
        self._check_room()
        future = self._loop.create_future()
        self._queue(command, [future])
        return future

    def outlast(self, given_up: asyncio.Future[Any]) -> asyncio.Future[Any] | None:
        """A new future for the reply to a command whose own was cancelled; None if it was not written."""
        for at, future in enumerate(self._written):
            if future is given_up:
                self._written[at] = outlasting = self._loop.create_future()
                return outlasting
        return None

    def _check_room(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            raise NotSent("the connection is closed")
        if len(self._queued) >= MOST_QUEUED:
            raise Busy(f"{MOST_QUEUED} commands wait for the server")

    def _queue(self, piece: bytes, futures: Sequence[Owed]) -> None:
        now = self._loop.time()
        if not self._written and not self._queued:
            self._asked_at = now
        self._queued.append(piece)
        self._queued_futures.append(futures)
        self._queued_at.append(now)
        if self._timer is None:
            self._timer = self._loop.call_later(self._timeout / 4, self._check_time)
        if self._paused_at is None and not self._flushing:
            if len(self._queued) == 1 and not self._written and self._last_write <= 1:
                self._flush()
            else:
                self._flushing = True
                self._loop.call_soon(self._flush)

    def send_unanswered(self, command: bytes) -> None:
        """Queue a command that is answered by a push (SUBSCRIBE in RESP3), if at all.

        Raises:
            NotSent: the connection is gone.
        """
        if not self.is_open:
            raise NotSent("the connection is closed")
        self._queued.append(command)
        self._queued_futures.append([])
        self._queued_at.append(self._loop.time())
        if self._paused_at is None and not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    async def execute(self, *args: Arg) -> Any:
        """One command and its reply.

        Raises:
            NotSent, SentUnknown, ReplyError.
        """
        return await self.send(pack(*args))[0]

    def _flush(self) -> None:
        self._flushing = False
        transport = self._transport
        # A transport that is closing drops what it is given: what is queued then is certainly not sent.
        while self._queued and self._paused_at is None and transport and not transport.is_closing():
            pieces, futures = self._queued[:PIECE], self._queued_futures[:PIECE]
            del self._queued[:PIECE], self._queued_futures[:PIECE], self._queued_at[:PIECE]
            # What was given up before it was written never leaves.
            alive = []
            for piece, owed in zip(pieces, futures, strict=True):
                if not owed or not owed[-1].done() or not all(future.done() for future in owed):
                    alive.append(piece)
                    self._written.extend(owed)
                    self._sent_count += len(owed)
            self._last_write = len(alive)
            if alive:
                transport.write(alive[0] if len(alive) == 1 else b"".join(alive))

    # What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        reader, written = self._reader, self._written
        self._is_stalled = False
        self._heard_at = self._loop.time()
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not _NOT_ENOUGH:
                if isinstance(reply, hiredis.PushNotification):
                    if self._on_push is not None:
                        self._loop.call_soon(self._on_push, list(reply))
                    continue
                if not written:
                    raise hiredis.ProtocolError("a reply that no one waits for")
                future = written.popleft()
                self._settled_count += 1
                if future.done():
                    continue
                if isinstance(reply, ReplyError):
                    future.set_exception(reply)
                else:
                    future.set_result(reply)
        except hiredis.HiredisError as error:
            self._fail(ConnectionResetError(f"the server's bytes make no sense: {error}"))
            if self._transport is not None:
                self._transport.abort()
        if self._is_retired and not self.is_waiting:
            self.abort()

    def pause_writing(self) -> None:
        self._paused_at = self._loop.time()

    def resume_writing(self) -> None:
        self._paused_at = None
        self._flush()

    def eof_received(self) -> None:
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        cause = exc or ConnectionResetError("the server closed the connection")
        self._fail(cause)
        if self._on_lost is not None and not self._aborted:
            self._on_lost(cause)
        # Else redis-py would warn of it when it is dropped without having been closed.
        let_go(self._connection)
        if not self._ended.done():
            self._ended.set_result(None)

    def _fail(self, cause: Exception) -> None:
        """Settle all that waits: what was written is in doubt, what was not is certain."""
        written, self._written = self._written, deque()
        queued, self._queued_futures = self._queued_futures, []
        self._queued.clear()
        self._queued_at.clear()
        for future in written:
            _reject(future, SentUnknown(str(cause)))
        for futures in queued:
            for future in futures:
                _reject(future, NotSent(str(cause)))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._marks.clear()

    # Time

    def _check_time(self) -> None:
        """Every quarter of the time-out: mark what was sent until now, and look at the oldest mark.

        One timer for all: a time-out around each call would cost a third of the throughput. A command is
        given up after one to one and a quarter of the time-out.
        """
        self._timer = None
        now = self._loop.time()
        self._marks.append((now, self._sent_count))
        while self._marks and self._marks[0][1] <= self._settled_count:
            self._marks.popleft()
        if self._marks and now - self._marks[0][0] >= self._timeout:
            _, sent = self._marks.popleft()
            for future, _ in zip(self._written, range(sent - self._settled_count), strict=False):
                _reject(future, SentUnknown(f"no reply within {self._timeout:g} s"))
            self._is_stalled = True
        if self._is_retired and all(future.done() for future in self._written):
            self.abort()
        elif self._written or self._queued:
            self._give_up_queued(now)
            self._timer = self._loop.call_later(self._timeout / 4, self._check_time)
        else:
            self._marks.clear()

    def _give_up_queued(self, now: float) -> None:
        """Reject what was queued for too long, and drop that and what its callers have given up."""
        # Only back-pressure keeps commands queued beyond a turn of the loop.
        for futures, since in zip(self._queued_futures, self._queued_at, strict=True):
            if now - since < self._timeout:
                break
            for future in futures:
                _reject(future, NotSent(f"the server took nothing for {self._timeout:g} s"))
        kept = [not owed or not all(future.done() for future in owed) for owed in self._queued_futures]
        self._queued = list(compress(self._queued, kept))
        self._queued_futures = list(compress(self._queued_futures, kept))
        self._queued_at = list(compress(self._queued_at, kept))


def _reject(future: Owed, error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
        # Whoever was cancelled meanwhile does not look, and needs not be told off for it.
        future.exception()
