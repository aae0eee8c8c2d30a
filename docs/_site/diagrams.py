"""The diagrams of docs/how-it-works.md and docs/memory.md, drawn as SVG: python docs/_site/diagrams.py"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

IMAGES = Path(__file__).parents[1] / "images"
LANE, ROW, TOP = 210, 40, 70
INK, SOFT, PAPER, BAD = "#37474f", "#b0bec5", "#ffffff", "#c62828"


@dataclass(frozen=True, slots=True)
class Step:
    """What happens: a message from one actor to another, or a note where both are one.

    Attributes:
        source, target: numbers of actors, from 0 on.
        text: what is said.
        lost: it does not arrive.
        reply: it answers.
    """

    source: int
    target: int
    text: str
    lost: bool = False
    reply: bool = False


def sequence(actors: list[str], steps: list[Step]) -> str:
    """Who says what to whom, from top to bottom."""
    width, height = LANE * len(actors), TOP + ROW * len(steps) + 20
    lines: list[str] = []
    for number, actor in enumerate(actors):
        x = _x(number)
        lines += [_line(x, 50, x, height - 10, SOFT), _box(x - 80, 14, 160, 36, actor)]
    for row, step in enumerate(steps):
        lines += _step(step, TOP + ROW * row + 18)
    return _svg(width, height, lines)


def layers(rows: list[tuple[str, str]], width: int = 760) -> str:
    """Boxes on top of each other, each with what it is beside it."""
    lines: list[str] = []
    for number, (name, text) in enumerate(rows):
        y = 14 + 52 * number
        lines += [_box(14, y, 190, 40, name), _text(220, y + 25, text, anchor="start")]
    return _svg(width, 52 * len(rows) + 20, lines)


def _step(step: Step, y: int) -> list[str]:
    start, end = _x(step.source), _x(step.target)
    if start == end:
        return [_box(start - 96, y - 16, 192, 26, step.text, size=12, soft=True)]
    colour = BAD if step.lost else INK
    if step.lost:
        end = (start + end) // 2
    way = 1 if end > start else -1
    tip = f"M{end - 8 * way},{y - 4} L{end},{y} L{end - 8 * way},{y + 4}"
    head = (
        _cross(end, y)
        if step.lost
        else f'<path d="{tip}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
    )
    middle = (_x(step.source) + _x(step.target)) // 2
    return [
        _line(start, y, end, y, colour, dashed=step.reply),
        head,
        _text(middle, y - 6, step.text, colour),
    ]


def _x(number: int) -> int:
    return LANE // 2 + LANE * number


def _line(x1: int, y1: int, x2: int, y2: int, colour: str, *, dashed: bool = False) -> str:
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{colour}" stroke-width="1.5"{dash}/>'


def _cross(x: int, y: int) -> str:
    path = f"M{x - 5},{y - 5} L{x + 5},{y + 5} M{x - 5},{y + 5} L{x + 5},{y - 5}"
    return f'<path d="{path}" stroke="{BAD}" stroke-width="2"/>'


def _box(x: int, y: int, width: int, height: int, text: str, *, size: int = 14, soft: bool = False) -> str:
    fill, edge = ("#eceff1", SOFT) if soft else ("#e0f2f1", "#00897b")
    rect = f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="5" fill="{fill}" stroke="{edge}"/>'
    return rect + _text(x + width // 2, y + height // 2 + size // 3, text, size=size)


def _text(x: int, y: int, text: str, colour: str = INK, *, size: int = 12, anchor: str = "middle") -> str:
    words = escape(text)
    return f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}" fill="{colour}">{words}</text>'


def _svg(width: int, height: int, lines: list[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif">'
    )
    paper = f'<rect width="{width}" height="{height}" fill="{PAPER}"/>'
    return "\n".join([head, paper, *lines, "</svg>", ""])


DIAGRAMS = {
    "session.svg": layers(
        [
            (
                "record",
                "id, user, agent, tags, metadata · activity, expiry · version, epoch, incarnation",
            ),
            ("log “messages”", "1, 2, 3 … what was said: appended only, no holes"),
            ("log “events”", "and any other log, by name: pieces of an answer, steps of a run"),
            (
                "state",
                "named values in order: preferences, plans, counters; each with a TTL of its own if asked",
            ),
        ]
    ),
    "commit.svg": sequence(
        ["agent", "store", "backend"],
        [
            Step(0, 1, "append(question, answer)"),
            Step(1, 1, "ids, hooks, encode, encrypt"),
            Step(1, 2, "commit: writer 7, number 41"),
            Step(2, 2, "applied as a whole, noted"),
            Step(2, 1, "the reply is lost", lost=True, reply=True),
            Step(1, 2, "the same: writer 7, number 41"),
            Step(2, 2, "known: nothing is applied"),
            Step(2, 1, "what came of it the first time", reply=True),
            Step(1, 0, "Session, stored once", reply=True),
        ],
    ),
    "turn.svg": sequence(
        ["instance A", "backend", "instance B"],
        [
            Step(0, 1, "turn: take the lock"),
            Step(1, 0, "fence 8, the history", reply=True),
            Step(2, 1, "turn: take the lock"),
            Step(1, 1, "B stands in line"),
            Step(0, 0, "stands still for a minute"),
            Step(1, 1, "A's lease ends"),
            Step(1, 2, "fence 9, the history", reply=True),
            Step(2, 1, "commit with fence 9"),
            Step(0, 1, "commit with fence 8"),
            Step(1, 0, "FencedError: nothing is stored", reply=True),
        ],
    ),
    "watch.svg": sequence(
        ["writer", "backend", "watcher"],
        [
            Step(2, 1, "read the log after position 4"),
            Step(1, 2, "entries 5 and 6", reply=True),
            Step(0, 1, "commit: entry 7"),
            Step(1, 2, "“something changed” is lost", lost=True),
            Step(0, 1, "commit: entry 8"),
            Step(1, 2, "“something changed”"),
            Step(2, 1, "read the log after position 6"),
            Step(1, 2, "entries 7 and 8", reply=True),
        ],
    ),
    "recall.svg": sequence(
        ["agent", "memory of a scope", "embedder", "indexes", "store"],
        [
            Step(0, 1, "add: “I eat no meat”"),
            Step(1, 2, "the text"),
            Step(2, 1, "its vector", reply=True),
            Step(1, 4, "text, vector, and that it changed: one commit"),
            Step(0, 1, "search: “what does she eat?”"),
            Step(1, 2, "the query"),
            Step(2, 1, "its vector", reply=True),
            Step(1, 4, "what changed since last time?"),
            Step(1, 3, "brought up to date"),
            Step(1, 3, "vector, words, filter"),
            Step(3, 1, "two rankings", reply=True),
            Step(1, 1, "fused by rank"),
            Step(1, 4, "texts, and the messages they are of"),
            Step(1, 1, "taken back: left out"),
            Step(1, 0, "memories, the best first", reply=True),
        ],
    ),
}

if __name__ == "__main__":
    for name, picture in DIAGRAMS.items():
        (IMAGES / name).write_text(picture, encoding="utf-8")
