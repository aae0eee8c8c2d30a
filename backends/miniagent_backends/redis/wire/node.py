"""One server: its connections, made on first need and again when they were lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from miniagent_backends.redis.wire.circuit import Circuit
from miniagent_backends.redis.wire.clock import ServerClock
from miniagent_backends.redis.wire.connection import Arg, Connection, pack
from miniagent_backends.redis.wire.durable import DurableLane
from miniagent_backends.redis.wire.events import Events
from miniagent_backends.redis.wire.failures import error_of, problem_of_connecting
from miniagent_backends.redis.wire.readers import Readers
from miniagent_backends.redis.wire.replies import NotSent, ReplyError, SentUnknown
from miniagent_backends.redis.wire.waiting import replies
from miniagent_store.errors import (
    BackendUnavailableError,
    OutcomeUnknownError,
    StoreClosedError,
    StoreError,
    WrongLoopError,
)

# Seconds that closing waits for what nobody else waits for.
FAREWELL = 1.0


class Node:
    """Commands to one server over a shared connection; durable commits and large reads over others.

    Args:
        name: for messages, without secrets.
        target: as `make_connection` takes it.
        timeout: seconds a command may wait for its reply.
        connect_timeout: seconds for connecting and shaking hands.
        max_readers: connections for large reads, made as they are needed.
        clock: learns the server's; None for a sentinel, which has no TIME.
        events: is told what becomes of connections.
        replicas: how many of its replicas are to acknowledge a durable commit; asked at each write.
    """

    def __init__(
        self,
        name: str,
        target: dict[str, Any],
        *,
        timeout: float,
        connect_timeout: float,
        max_readers: int = 1,
        clock: ServerClock | None,
        events: Events,
        replicas: Callable[[Node], int] = lambda node: 0,
    ) -> None:
        self.name = name
        self.readers: Readers = Readers(max_readers)
        self.circuit: Circuit = Circuit()
        self._target, self._timeout = target, timeout
        self.connect_timeout: float = connect_timeout
        self._clock, self._events = clock, events
        self._connections: dict[str, Connection] = {}
        self._retired: list[Connection] = []
        self._connecting: dict[str, asyncio.Lock] = {}
        self._durable = DurableLane(lambda: self.connection("durable"), lambda: replicas(self))
        self.host: str = str(target.get("host", "localhost"))
        self._pid = os.getpid()
        self._closed = self._told = False
        self._abandoned: str | None = None

    def __repr__(self) -> str:
        return f"Node({self.name!r})"

    @property
    def target(self) -> Mapping[str, Any]:
        """As `make_connection` takes it, secrets included."""
        return self._target

    async def close(self) -> None:
        """Close all connections; may be called twice."""
        if not self._abandoned:
            await self._finish_telling()
        self._closed = True
        await self.disconnect()

    async def disconnect(self) -> None:
        """Close all connections; the next command makes new ones, at once."""
        self.circuit = Circuit()
        connections, self._connections = self._connections, {}
        for connection in [*connections.values(), *self._retired]:
            await connection.close()

    def abandon(self, why: str) -> None:
        """Cut all connections: it no longer serves, and what waits for it is to go elsewhere."""
        self._abandoned = why
        for connection in [*self._connections.values(), *self._retired]:
            connection.abort()

    async def _finish_telling(self) -> None:
        # What was told to no one who waits would be dropped with the connection.
        connection = self._connections.get("commands")
        if not self._told or connection is None or not connection.is_open or connection.is_stalled:
            return
        self._told = False
        with contextlib.suppress(NotSent, SentUnknown, ReplyError, TimeoutError):
            async with asyncio.timeout(FAREWELL):
                await connection.execute("PING")

    # Connections

    async def connection(
        self, purpose: str = "commands", on_push: Callable[[list[Any]], None] | None = None
    ) -> Connection:
        """The connection for a purpose: "commands", "durable", "wake-ups", or a name of `readers`.

        Raises:
            AccessDeniedError, BackendUnavailableError, ConfigurationError: it cannot be made; says why.
        """
        there = self._connections.get(purpose)
        if there is not None and there.is_open and not there.is_stalled:
            return there
        if self._abandoned is not None:
            raise BackendUnavailableError(f"{self.name} {self._abandoned}")
        if self._closed:
            raise StoreClosedError("this store's connection")
        if self._pid != os.getpid():
            raise WrongLoopError("this store was opened before a fork and")
        async with self._connecting.setdefault(purpose, asyncio.Lock()):
            there = self._connections.get(purpose)
            if there is not None and there.is_open and not there.is_stalled:
                return there
            if self._abandoned is not None:
                raise BackendUnavailableError(f"{self.name} {self._abandoned}")
            self.circuit.check()
            return await self._connect(purpose, on_push)

    async def _connect(self, purpose: str, on_push: Callable[[list[Any]], None] | None) -> Connection:
        old = self._connections.pop(purpose, None)
        if old is not None:
            # What others have under way on it may still be answered.
            self._retired = [each for each in self._retired if each.is_open]
            self._retired.append(old)
            old.retire()
        # Pushes, which wake-ups come as, exist in RESP3 only.
        target = {**self._target, "protocol": 3} if on_push else self._target
        connection = Connection(
            timeout=self._timeout,
            connect_timeout=self.connect_timeout,
            on_push=on_push,
            on_lost=self._lost,
            **target,
        )
        try:
            await connection.connect()
            if self._clock is not None:
                seconds, micros = await connection.execute("TIME")
                self._clock.learn(self.name, int(seconds), int(micros))
        except BaseException as error:
            await connection.close()
            problem = await problem_of_connecting(self.name, self._target, error, self.connect_timeout)
            if problem is None:
                raise
            if self.circuit.problem is None:
                self._events.tell("unreachable", self.name, str(problem))
            self.circuit.failed(problem)
            raise problem from None
        self.circuit.succeeded()
        self._connections[purpose] = connection
        if purpose == "commands":
            self._events.tell("connected", self.name)
        if self._abandoned is not None or self._closed:
            await connection.close()
            raise BackendUnavailableError(f"{self.name} {self._abandoned or 'is closed'}")
        return connection

    def _lost(self, cause: Exception) -> None:
        if not self._closed and self._abandoned is None:
            self._events.tell("lost", self.name, str(cause))

    def is_silent(self, seconds: float) -> bool:
        """Whether a command has waited for longer than this, and nothing was heard meanwhile."""
        return any(connection.silent_for > seconds for connection in self._connections.values())

    async def look_after_idle(self, seconds: float) -> None:
        """Ask connections that were idle for so long whether they work; those that do not are closed."""
        for connection in list(self._connections.values()):
            if connection.is_open and not connection.is_waiting and connection.idle_for > seconds:
                try:
                    async with asyncio.timeout(self.connect_timeout):
                        await connection.execute("PING")
                except ReplyError:
                    continue  # it answers
                except (NotSent, SentUnknown, TimeoutError):
                    connection.abort()
                    self._lost(ConnectionError("it was idle, and does not answer any more"))

    # Commands

    async def exchange(
        self, commands: Sequence[Sequence[Arg]], purpose: str = "commands", *, asking: bool = False
    ) -> list[Any]:
        """Commands written back to back, and their replies, error replies among them.

        Once begun it ends, even if the caller is cancelled: the outcome is known before that goes on.

        Args:
            commands: each as its words.
            purpose: as `connection` takes it.
            asking: each behind an ASKING, for a slot that is on its way to this node.

        Raises:
            BackendUnavailableError: nothing was sent.
            OutcomeUnknownError: it was sent, and no reply came.
            StoreError: the connection cannot be made.
        """
        connection = await self.connection(purpose)
        try:
            futures = connection.send(*_packed(commands, asking))
            return _unasked(await replies(futures), asking)
        except (NotSent, SentUnknown) as error:
            raise self.problem_of(error) from None

    def post(self, command: bytes) -> tuple[Connection, asyncio.Future[Any]] | None:
        """Send one packed command over the connection that is there; None where there is none to use.

        What awaiting the reply raises is for `problem_of`.
        """
        connection = self._connections.get("commands")
        if connection is None or connection.is_stalled:
            return None
        try:
            return connection, connection.post(command)
        except NotSent:
            return None

    def problem_of(self, error: NotSent | SentUnknown) -> BackendUnavailableError | OutcomeUnknownError:
        """What is told of a command that has no reply."""
        if isinstance(error, NotSent):
            return BackendUnavailableError(f"{self.name} did not take the command: {error}")
        return OutcomeUnknownError("", commit_id=None, why=f"{self.name}: {error}")

    async def look(self, packed: bytes, count: int, purpose: str = "commands") -> list[Any]:
        """As `exchange`, for packed commands that only read: a caller who is cancelled goes on at once.

        Args:
            packed: the commands, one behind the other.
            count: how many there are.
            purpose: as `connection` takes it.

        Raises:
            BackendUnavailableError, OutcomeUnknownError, StoreError: as `exchange`.
        """
        connection = self._connections.get(purpose)
        if connection is None or not connection.is_open or connection.is_stalled:
            connection = await self.connection(purpose)
        try:
            return await connection.look(packed, count)
        except NotSent as error:
            raise BackendUnavailableError(f"{self.name} did not take the command: {error}") from None
        except SentUnknown as error:
            raise OutcomeUnknownError("", commit_id=None, why=f"{self.name}: {error}") from None

    async def exchange_durably(
        self, commands: Sequence[Sequence[Arg]], *, asking: bool = False
    ) -> tuple[list[Any], int, int]:
        """As `exchange`, with a WAIT behind: also how many replicas acknowledged, and how many were to.

        Raises:
            BackendUnavailableError, OutcomeUnknownError, StoreError: as `exchange`.
        """
        try:
            got, acknowledged, wanted = await self._durable.exchange(_packed(commands, asking))
        except (NotSent, SentUnknown) as error:
            raise self.problem_of(error) from None
        except ReplyError as error:
            raise self.translate(error) from None
        return _unasked(got, asking), acknowledged, wanted

    async def run(self, *commands: Sequence[Arg], purpose: str = "commands") -> list[Any]:
        """Commands written back to back, and their replies.

        Raises:
            StoreError: as `exchange`, and what the first error reply means; all have been answered.
        """
        got = await self.exchange(commands, purpose)
        for reply in got:
            if isinstance(reply, ReplyError):
                raise self.translate(reply)
        return got

    async def execute(self, *command: Arg, purpose: str = "commands") -> Any:
        """One command and its reply.

        Raises:
            StoreError: as `run`.
        """
        (reply,) = await self.run(command, purpose=purpose)
        return reply

    async def probe(self, *command: Arg, timeout: float) -> Any:
        """As `execute` for a command that changes nothing; gives up after `timeout` seconds.

        Raises:
            StoreError: as `run`; a server that says nothing is a `BackendUnavailableError`.
        """
        connection: Connection | None = None
        try:
            async with asyncio.timeout(timeout):
                connection = await self.connection()
                return await connection.execute(*command)
        except ReplyError as error:
            raise self.translate(error) from None
        except (NotSent, SentUnknown, TimeoutError) as error:
            silence: BaseException = error
        if connection is None:
            problem = await problem_of_connecting(self.name, self._target, silence, timeout)
            assert problem is not None
            raise problem
        why = str(silence) or f"no answer within {timeout:g} s"
        raise BackendUnavailableError(f"{self.name} cannot be reached ({why})")

    def tell(self, commands: Sequence[Sequence[Arg]]) -> list[asyncio.Future[Any]]:
        """Send commands on the connection that is there, and do not wait: futures of their replies.

        Raises:
            NotSent: there is none.
        """
        connection = self._connections.get("commands")
        if connection is None:
            raise NotSent("there is no connection")
        futures = connection.send(*_packed(commands, False))
        self._told = True
        return futures

    def translate(self, error: ReplyError) -> StoreError:
        """What an error reply means to the caller."""
        return error_of(self.name, error)


def _packed(commands: Sequence[Sequence[Arg]], asking: bool) -> list[bytes]:
    packed = [pack(*command) for command in commands]
    return [each for command in packed for each in (pack("ASKING"), command)] if asking else packed


def _unasked(got: list[Any], asking: bool) -> list[Any]:
    return got[1::2] if asking else got
