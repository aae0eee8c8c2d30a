"""Random bytes of the operating system, asked for a page at a time."""

from __future__ import annotations

import os

PAGE = 4096


class RandomBytes:
    """What `os.urandom` gives, in small pieces: asking it for each costs as much as encoding a message.

    Not to be shared with a process that was forked, which would be given the same.
    """

    __slots__ = ("_at", "_page")

    def __init__(self) -> None:
        self._page, self._at = b"", 0

    def take(self, size: int) -> bytes:
        """So many bytes that nobody was given before."""
        at = self._at
        self._at = end = at + size
        if end > len(self._page):
            self._page, at, self._at = os.urandom(max(PAGE, size)), 0, size
        return self._page[at : at + size]
