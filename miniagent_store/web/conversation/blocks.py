"""What a message says, piece by piece, ready to be shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from markupsafe import Markup

BlockKind = Literal["prose", "text", "picture", "link", "json", "thought", "note"]


@dataclass(frozen=True, slots=True)
class Block:
    """A piece.

    Attributes:
        kind: "prose" has `html`; "text" is shown as it is; "picture" has its data in `address`, "link"
            leads there; "json" and "thought" are folded below `label`; a "note" says what cannot be shown.
        text: of all but prose; of a picture, what stands for it.
        label: what kind of piece it is, where that is not plain.
        brief: of "json", the text in one line.
    """

    kind: BlockKind
    text: str = ""
    html: Markup = Markup("")
    address: str = ""
    label: str = ""
    brief: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """A tool that is to be called.

    Attributes:
        id: names the call in its answer; "" where it has none.
        brief: the arguments in one line.
        arguments: all of them, as JSON.
    """

    id: str
    name: str
    brief: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tool answered.

    Attributes:
        id: of the call.
        name: of the tool; "" where it is not said.
        brief: the answer in one line.
        text: all of it.
        failed: whether it says that it failed.
    """

    id: str
    name: str
    brief: str
    text: str
    failed: bool = False


@dataclass(slots=True)
class Said:
    """What a message says.

    Attributes:
        role: "user", "assistant", "system", "tool" or "other".
        speaker: who speaks, in the message's own words.
        blocks: what is said, in order.
        calls: the tools that are to be called.
        answers: of tools.
    """

    role: str
    speaker: str
    blocks: list[Block] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
