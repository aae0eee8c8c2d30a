"""The pages of this repository, and the blocks of code that stand in them.

docs/writing.md says what a block of each language means, and how one is marked.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
# A comment that is ours, or a fenced block.
_PIECE = re.compile(
    r"<!-- (?P<kind>given|not run|prints)(?::(?P<said>.*?))? ?-->"
    r"|^(?P<indent>[ ]*)(?P<fence>`{3,})(?P<info>[^`\n]*)\n(?P<code>.*?)^[ ]*(?P=fence)[ ]*$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Block:
    """One block of code.

    Attributes:
        page: where it stands.
        line: its first line, counted from 1.
        language: the first word of its fence; "" where there is none.
        code: its text.
        given: what is run before it and not shown.
        not_run: why it is not run; None where it is.
        prints: it is what the block before it prints.
    """

    page: Path
    line: int
    language: str
    code: str
    given: str = ""
    not_run: str | None = None
    prints: bool = False

    @property
    def place(self) -> str:
        """Page and line, as editors know them."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """All pages that people read: those at the root, of docs/, and the READMEs of examples."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]
    return sorted(found)


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page, in order; each has the comments that stand between it and the block before."""
    text = page.read_text(encoding="utf-8")
    given, not_run, prints = "", None, False
    for piece in _PIECE.finditer(text):
        if piece["kind"] == "given":
            given += textwrap.dedent(piece["said"] or "").strip("\n") + "\n"
        elif piece["kind"] == "not run":
            not_run = (piece["said"] or "").strip()
        elif piece["kind"] == "prints":
            prints = True
        else:
            language = (piece["info"].split() or [""])[0]
            line = text.count("\n", 0, piece.start("fence")) + 2
            code = textwrap.dedent(piece["code"])
            yield Block(page, line, language, code, given, not_run, prints)
            given, not_run, prints = "", None, False
