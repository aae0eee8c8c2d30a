"""Texts as pieces of a page: Markdown, as long as that does not take too long."""

from __future__ import annotations

from miniagent_store.web.conversation.blocks import Block
from miniagent_store.web.conversation.markdown import html_of

# Parsing takes 1.5 ms for each KiB: so many characters are parsed of a message, and of all those of a page.
OF_MESSAGE, OF_PAGE = 8_000, 60_000
# Longer texts are cut; the raw entry has all of it.
SHOWN = 100_000


class Prose:
    """Makes the pieces of one page."""

    def __init__(self) -> None:
        self._left = OF_PAGE

    def __call__(self, text: str) -> Block:
        """A text as Markdown, or as it stands where it is too long for that."""
        if len(text) <= min(OF_MESSAGE, self._left):
            self._left -= len(text)
            return Block("prose", html=html_of(text))
        more = len(text) - SHOWN
        label = f"{more:,} more characters: see the raw entry" if more > 0 else ""
        return Block("text", text[:SHOWN], label=label)
