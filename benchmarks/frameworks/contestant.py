"""What is compared: one turn of a framework's session layer, on ours and on its own stores."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

Turn = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Places:
    """Where contestants keep what they keep; one of them each.

    Attributes:
        folder: an empty one, for files.
        sqlite: URL of an empty store in it.
        redis: URL of an empty store on a Redis, with the beginning of a query.
        redis_address: host and port of that Redis; its database 1 is for frameworks' own stores.
    """

    folder: Path
    sqlite: str
    redis: str
    redis_address: tuple[str, int]


@dataclass(frozen=True)
class Contestant:
    """A session layer.

    Attributes:
        name: such as "ours, redis" or "RedisSession".
        prepare: given how many items of history, makes a session that has them, and gives what does the
            store's calls of one turn with a call of a tool, as the framework makes them.
    """

    name: str
    prepare: Callable[[int], AbstractAsyncContextManager[Turn]]
