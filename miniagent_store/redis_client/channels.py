"""The seed's pub/sub: whatever JSON can say, on any channel."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

from miniagent_store.errors import (
    BackendUnavailableError,
    InvalidArgumentError,
    SerializationError,
    StoreClosedError,
    StoreError,
)
from miniagent_store.redis_client.failures import as_store_error

logger: logging.Logger = logging.getLogger("miniagent_store")
FIRST_BACKOFF, LAST_BACKOFF = 0.05, 1.0
# Heard and not fetched yet; then we stop to read, and the server holds the rest, as long as it likes to.
MAX_WAITING = 1000

OnReconnect = Callable[[], Any]
Decode = Callable[[str, bytes], Awaitable[Any]]


class Channels:
    """Hears channels over a pubsub of redis-py, which one task of this object reads and makes anew.

    A reader of its own, since a cancelled read costs the connection, and two reads at once are an error.
    What is published while nobody hears is lost; to follow sessions without loss, use `store.watch`.

    Args:
        client: of redis-py.
        place: which server, for messages; without secrets.
        idle: after so many seconds of silence the server is asked whether it is there.
        patience: seconds that it may take to answer.
        decode: what was published, from its channel and its bytes.
        start: of the channels' names at the server.
    """

    def __init__(
        self,
        client: Any,
        place: str,
        *,
        idle: float,
        patience: float,
        decode: Decode,
        start: str = "",
    ) -> None:
        self._start = start
        self._client, self._place, self._idle, self._patience = client, place, idle, patience
        self._decode = decode
        self._wanted: list[str] = []
        self._callbacks: list[OnReconnect] = []
        self._confirmations: dict[str, asyncio.Future[None]] = {}
        self._heard: asyncio.Queue[Any] = asyncio.Queue(MAX_WAITING)
        self._pubsub: Any = None
        self._reader: asyncio.Task[None] | None = None
        self._hears = self._cut_off = self._failed = False

    async def subscribe(self, channels: str | Iterable[str], on_reconnect: OnReconnect | None) -> None:
        """Returns when the server has confirmed, so that nothing published afterwards is missed."""
        names = [channels] if isinstance(channels, str) else list(channels)
        if not all(isinstance(name, str) and name for name in names):
            raise InvalidArgumentError("channels are texts that are not empty")
        names = [f"{self._start}{name}" for name in names]
        if on_reconnect is not None:
            self._callbacks.append(on_reconnect)
        new = [name for name in names if name not in self._wanted]
        self._wanted += new
        self._confirmations.update((name, asyncio.get_running_loop().create_future()) for name in new)
        waiting = [
            asyncio.shield(self._confirmations[name]) for name in names if name in self._confirmations
        ]
        problem = f"no confirmation within {self._patience:g} s"
        try:
            await self._ask_for(new)
            async with asyncio.timeout(self._patience):
                await asyncio.gather(*waiting)
        except StoreError:
            self._give_up(new)
            raise
        except TimeoutError:
            self._give_up(new)
        else:
            return
        raise BackendUnavailableError(
            f"{self._place} cannot be reached ({problem}); is the server running?"
        )

    async def _ask_for(self, names: list[str]) -> None:
        if not names:
            return
        if self._reader is None or self._reader.done():
            if self._failed:
                self._heard, self._failed = asyncio.Queue(MAX_WAITING), False
            self._reader = asyncio.get_running_loop().create_task(self._read())
        elif self._pubsub is not None:
            try:
                await self._pubsub.subscribe(*names)
            except Exception as error:
                # Where the connection failed, the reader finds out too, and asks for all that is wanted.
                if not isinstance(as_store_error(error, self._place), BackendUnavailableError):
                    raise

    def _give_up(self, names: list[str]) -> None:
        self._wanted = [name for name in self._wanted if name not in names]
        for name in names:
            self._confirmations.pop(name, None)

    async def get_message(self, timeout: float | None) -> tuple[bool, Any]:
        """Whether something was heard within `timeout` seconds, and what."""
        try:
            async with asyncio.timeout(timeout):
                heard = await self._heard.get()
        except TimeoutError:
            return False, None
        if isinstance(heard, _Failure):
            self._heard.put_nowait(heard)  # for the next one too
            raise heard.error
        return True, heard

    async def get_messages(self) -> AsyncIterator[Any]:
        if not self._wanted and not self._failed:
            raise InvalidArgumentError("nothing is subscribed: call subscribe([channel]) first")
        while True:
            yield (await self.get_message(None))[1]

    async def close(self) -> None:
        """Hear no more; who waits for a message is told."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
        while not self._heard.empty():
            self._heard.get_nowait()
        self._heard.put_nowait(_Failure(StoreClosedError("this manager")))

    # The reader

    async def _read(self) -> None:
        backoff = FIRST_BACKOFF
        try:
            while self._wanted:
                try:
                    await self._hear()
                except Exception as error:
                    problem = as_store_error(error, self._place)
                    if problem is None:
                        raise
                    # A channel that is refused is the affair of who asked for it, not of the others.
                    is_told = self._refuse_who_waits(problem)
                    if not is_told and not isinstance(problem, BackendUnavailableError):
                        raise
                    if self._hears:
                        backoff = FIRST_BACKOFF
                        logger.warning("channels are cut off: %s", problem)
                    self._cut_off, self._hears = self._cut_off or self._hears, False
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, LAST_BACKOFF)
        except Exception as error:  # noqa: BLE001 - handed to who subscribes, or who reads
            failure = as_store_error(error, self._place) or error
            self._refuse_who_waits(failure)
            self._wanted, self._failed = [], True
            await self._heard.put(_Failure(failure))

    async def _hear(self) -> None:
        """Read over one connection until it fails."""
        async with self._client.pubsub() as pubsub:
            asked = list(self._wanted)
            await pubsub.subscribe(*asked)
            self._pubsub = pubsub
            try:
                # Who came while we were connecting had no pubsub to ask with.
                if late := [name for name in self._wanted if name not in asked]:
                    await pubsub.subscribe(*late)
                await self._read_from(pubsub)
            finally:
                self._pubsub = None

    async def _read_from(self, pubsub: Any) -> None:
        # redis-py's health_check_interval does not notice a server that has fallen silent: it sends its
        # question, and nobody waits for the answer.
        clock, is_asked = asyncio.get_running_loop().time, False
        while True:
            until = clock() + (self._patience if is_asked else self._idle)
            message = None
            while message is None and clock() < until:
                message = await pubsub.get_message(timeout=max(until - clock(), 0))
            if message is not None:
                is_asked = False
                await self._take(message)
            elif is_asked:
                raise TimeoutError(f"no answer within {self._patience:g} s")
            else:
                is_asked = True
                await pubsub.ping()

    async def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "subscribe":
            confirmation = self._confirmations.pop(_text(message["channel"]), None)
            if confirmation is not None:
                confirmation.set_result(None)
            self._hears = True
            if self._cut_off:
                self._reconnected()
        elif message["type"] == "message" and _text(message["channel"]) in self._wanted:
            await self._hear_one(_text(message["channel"]).removeprefix(self._start), message["data"])

    async def _hear_one(self, channel: str, data: bytes) -> None:
        try:
            heard = await self._decode(channel, data)
        except SerializationError as error:
            # Whoever may publish could otherwise silence the channel for everybody.
            logger.warning("what was published in channel %r is dropped: %s", channel, error)
        else:
            await self._heard.put(heard)

    def _reconnected(self) -> None:
        self._cut_off = False
        logger.warning("channels of %s are heard again; what was published meanwhile is lost", self._place)
        for callback in self._callbacks:
            callback()

    def _refuse_who_waits(self, problem: Exception) -> bool:
        """Whether anybody did."""
        waiting, self._confirmations = self._confirmations, {}
        for confirmation in waiting.values():
            confirmation.set_exception(problem)
            confirmation.exception()  # who waited may have been cancelled, and nobody need be told
        return bool(waiting)


class _Failure:
    def __init__(self, error: Exception) -> None:
        self.error = error


def encode(message: Any) -> bytes:
    """A message as it is sent.

    Raises:
        InvalidArgumentError: JSON cannot say it.
    """
    problem = ""
    try:
        return json.dumps(message).encode()
    except (TypeError, ValueError) as error:
        problem = str(error)
    raise InvalidArgumentError(f"a message is what JSON can say: {problem}")


async def decode(channel: str, data: bytes) -> Any:
    """What was published; what others have published that is no JSON, as text or bytes."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        pass
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
