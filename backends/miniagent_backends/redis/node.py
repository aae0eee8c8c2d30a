"""One node: its connections, made on first need and again when they were lost; errors as the store's."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from miniagent_backends.redis.connection import Arg, Connection, pack
from miniagent_backends.redis.replies import Meaning, NotSent, ReplyError, SentUnknown, meaning_of
from miniagent_backends.redis.scripts import digest_of, source_of
from miniagent_backends.redis.tls import explain
from miniagent_store.errors import (
    AccessDeniedError,
    BackendUnavailableError,
    CapacityError,
    ConfigurationError,
    OutcomeUnknownError,
    StoreClosedError,
    StoreError,
    WrongLoopError,
)

# Seconds that closing waits for what nobody else waits for.
FAREWELL = 1.0


class Node:
    """Commands to one server over a shared connection; large reads over another.

    Args:
        name: for messages, without secrets.
        target: as `make_connection` takes it.
        timeout: seconds a command may wait for its reply.
        connect_timeout: seconds for connecting and shaking hands.
        max_readers: connections for large reads, made as they are needed.
    """

    def __init__(
        self,
        name: str,
        target: dict[str, Any],
        *,
        timeout: float,
        connect_timeout: float,
        max_readers: int,
    ) -> None:
        self.name = name
        self._max_readers = max_readers
        self._target, self._timeout, self._connect_timeout = target, timeout, connect_timeout
        self._connections: dict[str, Connection] = {}
        self._retired: list[Connection] = []
        self._connecting: dict[str, asyncio.Lock] = {}
        # Until the server has told its own: this machine's.
        self._offset_ms = (time.time_ns() - time.monotonic_ns()) // 1_000_000
        self._pid = os.getpid()
        self._closed = self._told = False

    def now_ms(self) -> int:
        """The server's clock as it was when we connected, and the time since; no step of ours moves it."""
        return time.monotonic_ns() // 1_000_000 + self._offset_ms

    def purpose_of_large_reads(self) -> str:
        """The first connection for large reads that is idle; the first of all if none is."""
        names = [f"reads-{number}" for number in range(self._max_readers)]
        idle = (
            name for name in names if (there := self._connections.get(name)) is None or not there.is_waiting
        )
        return next(idle, names[0])

    async def close(self) -> None:
        """Close all connections; may be called twice."""
        self._closed = True
        await self._finish_telling()
        connections, self._connections = self._connections, {}
        for connection in [*connections.values(), *self._retired]:
            await connection.close()

    async def _finish_telling(self) -> None:
        # What was told to no one who waits would be dropped with the connection.
        connection = self._connections.get("commands")
        if not self._told or connection is None or not connection.is_open or connection.is_stalled:
            return
        self._told = False
        with contextlib.suppress(NotSent, SentUnknown, ReplyError, TimeoutError):
            async with asyncio.timeout(FAREWELL):
                await connection.execute("PING")

    async def connection(
        self, purpose: str = "commands", on_push: Callable[[list[Any]], None] | None = None
    ) -> Connection:
        """The connection for a purpose: "commands", "wake-ups", or as `purpose_of_large_reads` says.

        Raises:
            AccessDeniedError, BackendUnavailableError, ConfigurationError: it cannot be made; says why.
        """
        there = self._connections.get(purpose)
        if there is not None and there.is_open and not there.is_stalled:
            return there
        if self._closed:
            raise StoreClosedError("this store's connection")
        if self._pid != os.getpid():
            raise WrongLoopError("this store was opened before a fork and")
        async with self._connecting.setdefault(purpose, asyncio.Lock()):
            there = self._connections.get(purpose)
            if there is not None and there.is_open and not there.is_stalled:
                return there
            return await self._connect(purpose, on_push)

    async def _connect(self, purpose: str, on_push: Callable[[list[Any]], None] | None) -> Connection:
        from redis import exceptions

        old = self._connections.pop(purpose, None)
        if old is not None:
            # What others have under way on it may still be answered.
            self._retired = [each for each in self._retired if each.is_open]
            self._retired.append(old)
            old.retire()
        # Pushes, which wake-ups come as, exist in RESP3 only.
        target = {**self._target, "protocol": 3} if on_push else self._target
        connection = Connection(
            timeout=self._timeout, connect_timeout=self._connect_timeout, on_push=on_push, **target
        )
        problem: StoreError
        try:
            await connection.connect()
            seconds, micros = await connection.execute("TIME")
        except (
            exceptions.AuthenticationError,
            exceptions.AuthorizationError,
            exceptions.NoPermissionError,
        ):
            problem = AccessDeniedError(
                f"{self.name} refused the user name or password; check them in the URL"
            )
        except exceptions.ResponseError as error:
            problem = self._of_text(str(error))
        except (exceptions.RedisError, OSError, TimeoutError) as error:
            problem = await self._unreachable(error)
        except ReplyError as error:
            problem = self.translate(error)
        except ConfigurationError as error:
            problem = error
        except (NotSent, SentUnknown) as error:
            problem = await self._unreachable(error)
        else:
            self._offset_ms = int(seconds) * 1000 + int(micros) // 1000 - time.monotonic_ns() // 1_000_000
            self._connections[purpose] = connection
            return connection
        await connection.close()
        raise problem

    def _of_text(self, text: str) -> StoreError:
        if any(word in text for word in ("NOAUTH", "WRONGPASS", "invalid username", "Authentication")):
            return AccessDeniedError(
                f"{self.name} refused the user name or password; check them in the URL"
            )
        return self.translate(ReplyError(text))

    async def _unreachable(self, error: BaseException) -> StoreError:
        told = await explain(self.name, self._target, error, self._connect_timeout)
        if told is not None:
            return told
        why = "no answer in time" if isinstance(error, TimeoutError) else str(error.__cause__ or error)
        return BackendUnavailableError(f"{self.name} cannot be reached ({why}); is the server running?")

    # Commands

    async def run(self, *commands: Sequence[Arg], purpose: str = "commands") -> list[Any]:
        """Commands written back to back, and their replies.

        Once begun it ends, even if the caller is cancelled: the outcome is known before that goes on.

        Raises:
            BackendUnavailableError: nothing was sent.
            OutcomeUnknownError: it was sent, and no reply came.
            StoreError: what the first error reply means; all have been answered.
        """
        replies = await self._exchange(commands, purpose)
        for reply in replies:
            if isinstance(reply, ReplyError):
                raise self.translate(reply)
        return replies

    async def _exchange(self, commands: Sequence[Sequence[Arg]], purpose: str) -> list[Any]:
        """As `run`, with error replies among the replies."""
        connection = await self.connection(purpose)
        try:
            futures = connection.send(*(pack(*command) for command in commands))
            return await _replies(futures)
        except NotSent as error:
            raise BackendUnavailableError(f"{self.name} did not take the command: {error}") from None
        except SentUnknown as error:
            raise OutcomeUnknownError("", commit_id=None, why=f"{self.name}: {error}") from None

    async def execute(self, *command: Arg, purpose: str = "commands") -> Any:
        """One command and its reply.

        Raises:
            StoreError: as `run`, and what an error reply means.
        """
        (reply,) = await self.run(command, purpose=purpose)
        return reply

    def notify(self, *commands: Sequence[Arg]) -> None:
        """Send commands and do not wait; what becomes of them changes nothing that is promised."""
        connection = self._connections.get("commands")
        if connection is None or not connection.is_open:
            return
        try:
            for future in connection.send(*(pack(*command) for command in commands)):
                future.add_done_callback(_look_away)
            self._told = True
        except NotSent:
            return

    def notify_script(self, name: str, keys: Sequence[str], *args: Arg) -> None:
        """As `notify`, for a script."""
        connection = self._connections.get("commands")
        if connection is None or not connection.is_open:
            return
        tail = (len(keys), *keys, *args)

        def answered(future: asyncio.Future[Any]) -> None:
            error = None if future.cancelled() else future.exception()
            if isinstance(error, ReplyError) and error.word == "NOSCRIPT":
                self.notify(("EVAL", source_of(name), *tail))

        try:
            connection.send(pack("EVALSHA", digest_of(name), *tail))[0].add_done_callback(answered)
        except NotSent:
            return

    async def script(
        self,
        name: str,
        keys: Sequence[str],
        *args: Arg,
        purpose: str = "commands",
    ) -> Any:
        """Run a script.

        Raises:
            StoreError: as `execute`.
        """
        reply, _ = await self.script_after((), name, keys, *args, purpose=purpose)
        return reply

    async def script_after(
        self,
        before: Sequence[Sequence[Arg]],
        name: str,
        keys: Sequence[str],
        *args: Arg,
        purpose: str = "commands",
    ) -> tuple[Any, StoreError | None]:
        """Run a script behind other commands, in one write: its reply, and what went wrong before it.

        Raises:
            StoreError: as `execute`, of the script.
        """
        tail = (len(keys), *keys, *args)
        *first, reply = await self._exchange((*before, ("EVALSHA", digest_of(name), *tail)), purpose)
        if isinstance(reply, ReplyError):
            if reply.word != "NOSCRIPT":
                raise self.translate(reply)
            reply = await self.execute("EVAL", source_of(name), *tail, purpose=purpose)
        problem = next((each for each in first if isinstance(each, ReplyError)), None)
        return reply, None if problem is None else self.translate(problem)

    def translate(self, error: ReplyError) -> StoreError:
        """What an error reply means to the caller."""
        text = error.text
        match meaning_of(error):
            case Meaning.DENIED:
                return AccessDeniedError(
                    f"{self.name} denied it: {text}; give the user the right in its ACL"
                )
            case Meaning.WRONG_TYPE:
                return ConfigurationError(
                    f"{self.name} holds something else under a key of ours (data of the seed, perhaps); "
                    "use another namespace= or database"
                )
            case Meaning.CAPACITY:
                return CapacityError(f"{self.name} has no room or cannot save: {text}; nothing was changed")
            case Meaning.AGAIN_AT_ONCE | Meaning.AGAIN_LATER:
                return BackendUnavailableError(f"{self.name} does not serve for now: {text}")
            case Meaning.AMBIGUOUS:
                return OutcomeUnknownError("", commit_id=None, why=f"{self.name}: {text}")
            case _:
                return ConfigurationError(f"{self.name} did not understand: {text}")


async def _replies(futures: list[asyncio.Future[Any]]) -> list[Any]:
    """Wait for all futures, whatever becomes of the caller; error replies are among the replies.

    Raises:
        NotSent, SentUnknown: of the last that has no reply.
    """
    cancelled: asyncio.CancelledError | None = None
    # They are settled in the order in which they were written.
    last = futures[-1]
    while not last.done():
        # A future of our own: a cancellation would cancel the one that was awaited.
        done = asyncio.get_running_loop().create_future()
        last.add_done_callback(partial(_settle, done))
        try:
            await done
        except asyncio.CancelledError as interruption:
            cancelled = interruption
    problems = [future.exception() for future in futures]
    if cancelled is not None:
        raise cancelled
    for problem in reversed(problems):
        if problem is not None and not isinstance(problem, ReplyError):
            raise problem
    return [
        problem if problem is not None else future.result()
        for future, problem in zip(futures, problems, strict=True)
    ]


def _settle(waiter: asyncio.Future[None], _: asyncio.Future[Any]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _look_away(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()
