"""What a peer is: another package's way of keeping a conversation, driven as its own docs say.

A peer is given messages as mappings with ``role`` and ``content`` and keeps them as it would keep them for
anyone: nothing is left out that its callers get, nothing is added that they do not pay for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Protocol

Where = Literal["redis", "sqlite", "memory"]
MessageDict = Mapping[str, Any]


class Peer(Protocol):
    """One package on one kind of place.

    Made without arguments and without I/O; `open` is called first and `close` last, in one event loop.
    Sessions are made by the first `append`. A blocking package is called in a thread, as its users must.

    Attributes:
        name: what tables and plots call it, such as "OpenAI Agents RedisSession".
        package: what pip installs for it; empty where it needs none.
        where: on which kind of place it keeps conversations.
    """

    name: ClassVar[str]
    package: ClassVar[str]
    where: ClassVar[Where]

    async def open(self, url: str) -> None:
        """Connect.

        Args:
            url: ``redis://host:port/db``, ``sqlite:///path`` of a file of its own, or ``memory://``.
        """

    async def append(self, session: str, messages: Sequence[MessageDict]) -> None:
        """Add messages at the end, kept when this returns."""

    async def last(self, session: str, n: int) -> Sequence[Any]:
        """The last `n` messages, oldest first, in the package's own type."""
        ...

    async def whole(self, session: str) -> Sequence[Any]:
        """All messages, oldest first, in the package's own type."""
        ...

    async def clear(self, session: str) -> None:
        """Remove a session with all that is kept of it."""

    async def close(self) -> None:
        """Let go of connections, files and threads."""
