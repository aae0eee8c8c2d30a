"""This package as a subject of the benchmark, driven like any peer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from importlib.util import find_spec
from typing import Any, ClassVar

from miniagent_store.bench.figures import OURS, SEALED
from miniagent_store.bench.peers.base import MessageDict, Where
from miniagent_store.bench.places import Place
from miniagent_store.keys.key import Key
from miniagent_store.keys.keyring import Keyring
from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import Message

_SEAL = "msgpack+zstd+aesgcm"


class Ours:
    """The public API of a store.

    Args:
        place: where it is opened; `open` ignores its URL.
        options: further ones of the store.
    """

    name: ClassVar[str] = OURS
    package: ClassVar[str] = ""
    # Where it really is, its place says.
    where: ClassVar[Where] = "memory"

    def __init__(self, place: Place, options: Mapping[str, Any] | None = None) -> None:
        self._place, self._options = place, dict(options or {})
        self._closing = AsyncExitStack()
        self.store: SessionStore

    async def open(self, url: str = "") -> None:
        self.store = await self._closing.enter_async_context(self._place.instance(**self._options))

    async def append(self, session: str, messages: Sequence[MessageDict]) -> None:
        await self.store.append(
            self._place.id(session), *(Message(**each) for each in messages), create=True
        )

    async def last(self, session: str, n: int) -> Sequence[Message]:
        return await self.store.history(self._place.id(session), last=n)

    async def whole(self, session: str) -> Sequence[Message]:
        return await self.store.history(self._place.id(session))

    async def clear(self, session: str) -> None:
        await self.store.delete(self._place.id(session))

    async def close(self) -> None:
        await self._closing.aclose()


class Sealed(Ours):
    """The same, compressed and encrypted, in a namespace of its own."""

    name: ClassVar[str] = SEALED

    def __init__(self, place: Place) -> None:
        keyring = Keyring([Key.generate()])
        super().__init__(place, {"serializer": _SEAL, "keyring": keyring, "namespace": "sealed"})


def can_seal() -> bool:
    """Whether what encryption and compression need is installed."""
    return find_spec("cryptography") is not None and any(
        map(_there, ("backports.zstd", "compression.zstd"))
    )


def _there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
